"""The engine: one flat machine of `transitions` per workflow version; its only importer.

Rules:
1. The machine gets names and callables, never a string from YAML to resolve; automatic
   transitions are off, so there is no way from state to state that the file does not have.
2. No model is kept on it. A firing runs on a throw-away subject, and the machine is not changed by
   it: threads share one machine.
3. A transition that signs is two edges: the request stays in the state, the completion moves on. One
   of those who sign in any order is three: a completion before the last one stays too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from transitions import EventData, Machine

from docflow.workflow.definition import WorkflowDefinition
from docflow.workflow.graph import Graph
from docflow.workflow.later_places import Seen, later_places, slot_of
from docflow.workflow.rules import RULES, Case, Rule, Subject

_Condition = str | Callable[..., bool | None]  # what `transitions` takes; ours are never text


class Engine:
    """Fires transitions of one workflow version."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        """Build the machine from a definition that the loader has resolved."""
        self._machine = Machine(
            model=None,
            states=list(definition.states),
            initial=definition.initial,
            auto_transitions=False,
            send_event=True,
        )
        for trigger, transition in definition.transitions.items():
            judged = [_passes(rule, Case(definition, trigger, transition)) for rule in RULES]
            edges: list[tuple[str | None, list[_Condition]]] = [(transition.to, judged)]
            if transition.sign is not None:
                last = _is_last(definition.in_any_order(trigger), trigger)
                edges = [
                    (None, [_is_request, *judged]),
                    (transition.to, [_is_completion, last, *judged]),
                    (None, [_is_completion, _not(last), *judged]),
                ]
            for target, conditions in edges:
                for source in transition.from_:
                    self._machine.add_transition(trigger, source, target, conditions=conditions)

    def fire(self, trigger: str, subject: Subject) -> bool:
        """Fire `trigger` on `subject`; its state moves, or its `refusal` says why not.

        Raises:
            transitions.MachineError: if the transition does not leave the subject's state; callers
                check that first.
        """
        return bool(self._machine.events[trigger].trigger(subject))


@dataclass(frozen=True)
class CompiledWorkflow:
    """One loaded workflow version; immutable, shared by threads.

    Attributes:
        definition: what the file says.
        sha256: the digest of the file's bytes, in hexadecimal.
        source: the file's text, to be stored: old versions are loaded from it.
        file: where it came from, for messages.
        engine: the machine that fires its transitions.
    """

    definition: WorkflowDefinition
    sha256: str
    source: str
    file: str
    engine: Engine

    @property
    def name(self) -> str:
        """Return the workflow's name."""
        return self.definition.workflow

    @cached_property
    def persons(self) -> int:
        """Return how many personal signatures a file carries when it is sealed."""
        return Graph(self.definition).persons

    @cached_property
    def later_places(self) -> dict[str, Seen]:
        """Return, by the transition of a first personal signature, where the later ones are seen."""
        return later_places(Graph(self.definition))

    def slot_of(self, before: Sequence[str], trigger: str) -> int:
        """Return which of a file's places a transition signs in (`later_places.slot_of`)."""
        seen = self.later_places.get(before[0], ()) if before else ()
        return slot_of(self.definition, seen, before, trigger)

    @cached_property
    def container(self) -> bool:
        """Tell whether the seal also puts the whole release into a container."""
        signs = (transition.sign for transition in self.definition.transitions.values())
        return any(sign is not None and sign.container is not None for sign in signs)

    @property
    def version(self) -> int:
        """Return the workflow's version."""
        return self.definition.version


def _subject(event: EventData) -> Subject:
    return cast("Subject", event.model)


def _passes(rule: Rule, case: Case) -> _Condition:
    def condition(event: EventData) -> bool:
        subject = _subject(event)
        subject.refusal = rule(case, subject)
        return subject.refusal is None

    return condition


def _is_request(event: EventData) -> bool:
    return _subject(event).facts.completing is None


def _is_last(together: tuple[str, ...], trigger: str) -> Callable[[EventData], bool]:
    """Return what tells whether everyone else of those who sign in any order has signed."""
    others = frozenset(together) - {trigger}

    def condition(event: EventData) -> bool:
        return others.issubset(_subject(event).facts.signed_by)

    return condition


def _not(condition: Callable[[EventData], bool]) -> Callable[[EventData], bool]:
    return lambda event: not condition(event)


def _is_completion(event: EventData) -> bool:
    return not _is_request(event)
