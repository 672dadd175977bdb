"""`decide()`: may this transition fire, and what then changes. Pure: values in, values out.

The rules, in the order in which they are checked (the first that says no is the answer):
1. The trigger exists in the workflow version of the document.
2. The document is not in a final state, and the transition leaves the state it is in.
3. While a signing job runs, nothing else fires. A failed one no longer blocks: what fires then
   clears it. Only a signing that was requested and is still pending can be completed.
4. The actor holds a role of `by`. For the completion of a signing, the requester's roles count.
5. The actor is none of those in `separate_from` (again the requester, for a completion). Of those who
   sign in any order, each has not signed yet, and nobody signs for two.
6. Every guard of `require` holds. To leave an editable state for one that is not (unless the
   document is dropped), its required fields are filled.
7. What `ask` demands is there and right; nothing else was given.
8. Evidence: a signing completes only with its signature on the current file; a transition that
   delivers needs number, personal signature and seal, whatever the workflow file says.

What a decision does:
9. A transition that signs takes two firings. The person's is the request: the state stays, the
   number (if any) is given and the signing is enqueued. The job's is the completion: the state
   changes, and everything in `do` happens there and only there. Of those who sign in any order, only
   the last one's completion changes the state.
10. A document that has a number keeps it: `number` gives one only where there is none, and
    `void_number` does nothing where there is none.
11. Entering an editable state drops the signatures.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from docflow.kernel.errors import IntegrityError
from docflow.workflow.definition import EffectDefinition, TransitionDefinition, WorkflowDefinition
from docflow.workflow.effects import (
    AllocateNumber,
    Assign,
    Deliver,
    DropSignatures,
    Effect,
    Route,
    Sign,
    VoidNumber,
)
from docflow.workflow.facts import Available, Decision, Facts, Refusal
from docflow.workflow.machine import CompiledWorkflow
from docflow.workflow.rules import Subject
from docflow.workflow.vocabulary import nearest


def decide(
    compiled: CompiledWorkflow, facts: Facts, trigger: str, asked: Mapping[str, Any]
) -> Decision | Refusal:
    """Decide whether `trigger` may fire, by the rules above.

    Args:
        compiled: the workflow version that the document is pinned to.
        facts: all that is known of document and actor.
        trigger: the name of the transition.
        asked: the input for its `ask` fields, as JSON values.

    Raises:
        IntegrityError: if the document stands in a state that its workflow does not have.
    """
    refusal = _no_way(compiled.definition, facts.state, trigger)
    if refusal is not None:
        return refusal
    subject = Subject(facts.state, facts, asked)
    if not compiled.engine.fire(trigger, subject):
        if subject.refusal is None:  # pragma: no cover - the engine stops only at our rules
            raise IntegrityError(f"the engine refused {trigger!r} and no rule did")
        return subject.refusal
    return _decision(compiled.definition, trigger, subject)


def available(compiled: CompiledWorkflow, facts: Facts) -> list[Available]:
    """List every transition that leaves the document's state, and whether the actor may fire it.

    Raises:
        IntegrityError: if the document stands in a state that its workflow does not have.
    """
    definition = compiled.definition
    _known_state(definition, facts.state)
    listed = []
    for trigger in definition.leaving(facts.state):
        transition = definition.transitions[trigger]
        subject = Subject(facts.state, facts, {}, judge_input=False)
        allowed = compiled.engine.fire(trigger, subject)
        listed.append(
            Available(
                trigger=trigger,
                title=transition.title,
                to=transition.to,
                allowed=allowed,
                refusal=None if allowed else subject.refusal,
                ask=transition.ask,
                signs=transition.sign.as_ if transition.sign else None,
            )
        )
    return listed


def _known_state(definition: WorkflowDefinition, state: str) -> None:
    if state not in definition.states:
        raise IntegrityError(
            f"the document stands in state {state!r}, which workflow {definition.workflow} "
            f"version {definition.version} does not have"
        )


def _no_way(definition: WorkflowDefinition, state: str, trigger: str) -> Refusal | None:
    """Rules 1 and 2."""
    _known_state(definition, state)
    here = definition.leaving(state)
    listed = ", ".join(here) or "none"
    if trigger not in definition.transitions:
        guess = nearest(trigger, definition.transitions)
        return Refusal(
            "unknown-trigger",
            "transitions",
            f"Workflow {definition.workflow!r} has no transition {trigger[:80]!r}.",
            (f"did you mean {guess!r}? " if guess else "")
            + f"known: {', '.join(definition.transitions)}; from {state!r}: {listed}",
        )
    title = definition.state_title(state)
    if definition.states[state].final:
        return Refusal(
            "closed",
            "final",
            f"The document is {title!r} ({state}), and that is final.",
            "nothing; start a new document",
        )
    if trigger not in here:
        sources = ", ".join(definition.transitions[trigger].from_)
        return Refusal(
            "not-from-this-state",
            "from",
            f"{trigger!r} does not leave {title!r} ({state}), where the document is.",
            f"{trigger!r} leaves: {sources}; from {state!r}: {listed}",
        )
    return None


def _decision(definition: WorkflowDefinition, trigger: str, subject: Subject) -> Decision:
    facts, transition = subject.facts, definition.transitions[trigger]
    requested = transition.sign is not None and facts.completing is None
    effects: list[Effect] = []
    if transition.number and not facts.number:
        effects.append(AllocateNumber(transition.number.book, _number_date(transition, subject)))
    if requested and transition.sign is not None:
        sign = transition.sign
        effects.append(Sign(sign.as_, sign.level, sign.place, sign.fallback))
    else:
        for item in transition.do:
            effects.extend(_effect(item, subject))
        if definition.states[subject.state].is_editable:
            effects.append(DropSignatures())
    return Decision(
        trigger=trigger,
        from_state=facts.state,
        to=subject.state,
        phase="request" if requested else "complete",
        effects=tuple(effects),
        asked=MappingProxyType(subject.clean),
        clears_pending=facts.pending is not None,
    )


def _number_date(transition: TransitionDefinition, subject: Subject) -> date | None:
    if transition.number is None or transition.number.date is None:
        return None
    given = subject.clean.get(transition.number.date)
    return date.fromisoformat(given) if given else None


def _effect(item: EffectDefinition, subject: Subject) -> list[Effect]:
    """Return the effect as data; the loader has checked that its field exists and is required."""
    value = subject.clean[item.field] if item.field else ""
    match item.effect:
        case "assign":
            return [Assign(value)]
        case "route":
            return [Route(value)]
        case "void_number":
            return [VoidNumber(value)] if subject.facts.number else []
        case "deliver":
            return [Deliver()]
    raise LookupError(f"no effect {item.effect!r}")  # pragma: no cover - the loader knows them all
