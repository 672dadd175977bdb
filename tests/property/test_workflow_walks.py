"""Random walks: no order of triggers, actors and accidents gets a document where it must not be."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.kernel.resources import bundled
from docflow.workflow import (
    AllocateNumber,
    Assign,
    CompiledWorkflow,
    Completion,
    Decision,
    Deliver,
    DropSignatures,
    Facts,
    Refusal,
    Route,
    Sign,
    VoidNumber,
    available,
    decide,
    load_folder,
    load_source,
)
from docflow.workflow.graph import Graph, violations
from docflow.workflow.vocabulary import GUARDS, ROLES

SHIPPED = load_folder(bundled("workflows"))
PEOPLE = ("anh", "binh", "chi")
VALUES = {"text": "x", "integer": 1, "date": "2026-11-22", "person": "chi", "unit": "u1"}


def roles_sets() -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(sorted(ROLES)))


@st.composite
def any_facts(draw: st.DrawFn, compiled: CompiledWorkflow) -> Facts:
    """Facts that need not fit together at all."""
    states, triggers = list(compiled.definition.states), list(compiled.definition.transitions)
    flag = st.booleans()
    completing = st.builds(
        Completion, st.sampled_from(triggers), st.sampled_from(PEOPLE), roles_sets()
    )
    return Facts(
        state=draw(st.sampled_from(states)),
        roles=draw(roles_sets()),
        actor_id=draw(st.sampled_from(PEOPLE)),
        people={"author": frozenset({draw(st.sampled_from(PEOPLE))})},
        fired_by={draw(st.sampled_from(triggers)): frozenset({draw(st.sampled_from(PEOPLE))})},
        has_main_file=draw(flag),
        recipients_count=draw(st.integers(0, 2)),
        number=draw(st.none() | st.just("7")),
        assignee_id=draw(st.none() | st.sampled_from(PEOPLE)),
        unit_id=draw(st.none() | st.just("u1")),
        duplicate_unresolved=draw(flag),
        signed_person=draw(flag),
        sealed=draw(flag),
        pending=draw(st.none() | st.sampled_from(triggers)),
        pending_failed=draw(flag),
        completing=draw(st.none() | completing),
    )


@given(st.data())
@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_facts_nothing_is_delivered_without_its_evidence(data: st.DataObject) -> None:
    compiled = data.draw(st.sampled_from(SHIPPED))
    facts = data.draw(any_facts(compiled))
    definition = compiled.definition
    for trigger, transition in definition.transitions.items():
        asked = {name: VALUES[item.type] for name, item in transition.ask.items() if item.required}
        answer = decide(compiled, facts, trigger, asked)
        if isinstance(answer, Refusal):
            continue
        assert not definition.states[facts.state].final
        assert facts.state in transition.from_
        assert facts.judged_roles & set(transition.by)
        assert facts.completing is not None or facts.pending is None or facts.pending_failed
        if transition.sign and facts.completing is None:
            assert (answer.phase, answer.to) == ("request", facts.state)
            assert Deliver() not in answer.effects
            continue
        assert (answer.phase, answer.to) == ("complete", transition.to)
        if transition.does("deliver"):
            assert facts.number
            assert facts.signed_person
            assert facts.sealed
        if transition.sign:
            assert facts.sealed if transition.sign.as_ == "organisation" else facts.signed_person


@dataclass
class Document:
    """A document as a faithful service would keep it; `delivered_with` is what went out."""

    facts: Facts
    numbers: list[str] = field(default_factory=list)
    voided: set[str] = field(default_factory=set)
    delivered_with: list[tuple[str | None, bool, bool]] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    requester: tuple[str, frozenset[str]] = ("", frozenset())

    def apply(self, decision: Decision) -> None:
        facts = self.facts
        if decision.clears_pending:
            facts = replace(facts, pending=None, pending_failed=False)
        for effect in decision.effects:
            match effect:
                case AllocateNumber():
                    assert facts.number is None
                    self.numbers.append(f"n{len(self.numbers) + 1}")
                    facts = replace(facts, number=self.numbers[-1])
                case VoidNumber():
                    assert facts.number is not None
                    self.voided.add(facts.number)
                    facts = replace(facts, number=None)
                case Assign(person_id):
                    facts = replace(facts, assignee_id=person_id)
                case Route(unit_id):
                    facts = replace(facts, unit_id=unit_id)
                case Deliver():
                    self.delivered_with.append((facts.number, facts.signed_person, facts.sealed))
                case DropSignatures():
                    facts = replace(facts, signed_person=False, sealed=False)
                case Sign():
                    facts = replace(facts, pending=decision.trigger)
        self.facts = replace(facts, state=decision.to)


def someone(data: st.DataObject, facts: Facts) -> Facts:
    return replace(
        facts, actor_id=data.draw(st.sampled_from(PEOPLE)), roles=data.draw(roles_sets())
    )


def someone_who_may(facts: Facts) -> Facts:
    return replace(facts, actor_id="binh", roles=frozenset(ROLES))


def fire_by_person(
    document: Document, compiled: CompiledWorkflow, data: st.DataObject, *, well_meant: bool
) -> None:
    if well_meant:  # or no walk would get far
        facts = someone_who_may(document.facts)
        allowed = [item.trigger for item in available(compiled, facts) if item.allowed]
        onward = [trigger for trigger in allowed if trigger not in ("withdraw", "refuse")]
        if not onward:
            return
        trigger = data.draw(st.sampled_from(onward))
    else:
        facts = someone(data, document.facts)
        trigger = data.draw(st.sampled_from(list(compiled.definition.transitions)))
    transition = compiled.definition.transitions[trigger]
    asked = {name: VALUES[item.type] for name, item in transition.ask.items() if item.required}
    answer = decide(compiled, facts, trigger, asked)
    if isinstance(answer, Decision):
        document.apply(answer)
        if answer.phase == "request":
            document.asked = dict(answer.asked)
            document.requester = (facts.actor_id, facts.roles)


def run_job(document: Document, compiled: CompiledWorkflow, *, fails: bool) -> None:
    trigger = document.facts.pending
    if trigger is None:
        return
    if fails:
        document.facts = replace(document.facts, pending_failed=True)
        return
    sign = compiled.definition.transitions[trigger].sign
    assert sign is not None
    facts = replace(
        document.facts,
        signed_person=document.facts.signed_person or sign.as_ == "person",
        sealed=document.facts.sealed or sign.as_ == "organisation",
        completing=Completion(trigger, *document.requester),
        roles=frozenset({"system"}),
        actor_id="service",
    )
    answer = decide(compiled, facts, trigger, document.asked)
    # what was requested rightly is completed: nothing else could happen in between
    assert isinstance(answer, Decision), answer
    document.facts = replace(facts, completing=None)
    document.apply(answer)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_faithful_service_keeps_every_promise_of_the_procedure(data: st.DataObject) -> None:
    compiled = data.draw(st.sampled_from(SHIPPED))
    definition = compiled.definition
    document = Document(
        Facts(
            definition.initial,
            people={"author": frozenset({"anh"})},
            has_main_file=True,
            recipients_count=1,
        )
    )
    for _ in range(data.draw(st.integers(1, 40))):
        before = document.facts.state
        move = data.draw(st.sampled_from(("on", "on", "on", "any", "any", "job", "job", "failure")))
        if move in ("on", "any"):
            fire_by_person(document, compiled, data, well_meant=move == "on")
        else:
            run_job(document, compiled, fails=move == "failure")
        facts = document.facts
        if definition.states[before].final:
            assert facts.state == before
        if definition.states[facts.state].is_editable:
            assert not facts.signed_person
            assert not facts.sealed
        assert all(number and person and seal for number, person, seal in document.delivered_with)
        assert len(document.delivered_with) <= 1
        if definition.direction == "outgoing":
            assert (facts.state in ("released", "archived")) == bool(document.delivered_with)
        if facts.state == "withdrawn":
            assert set(document.numbers) == document.voided
        for item in available(compiled, replace(facts, roles=frozenset(ROLES), actor_id="binh")):
            assert item.trigger in definition.leaving(facts.state)


@st.composite
def small_workflows(draw: st.DrawFn) -> str:
    """Any small outgoing workflow whose names resolve, sound or not."""
    count = draw(st.integers(2, 5))
    names = [f"s{i}" for i in range(count)]
    states = ["s0: {initial: true}", f"s{count - 1}: {{final: true}}"]
    states += [f"{name}: {{editable: {str(draw(st.booleans())).lower()}}}" for name in names[1:-1]]
    transitions = []
    for index in range(draw(st.integers(2, 7))):
        source, target = draw(st.sampled_from(names[:-1])), draw(st.sampled_from(names))
        line = f"t{index}: {{from: {source}, to: {target}, by: clerk"
        if draw(st.integers(0, 3)) == 0:
            line += f", require: [{draw(st.sampled_from(sorted(GUARDS)))}]"
        line += draw(
            st.sampled_from(
                (
                    "",
                    ", number: book",
                    ", sign: {as: person}",
                    ", sign: {as: organisation}",
                    ", do: [deliver]",
                    ", sign: {as: organisation}, do: [deliver]",
                    ", sign: {as: person}, number: book",
                    ", ask: {reason: text!}, do: [void_number]",
                )
            )
        )
        transitions.append(line + "}")
    transitions.append(f"send: {{from: s0, to: s{count - 1}, by: clerk, do: [deliver]}}")
    return "\n".join(
        [
            "workflow: random",
            "version: 1",
            "title: {en: Random}",
            "direction: outgoing",
            "states:",
            *(f"  {line}" for line in states),
            "transitions:",
            *(f"  {line}" for line in transitions),
        ]
    )


def steps_of(path: str) -> Iterator[tuple[str, str, str]]:
    """Yield from, trigger and to of every step of a printed path."""
    state = path.split(" ", 1)[0]
    for trigger, target in re.findall(r"-(\w+)-> (\w+)", path):
        yield state, trigger, target
        state = target


@given(small_workflows())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_printed_path_can_be_walked_and_shows_what_it_is_printed_for(text: str) -> None:
    definition = load_source(text.encode(), "random.yaml", prove=False).definition
    for _, message in violations(Graph(definition)):
        told = re.search(r"(?:^|: )(s\d(?: -\w+-> s\d)+)$", message)
        if told is None:
            continue
        held: set[str] = set()
        transition = None
        for source, trigger, target in steps_of(told[1]):
            if definition.states[source].is_editable:
                held -= {"person", "organisation"}
            transition = definition.transitions[trigger]
            assert source in transition.from_
            assert target == transition.to
            assert "has_number" not in transition.require or "number" in held
            assert "is_signed" not in transition.require or "person" in held
            held |= {"number"} if transition.number else set()
            held |= {transition.sign.as_} if transition.sign else set()
            held -= {"number"} if transition.does("void_number") else set()
        assert transition is not None
        for lacking, holding in (
            ("delivers without a number", "number"),
            ("delivers without a personal signature", "person"),
            ("delivers without the organisation's seal", "organisation"),
        ):
            if lacking in message:
                assert transition.does("deliver")
                assert holding not in held


@given(small_workflows(), st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_proven_needs_no_luck_on_the_way(text: str, data: st.DataObject) -> None:
    """Where the proofs hold, a faithful service never meets a delivery that lacks something."""
    compiled = load_source(text.encode(), "random.yaml", prove=False)
    proven = not any(
        "delivers without" in message for _, message in violations(Graph(compiled.definition))
    )
    document = Document(Facts("s0", roles=frozenset({"clerk"}), actor_id="anh"))
    document.facts = replace(document.facts, has_main_file=True, recipients_count=1, unit_id="u")
    for _ in range(data.draw(st.integers(1, 15))):
        if document.facts.pending:
            run_job(document, compiled, fails=False)
            continue
        leaving = compiled.definition.leaving(document.facts.state)
        if not leaving:
            break
        trigger = data.draw(st.sampled_from(leaving))
        transition = compiled.definition.transitions[trigger]
        asked = {"reason": "x"} if transition.ask else {}
        answer = decide(compiled, document.facts, trigger, asked)
        if isinstance(answer, Decision):
            document.apply(answer)
            document.asked, document.requester = asked, ("anh", frozenset({"clerk"}))
        elif proven:
            assert answer.code == "guard-failed"
            assert answer.rule in transition.require
    assert all(number and person and seal for number, person, seal in document.delivered_with)
