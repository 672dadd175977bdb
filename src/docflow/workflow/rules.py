"""The rules that a transition must pass, in the order of `RULES`; each answers with a refusal.

Rules are pure. The order is part of the contract: whoever may not fire a transition learns that,
and nothing of what else it would have needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from docflow.kernel.errors import FieldProblem
from docflow.workflow.definition import TransitionDefinition, WorkflowDefinition
from docflow.workflow.facts import Facts, Refusal
from docflow.workflow.guards import find_guard
from docflow.workflow.values import check_values, validate_fields
from docflow.workflow.vocabulary import ROLES, SEPARABLE_ROLES


@dataclass(slots=True)
class Subject:
    """The throw-away object that one firing runs on; the engine moves its `state`."""

    state: str
    facts: Facts
    asked: Mapping[str, Any]
    judge_input: bool = True
    refusal: Refusal | None = None
    clean: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """The transition that is judged, in its workflow."""

    definition: WorkflowDefinition
    trigger: str
    transition: TransitionDefinition


Rule = Callable[[Case, Subject], Refusal | None]


def pending(case: Case, subject: Subject) -> Refusal | None:
    """Nothing happens beside a running signature, and only a requested one is completed."""
    facts = subject.facts
    if facts.completing is None:
        if facts.pending is None or facts.pending_failed:
            return None
        return Refusal(
            "signing-in-progress",
            "signing",
            f"The signing that {facts.pending!r} asked for is in progress.",
            "wait until it is done, or until it has failed for good",
        )
    asked_for = facts.completing.trigger == case.trigger == facts.pending
    if asked_for and case.transition.sign is not None:
        return None
    return Refusal(
        "signing-not-requested",
        "signing",
        f"No signing that {case.trigger!r} asked for is pending on this document.",
        f"fire {case.trigger!r} anew",
    )


def role(case: Case, subject: Subject) -> Refusal | None:
    """Whoever fires it holds one of the roles in `by`."""
    if subject.facts.judged_roles.intersection(case.transition.by):
        return None
    return Refusal(
        "role-required",
        "by",
        f"{_named(case)} is not for you to fire.",
        f"a person who is: {_by(case)}",
    )


def separation(case: Case, subject: Subject) -> Refusal | None:
    """Whoever fires it is none of those it is separated from."""
    facts = subject.facts
    for name in case.transition.separate_from:
        relative = name in SEPARABLE_ROLES
        if facts.judged_id not in (facts.people if relative else facts.fired_by).get(name, ()):
            continue
        who = f"the {name}" if relative else f"whoever fired {name!r} on this document"
        return Refusal(
            "separation-of-duties",
            "separate_from",
            f"{_named(case)} must be fired by someone other than {who}.",
            f"another person who is: {_by(case)}",
        )
    return None


def each_once(case: Case, subject: Subject) -> Refusal | None:
    """Of those who sign in any order, each signs once, and nobody for two."""
    facts = subject.facts
    together = case.definition.in_any_order(case.trigger)
    signed = [name for name in together if name in facts.signed_by]
    left = [name for name in together if name not in facts.signed_by]
    if case.trigger in signed:
        return Refusal(
            "already-signed",
            "any_order",
            f"{_named(case)} is done: its signature is on the file.",
            f"still to be signed, in any order: {', '.join(left)}",
        )
    for name in signed:
        if facts.signed_by[name] == facts.judged_id:
            return Refusal(
                "separation-of-duties",
                "any_order",
                f"{_named(case)} must be signed by someone other than who signed by {name!r}.",
                f"another person who is: {_by(case)}",
            )
    return None


def guards(case: Case, subject: Subject) -> Refusal | None:
    """Everything in `require` holds, and the document's own required fields are filled."""
    for name in case.transition.require:
        verdict = find_guard(name)(subject.facts)
        if not verdict.ok:
            return Refusal("guard-failed", name, verdict.sentence, verdict.satisfied_by)
    if not _leaves_drafting(case, subject.facts.state):
        return None
    problems = validate_fields(case.definition, subject.facts.fields, complete=True)
    if not problems:
        return None
    return Refusal(
        "guard-failed",
        "fields_complete",
        f"The document's fields are not complete: {_told(problems)}.",
        "fill in what is required and correct what is wrong",
        tuple(problems),
    )


def asked_input(case: Case, subject: Subject) -> Refusal | None:
    """What `ask` demands is there and right, and nothing else is."""
    if not subject.judge_input:
        return None
    subject.clean, problems = check_values(
        case.transition.ask, subject.asked, complete=True, pointer="/asked"
    )
    if not problems:
        return None
    given = {f"/asked/{name}" for name in subject.asked if not _blank(subject.asked[name])}
    lacking = all(problem.pointer not in given for problem in problems)
    lacking = lacking and set(subject.asked) <= set(case.transition.ask)
    return Refusal(
        "missing-input" if lacking else "invalid-input",
        "ask",
        f"{_named(case)} asks for more or for something else: {_told(problems)}.",
        "give: " + (", ".join(case.transition.ask) or "nothing"),
        tuple(problems),
    )


def evidence(case: Case, subject: Subject) -> Refusal | None:
    """A signing completes only with its signature; a delivery only signed, sealed and numbered."""
    facts, transition = subject.facts, case.transition
    signer = transition.sign.as_ if transition.sign else None
    requested = signer if facts.completing is None else None  # what this very firing asks for
    delivers = transition.does("deliver")
    numbers = transition.number is not None
    if not facts.number and (delivers or numbers) and (facts.completing or not numbers):
        return Refusal(
            "guard-failed",
            "has_number",
            f"{_named(case)} needs a number, and the document has none.",
            "fire a transition that numbers it first",
        )
    needed = {"person", "organisation"} if delivers else {signer}
    for who, held, what in (
        ("person", facts.signed_person, "a valid personal signature"),
        ("organisation", facts.sealed, "the organisation's valid seal"),
    ):
        if who in needed and not held and who != requested:
            return Refusal(
                "signature-missing",
                "signed-before-release",
                f"{_named(case)} needs {what} on the current file, and there is none.",
                f"get {what} on it first",
            )
    return None


RULES: Final[tuple[Rule, ...]] = (
    pending,
    role,
    separation,
    each_once,
    guards,
    asked_input,
    evidence,
)


def _leaves_drafting(case: Case, state: str) -> bool:
    """Tell whether the document stops being editable here, other than by being dropped."""
    target = case.definition.states[case.transition.to]
    dropped = target.final and not case.transition.does("deliver")
    return case.definition.states[state].is_editable and not target.is_editable and not dropped


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _named(case: Case) -> str:
    return f"{case.definition.transition_title(case.trigger)!r} ({case.trigger})"


def _by(case: Case) -> str:
    return ", ".join(f"{ROLES[name].title['en'].lower()} ({name})" for name in case.transition.by)


def _told(problems: list[FieldProblem]) -> str:
    return "; ".join(f"{p.pointer.rpartition('/')[2]}: {p.message}" for p in problems)
