"""Where later personal signatures are seen follows from the first; what is said if it does not."""

from pathlib import Path

import pytest

from docflow.workflow import load, load_source
from docflow.workflow.places import Anchor
from tests.persons_support import DATA
from tests.unit.workflow.test_workflow_graph import source, told

STATES = [
    "draft: {initial: true}",
    "ready: {}",
    "one: {}",
    "other: {}",
    "signed: {}",
    "out: {final: true}",
]
LEFT, RIGHT = "{page: last, x: 30, y: 230}", "{page: last, x: 120, y: 230}"
ENDS = [
    "submit: {from: draft, to: ready, by: author, number: outgoing}",
    "send: {from: signed, to: out, by: clerk, sign: {as: organisation}, do: [deliver]}",
]


def signing(name: str, from_: str, to: str, place: str | None) -> str:
    seen = "" if place is None else f", place: {{signature: {place}}}"
    return f"{name}: {{from: {from_}, to: {to}, by: leader, sign: {{as: person{seen}}}}}"


def in_order(*places: str | None) -> bytes:
    first, second = places
    steps = [signing("first", "ready", "one", first), signing("second", "one", "signed", second)]
    return source([line for line in STATES if not line.startswith("other")], [*ENDS, *steps])


def in_either_order(left: str, right: str, again: str, once_more: str) -> bytes:
    return source(
        STATES,
        [
            *ENDS,
            signing("a", "ready", "one", left),
            signing("b", "ready", "other", right),
            signing("then_b", "one", "signed", again),
            signing("then_a", "other", "signed", once_more),
        ],
    )


def test_the_second_place_is_known_with_the_first_signature() -> None:
    workflow = load_source(in_order(LEFT, RIGHT), "letter.yaml")
    assert workflow.later_places == {"first": (Anchor(-1, None, 120.0, 230.0),)}


def test_who_signs_unseen_gets_no_place() -> None:
    assert load_source(in_order(LEFT, None), "letter.yaml").later_places == {"first": (None,)}
    seen = load_source(in_order(None, RIGHT), "letter.yaml").later_places["first"]
    assert seen == (Anchor(-1, None, 120.0, 230.0),)


def test_two_in_either_order_have_a_place_each_whoever_is_first() -> None:
    workflow = load_source(in_either_order(LEFT, RIGHT, RIGHT, LEFT), "letter.yaml")
    assert workflow.later_places == {
        "a": (Anchor(-1, None, 120.0, 230.0),),
        "b": (Anchor(-1, None, 30.0, 230.0),),
    }


@pytest.mark.parametrize(
    ("name", "count"), [("outgoing-joint.yaml", 1), ("outgoing-three.yaml", 2)]
)
def test_the_workflows_of_these_tests_place_everyone(name: str, count: int) -> None:
    for places in load(Path(DATA / name)).later_places.values():
        assert len(places) == count
        assert None not in places


def test_one_person_only_leaves_no_places() -> None:
    data = source(
        ["draft: {initial: true}", "ready: {}", "signed: {}", "out: {final: true}"],
        [*ENDS, signing("sign", "ready", "signed", LEFT)],
    )
    assert load_source(data, "letter.yaml").later_places == {"sign": ()}


def test_two_in_one_place_are_told_with_the_way() -> None:
    assert [one.partition(": ")[2] for one in told(in_order(LEFT, LEFT))] == [
        "transitions.second.sign.place: is seen where the signature of 'first' is seen already; give it a "
        "place of its own, as {page: last, x: 30, y: 230}: "
        "draft -submit-> ready -first-> one -second-> signed"
    ]


def test_a_second_that_may_be_seen_here_or_there_is_told_with_the_way() -> None:
    data = source(
        [line for line in STATES if not line.startswith("other")],
        [
            *ENDS,
            signing("first", "ready", "one", "standard"),
            signing("by_deputy", "one", "signed", LEFT),
            signing("by_head", "one", "signed", RIGHT),
        ],
    )
    assert [one.partition(": ")[2] for one in told(data)] == [
        "transitions.by_head.sign.place: signs after 'first' where 'by_deputy' may instead, and is "
        "seen elsewhere; room is made with the first signature, before it is known which comes: write "
        "the same place for both, or for neither: draft -submit-> ready -first-> one -by_head-> signed"
    ]


def test_a_second_that_is_seen_or_not_is_told() -> None:
    data = source(
        [line for line in STATES if not line.startswith("other")],
        [
            *ENDS,
            signing("first", "ready", "one", "standard"),
            signing("by_deputy", "one", "signed", None),
            signing("by_head", "one", "signed", RIGHT),
        ],
    )
    (problem,) = told(data)
    assert "transitions.by_head.sign.place: signs after 'first' where 'by_deputy' may" in problem


def test_two_in_either_order_that_meet_in_one_state_could_sign_twice_in_one_place() -> None:
    data = in_either_order(LEFT, RIGHT, RIGHT, LEFT).replace(b"to: other", b"to: one")
    text = data.decode().replace("  other: {}\n", "").replace("from: other", "from: one")
    problems = [one.partition(": ")[2] for one in told(text.encode())]
    assert [one.partition(";")[0] for one in problems] == [
        "transitions.then_b.sign.place: is seen where the signature of 'b' is seen already",
        "transitions.then_a.sign.place: is seen where the signature of 'a' is seen already",
    ]


def test_what_is_dropped_by_an_editable_state_is_not_counted() -> None:
    data = in_order(LEFT, RIGHT).decode()
    data += "  back: {from: one, to: draft, by: leader}\n"
    assert load_source(data.encode(), "letter.yaml").later_places["first"] == (
        Anchor(-1, None, 120.0, 230.0),
    )
