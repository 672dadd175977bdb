"""Canonical JSON against RFC 8785's rules and its reference test data."""

import json
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.kernel.canonical import canonical_json, sha256_hex

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
)


def test_members_are_ordered_by_utf_16_units() -> None:
    # RFC 8785 3.2.3: the smiley's surrogates (D83D DE02) sort before U+FB33
    value = {
        "\u20ac": "Euro Sign",
        "1": "One",
        "\u0080": "Control\u007f",
        "\U0001f602": "Smiley",
        "\u00f6": "Latin Small Letter O With Diaeresis",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "</script>": "Browser Challenge",
    }
    assert canonical_json(value).decode() == (
        '{"1":"One","</script>":"Browser Challenge","\u0080":"Control\u007f",'
        '"\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign",'
        '"\U0001f602":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {
                "1": {"f": {"f": "hi", "F": 5}, "\n": 56},
                "10": {},
                "": "empty",
                "a": {},
                "111": [{}],
                "A": {},
            },
            '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{}],"A":{},"a":{}}',
        ),
        ({"sin": 1, "pêche": 2, "péché": 3, "peach": 4}, '{"peach":4,"péché":3,"pêche":2,"sin":1}'),
        ('\u20ac$\u000f\nA\'B"\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/"'),
        ("\b\t\f\r\x00\x1f\x7f", '"\\b\\t\\f\\r\\u0000\\u001f\x7f"'),
        ([None, True, False, 0, -1, 2**53 - 1], "[null,true,false,0,-1,9007199254740991]"),
        ((1, ("x",)), '[1,["x"]]'),
        ("e\u0301", '"e\u0301"'),
    ],
)
def test_values_have_one_written_form(value: Any, text: str) -> None:
    assert canonical_json(value) == text.encode()


def test_enumerations_are_written_as_their_values() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Level(IntEnum):
        HIGH = 3

    assert canonical_json({Colour.RED: Colour.RED, "level": Level.HIGH}) == (
        b'{"level":3,"red":"red"}'
    )


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        [float("inf")],
        2**53,
        -(2**53),
        "\ud800",
        {"\udc00": 1},
        {1: "x"},
        {None: 1},
        {"a": {True: 1}},
    ],
)
def test_what_has_no_sure_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"canonical JSON"):
        canonical_json(value)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), [object()]])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no canonical JSON form"):
        canonical_json(value)


@settings(deadline=None)
@given(json_values)
def test_the_form_is_json_of_the_same_value_and_stays_as_it_is(value: Any) -> None:
    written = canonical_json(value)
    assert json.loads(written) == value
    assert canonical_json(json.loads(written)) == written


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.integers(0, 9)))
def test_the_order_of_members_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_the_digest_is_sha_256_in_lower_case() -> None:
    # FIPS 180-2, appendix B.1
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
