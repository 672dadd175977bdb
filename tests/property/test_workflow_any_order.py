"""Two to five people sign in sequence and in any order: each has their own place in every procedure."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.workflow import (
    CompiledWorkflow,
    Completion,
    Decision,
    Facts,
    Refusal,
    WorkflowFileError,
    decide,
    load_source,
)
from docflow.workflow.places import Anchor


@dataclass(frozen=True)
class Procedure:
    """Groups of signers, one after the other; those of one group in any order. `xs` says who is seen."""

    groups: tuple[tuple[str, ...], ...]
    xs: dict[str, int | None]

    @property
    def names(self) -> list[str]:
        return [name for group in self.groups for name in group]

    def text(self) -> str:
        states, steps = ["draft: {initial: true}"], []
        for number, group in enumerate(self.groups):
            together = f"any_order: [{', '.join(group)}]" if len(group) > 1 else ""
            states.append(f"s{number}: {{{together}}}")
            for name in group:
                at = self.xs[name]
                place = "" if at is None else f", place: {{signature: {{page: 1, x: {at}, y: 9}}}}"
                steps.append(
                    f"{name}: {{from: s{number}, to: s{number + 1}, by: leader, "
                    f"sign: {{as: person{place}}}}}"
                )
        last = len(self.groups)
        states += [f"s{last}: {{}}", "out: {final: true}"]
        steps += [
            "submit: {from: draft, to: s0, by: author, number: outgoing}",
            f"back: {{from: [{', '.join(f's{n}' for n in range(last + 1))}], to: draft, by: clerk}}",
            f"send: {{from: s{last}, to: out, by: clerk, sign: {{as: organisation}}, do: [deliver]}}",
        ]
        lines = ["workflow: w", "version: 1", "title: {en: W}", "direction: outgoing", "states:"]
        lines += [f"  {line}" for line in states]
        return "\n".join([*lines, "transitions:", *(f"  {line}" for line in steps)]) + "\n"

    def load(self) -> CompiledWorkflow:
        return load_source(self.text().encode(), "w.yaml")


@st.composite
def procedures(draw: st.DrawFn) -> Procedure:
    count = draw(st.integers(2, 5))
    names = [f"p{number}" for number in range(count)]
    cuts = sorted(draw(st.sets(st.integers(1, count - 1))))
    bounds = [0, *cuts, count]
    groups = tuple(tuple(names[a:b]) for a, b in pairwise(bounds))
    return Procedure(
        groups, {name: draw(st.sampled_from((None, 60 * n + 1))) for n, name in enumerate(names)}
    )


def fired(compiled: CompiledWorkflow, state: str, signed: dict[str, str], trigger: str) -> str:
    """Ask for a signature and complete it; return the state that the document is in then."""
    roles = frozenset({"leader"})
    facts = Facts(state, roles, trigger, number="7", signed_by=signed, signed_person=bool(signed))
    asked = decide(compiled, facts, trigger, {})
    assert isinstance(asked, Decision), asked
    assert asked.to == state
    done = Facts(
        state, number="7", pending=trigger, completing=Completion(trigger, trigger, roles),
        signed_by=signed, signed_person=True,
    )  # fmt: skip
    answer = decide(compiled, done, trigger, {})
    assert isinstance(answer, Decision), answer
    return answer.to


@given(procedures(), st.data())
@settings(max_examples=150, deadline=None)
def test_in_every_order_each_signs_once_in_the_place_that_is_theirs(
    procedure: Procedure, data: st.DataObject
) -> None:
    compiled = procedure.load()
    assert compiled.persons == len(procedure.names)
    state, signed, slots = "s0", dict[str, str](), dict[str, int]()
    for number, group in enumerate(procedure.groups):
        for count, name in enumerate(data.draw(st.permutations(group)), 1):
            for other in procedure.names:
                facts = Facts(state, frozenset({"leader"}), "new", number="7", signed_by=signed,
                              signed_person=bool(signed))  # fmt: skip
                answer = decide(compiled, facts, other, {})
                # exactly who is of this group and has not signed yet
                assert isinstance(answer, Decision) == (other in group and other not in signed)
                if isinstance(answer, Refusal) and other in signed:
                    assert answer.code in ("already-signed", "not-from-this-state")
            slots[name] = compiled.slot_of(tuple(signed), name)
            state = fired(compiled, state, signed, name)
            signed[name] = name
            assert state == f"s{number + (count == len(group))}"
    first, *_ = signed
    assert sorted(slots.values()) == list(range(1, len(signed) + 1))
    assert slots[first] == 1
    boxes = (None, *compiled.later_places[first])
    for name, slot in slots.items():
        at = procedure.xs[name]
        if name != first:
            assert boxes[slot - 1] == (None if at is None else Anchor(1, None, float(at), 9.0))


@given(procedures(), st.data())
@settings(max_examples=100, deadline=None)
def test_two_in_one_place_are_never_loaded(procedure: Procedure, data: st.DataObject) -> None:
    one, other = data.draw(st.permutations(procedure.names))[:2]
    spoilt = Procedure(procedure.groups, procedure.xs | {one: 5, other: 5})
    try:
        spoilt.load()
    except WorkflowFileError as error:
        said = " ".join(problem.message for problem in error.problems)
        assert f"transitions.{one}.sign.place" in said or f"transitions.{other}.sign.place" in said
        assert "is seen already; give it a place of its own" in said
    else:
        raise AssertionError("two in one place were loaded")
