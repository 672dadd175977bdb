from typing import Any

import pytest

from docflow.kernel.errors import InvalidInputError
from docflow.signing.plan import ANCHOR_NAMES, Anchor, Place, parse_anchor, plan_stamp


def test_what_is_left_out_is_not_drawn() -> None:
    plan = plan_stamp()
    assert (plan.number, plan.date, plan.code) == (None, None, None)


def test_the_defaults_are_those_of_a_state_document() -> None:
    plan = plan_stamp(number="Số: 01/QĐ", date="ngày 01", url="https://x.example/1")
    assert plan.number is not None
    assert plan.date is not None
    assert plan.code is not None
    names = [plan.number.anchor.name, plan.date.anchor.name, plan.code.anchor.name]
    assert names == ["number", "date", "qr"]
    assert plan.date.style == "italic"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Anchor(name="number")),
        ("top-left", Anchor(name="top-left")),
        ({"name": "qr", "page": -1}, Anchor(name="qr", page=-1)),
        ({"x": 10, "y": 20.5}, Anchor(x_mm=10.0, y_mm=20.5)),
        (
            {"page": 2, "x": 10, "y": 20, "align": "right"},
            Anchor(page=2, x_mm=10.0, y_mm=20.0, align="right"),
        ),
        (Anchor(name="date"), Anchor(name="date")),
    ],
)
def test_anchors_are_read_from_plain_values(given: Any, expected: Anchor) -> None:
    assert parse_anchor(given, "number") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("middle", "top-left"),
        ({"name": "middle"}, "top-left"),
        ({"x": 1}, "x and y are numbers"),
        ({"x": "1", "y": 2}, "x and y are numbers"),
        ({"x": True, "y": 2}, "x and y are numbers"),
        ({"x": -1, "y": 2}, "from 0 to 1200"),
        ({"x": 1, "y": 1e9}, "from 0 to 1200"),
        ({"x": float("nan"), "y": 2}, "from 0 to 1200"),
        ({"x": 10**400, "y": 2}, "from 0 to 1200"),
        ({"x": 1, "y": 2, "page": 10**30}, "1 is the first page"),
        (5, "an object with page, x and y"),
        ([["x"]], "an object with page, x and y"),
        ({"x": 1, "y": 2, "page": 0}, "1 is the first page"),
        ({"x": 1, "y": 2, "page": "1"}, "1 is the first page"),
        ({"x": 1, "y": 2, "page": "middle"}, "first, last, or a whole number"),
        ({"x": 1, "y": 2, "align": "middle"}, "left, centre or right"),
        ({"x": 1, "y": 2, "z": 3}, "'z'"),
    ],
)
def test_a_wrong_anchor_says_what_would_be_right(given: Any, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected) as caught:
        parse_anchor(given, "number")
    assert caught.value.code == "stamp-anchor"


def test_a_page_may_be_named_as_a_workflow_names_it() -> None:
    pages = [parse_anchor({"page": page, "x": 1, "y": 2}, "qr").page for page in ("first", "last")]
    assert pages == [1, -1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": ""},
        {"number": "  "},
        {"number": "Số: 1\nSố: 2"},
        {"date": "x" * 121},
        {"url": ""},
        {"url": "https://x.example/" + "y" * 200},
        {"url": "https://x.example/đ"},
        {"url": "https://x.example/a b\n"},
        {"url": "https://x.example/", "caption": ("\x00",)},
    ],
)
def test_a_text_that_cannot_be_one_line_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan_stamp(**wrong)
    assert caught.value.code == "stamp-text"
    assert caught.value.fields


@pytest.mark.parametrize("name", ANCHOR_NAMES)
def test_a_named_place_moves_with_the_page(name: str) -> None:
    a4 = Anchor(name=name).resolve(210, 297)
    a3 = Anchor(name=name).resolve(420, 594)
    assert a3 == Place(2 * a4.x_mm, 2 * a4.y_mm, a4.align, a4.stands)


def test_a_measured_place_stays() -> None:
    assert Anchor(x_mm=3, y_mm=4).resolve(100, 100) == Place(3, 4, "left")
