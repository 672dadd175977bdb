"""Several people sign in any order: what is refused when it is loaded, and what each firing decides."""

import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from docflow.workflow import (
    CompiledWorkflow,
    Completion,
    Decision,
    Facts,
    Refusal,
    available,
    decide,
    load,
    load_source,
)
from docflow.workflow.graph import MOST_STANDINGS
from docflow.workflow.mermaid import mermaid
from docflow.workflow.places import Anchor
from docflow.workflow.svg import svg
from tests.persons_support import DATA
from tests.unit.workflow.test_workflow_graph import source, told

THREE = ("sign_as_chairman", "sign_as_deputy", "sign_as_head")
SIGNERS = dict(zip(THREE, ("son", "mai", "dung"), strict=True))
STATES = [
    "draft: {initial: true}",
    "ready: {any_order: [a, b, c]}",
    "signed: {}",
    "out: {final: true}",
]
ENDS = [
    "submit: {from: draft, to: ready, by: author, number: outgoing}",
    "send: {from: signed, to: out, by: clerk, sign: {as: organisation}, do: [deliver]}",
]


def signing(name: str, x: int | None, *, more: str = "", **other: str) -> str:
    seen = "" if x is None else f"signature: {{page: last, x: {x}, y: 230}}"
    place = ", ".join(part for part in (more, seen) if part)
    keys = {"from": "ready", "to": "signed", "by": "leader"} | {
        key.rstrip("_"): value for key, value in other.items()
    }
    placed = f", place: {{{place}}}" if place else ""
    written = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return f"{name}: {{{written}, sign: {{as: person{placed}}}}}"


def three(*lines: str, states: list[str] = STATES) -> bytes:
    given = {line.partition(":")[0]: line for line in lines}
    steps = [given.get(name, signing(name, 10 + 60 * n)) for n, name in enumerate("abc")]
    return source(states, [*ENDS, *steps, *(v for k, v in given.items() if k not in "abc")])


def with_order(written: str) -> bytes:
    return three(states=[line.replace("[a, b, c]", written) for line in STATES])


@pytest.fixture(scope="module")
def workflow() -> CompiledWorkflow:
    return load(Path(DATA / "outgoing-any-order.yaml"))


def at(x: float) -> Anchor:
    return Anchor(-1, None, x, 230.0)


def test_the_workflow_that_these_tests_spoil_is_sound() -> None:
    assert load_source(three(), "letter.yaml").persons == 3


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[a, b, d]", "states.ready.any_order: 'd' is no transition; known: a, b, c, send, submit"),
        ("[a, b, submt]", "did you mean 'submit'?"),
        ("[a, b, b]", "states.ready.any_order: 'b' is named twice; each signs once"),
        ("[a, b, send]", "'send' makes no personal signature; write sign: {as: person} there"),
        ("[a]", "one alone has no order; name two transitions at least, or leave it out"),
        ("[]", "states.ready.any_order: is empty"),
        ("a", "'a' is not a list; write it as [a]"),
        ("[A, b]", "is not a name"),
        ("[a, b, c, d, e, f, g, h, i]", "is too long; at most 8"),
    ],
)
def test_what_is_not_a_list_of_signing_transitions_is_told(written: str, said: str) -> None:
    assert any(said in one for one in told(with_order(written))), told(with_order(written))


def test_those_who_go_to_different_states_are_told() -> None:
    data = three(signing("c", 130, to="other"), states=[*STATES, "other: {}"])
    problems = told(data)
    assert any(
        "'c' goes to 'other', and the ones before to 'signed'; whoever is last goes on: write the same "
        "state" in one
        for one in problems
    )


def test_one_that_leaves_another_state_too_is_told() -> None:
    problems = told(three(signing("c", 130, from_="[ready, signed]")))
    assert any("nowhere else: write from: ready" in one for one in problems)


def test_those_who_stay_are_told() -> None:
    data = three(*(signing(name, n, to="ready") for n, name in enumerate("abc")))
    assert any("the last one has to go on to another state" in one for one in told(data))


def test_signing_where_files_may_be_changed_is_told() -> None:
    states = [line.replace("ready: {", "ready: {editable: true, ") for line in STATES]
    assert any("write editable: false" in one for one in told(three(states=states)))


def test_two_in_one_place_are_told_with_the_way() -> None:
    problems = [one.partition(": ")[2] for one in told(three(signing("b", 10)))]
    why = "give it a place of its own, as {page: last, x: 30, y: 230}: draft -submit-> ready"
    assert problems == [
        "transitions.a.sign.place: is seen where the signature of 'b' is seen already; "
        f"{why} -b-> ready -a-> ready",
        "transitions.b.sign.place: is seen where the signature of 'a' is seen already; "
        f"{why} -a-> ready -b-> ready",
    ]


def test_a_number_that_would_be_here_or_there_is_told() -> None:
    data = three(
        signing("a", 10, more="number: standard"), signing("b", 70, more="number: top-left")
    )
    (problem,) = told(data)
    assert "transitions.b.sign.place.number: the number goes elsewhere than 'a' has it" in problem


def test_a_number_on_the_page_before_there_is_one_is_told_whoever_is_first() -> None:
    data = three(signing("c", 130, more="number: standard")).replace(b", number: outgoing}", b"}")
    problems = told(data)
    for name in "abc":
        assert any(f"transitions.{name}.sign: places a number or date" in one for one in problems)


def test_a_number_on_a_page_that_somebody_signed_before_them_is_told() -> None:
    states = [*STATES, "first: {}"]
    data = three(
        signing("c", 130, more="number: standard"), signing("z", 5, from_="first", to="ready"),
        states=states,
    ).replace(b"to: ready, by: author", b"to: first, by: author")  # fmt: skip
    assert any("places something on a page that is signed already" in one for one in told(data))


def test_two_that_only_the_author_may_sign_are_told() -> None:
    data = three(signing("a", 10, by="author"), signing("b", 70, by="author"))
    assert any("each is signed by a person of their own" in one for one in told(data))


def test_a_seal_before_everyone_has_signed_is_told_with_the_way() -> None:
    data = three("early: {from: ready, to: signed, by: clerk}")
    problems = told(data)
    assert any("seals with 1 of 3 personal signatures" in one for one in problems)
    assert any("delivers without a personal signature" in one for one in problems)


def test_more_ways_than_can_be_proven_are_refused() -> None:
    states = ["draft: {initial: true}", "signed: {}", "out: {final: true}"]
    steps = [ENDS[1], "submit: {from: draft, to: s0, by: author, number: outgoing}"]
    for group in range(3):
        names = [f"g{group}_{n}" for n in range(8)]
        states.append(f"s{group}: {{any_order: [{', '.join(names)}]}}")
        target = f"s{group + 1}" if group < 2 else "signed"
        steps += [signing(name, None, from_=f"s{group}", to=target) for name in names]
        steps.append(f"skip{group}: {{from: s{group}, to: {target}, by: clerk}}")
    (problem,) = told(source(states, steps))
    assert f"more than {MOST_STANDINGS} ways, too many to prove anything of" in problem


def test_whoever_is_first_the_same_places_are_kept_for_the_others() -> None:
    compiled = load_source(three(signing("b", None)), "letter.yaml")
    assert compiled.later_places == {
        "a": (None, at(130)),
        "b": (at(10), at(130)),
        "c": (at(10), None),
    }
    for order in permutations("abc"):
        slots = {name: compiled.slot_of(order[:n], name) for n, name in enumerate(order)}
        assert sorted(slots.values()) == [1, 2, 3]
        seen = (None, *compiled.later_places[order[0]])
        for name in order[1:]:
            assert seen[slots[name] - 1] == {"a": at(10), "b": None, "c": at(130)}[name]


def test_three_in_any_order_through_states_of_their_own_are_proven_too() -> None:
    """The same without `any_order`: a state for each set of those who signed."""
    states, steps = ["draft: {initial: true}", "out: {final: true}", "s: {}"], []
    xs = dict(zip("abc", (10, 70, 130), strict=True))
    for done in ("", "a", "b", "c", "ab", "ac", "bc"):
        if done:
            states.append(f"s{done}: {{}}")
        for name in sorted(set("abc") - set(done)):
            after = "".join(sorted(done + name))
            target = "signed" if after == "abc" else f"s{after}"
            steps.append(signing(f"x{done}_{name}", xs[name], from_=f"s{done}", to=target))
    states.append("signed: {}")
    ends = [ENDS[0].replace("ready", "s"), ENDS[1]]
    compiled = load_source(source(states, [*ends, *steps]), "letter.yaml")
    assert compiled.later_places["x_c"] == (at(10), at(70))
    assert compiled.slot_of(("x_c",), "xc_b") == 3
    assert compiled.slot_of(("x_c", "xc_b"), "xbc_a") == 2
    wrong = [line.replace("x: 70", "x: 71") if line.startswith("xc_b") else line for line in steps]
    problems = told(source(states, [*ends, *wrong]))
    assert any("transitions.xc_b.sign.place" in one and "seen elsewhere" in one for one in problems)


def facts(**values: object) -> Facts:
    base = Facts(state="approved", roles=frozenset({"leader", "unit_head"}), actor_id="son", number="7",
                 has_main_file=True, recipients_count=1)  # fmt: skip
    return replace(base, **values)  # type: ignore[arg-type]


def completed(
    compiled: CompiledWorkflow, trigger: str, signed_by: dict[str, str], who: str
) -> Decision:
    completing = Completion(trigger, who, frozenset({"leader", "unit_head"}))
    now = facts(completing=completing, pending=trigger, signed_by=signed_by, signed_person=True)
    answer = decide(compiled, now, trigger, {})
    assert isinstance(answer, Decision)
    return answer


@pytest.mark.parametrize("order", list(permutations(THREE)))
def test_only_the_last_of_them_goes_on(workflow: CompiledWorkflow, order: tuple[str, ...]) -> None:
    signed: dict[str, str] = {}
    for trigger in order:
        asked = decide(workflow, facts(actor_id=SIGNERS[trigger], signed_by=signed), trigger, {})
        assert isinstance(asked, Decision)
        assert (asked.phase, asked.to) == ("request", "approved")
        done = completed(workflow, trigger, signed, SIGNERS[trigger])
        signed[trigger] = SIGNERS[trigger]
        assert (done.phase, done.to) == ("complete", "signed" if len(signed) == 3 else "approved")


def test_who_signed_is_not_asked_again_and_is_told_who_is_left(workflow: CompiledWorkflow) -> None:
    now = facts(signed_by={"sign_as_chairman": "son"}, signed_person=True, actor_id="mai")
    answer = decide(workflow, now, "sign_as_chairman", {})
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.rule) == ("already-signed", "any_order")
    assert answer.satisfied_by == "still to be signed, in any order: sign_as_deputy, sign_as_head"
    allowed = {one.trigger: one.allowed for one in available(workflow, now)}
    assert [allowed[name] for name in THREE] == [False, True, True]


def test_nobody_signs_for_two(workflow: CompiledWorkflow) -> None:
    now = facts(signed_by={"sign_as_chairman": "son"}, signed_person=True)
    answer = decide(workflow, now, "sign_as_deputy", {})
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.rule) == ("separation-of-duties", "any_order")


def test_a_return_between_them_drops_what_was_signed(workflow: CompiledWorkflow) -> None:
    now = facts(signed_by={"sign_as_chairman": "son"}, signed_person=True)
    answer = decide(workflow, now, "return", {"reason": "x"})
    assert isinstance(answer, Decision)
    assert [type(effect).__name__ for effect in answer.effects] == ["DropSignatures"]


def test_pictures_say_that_they_sign_in_any_order(workflow: CompiledWorkflow) -> None:
    assert "3 sign, in any order" in mermaid(workflow.definition)
    words = re.sub(r"<[^>]*>", " ", svg(workflow.definition, "vi")).split()
    assert "3 người ký, theo thứ tự bất kỳ" in " ".join(words)
