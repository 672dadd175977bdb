"""What `decide` is told about a document and the actor, and what it answers. Values only.

Rules:
1. Whoever calls `decide` gathers the facts, in the transaction that will apply the decision.
2. A refusal names the rule and what would satisfy it, for a person and for a program.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from docflow.kernel.errors import FieldProblem
from docflow.workflow.definition import FieldDefinition
from docflow.workflow.effects import Effect

Phase = Literal["request", "complete"]
ConversionState = Literal["", "pending", "failed"]
SignatureState = Literal["valid", "not-valid", "unsigned", "pending"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Completion:
    """The signing job is done: it completes, as docflow itself, what a person asked for.

    Attributes:
        trigger: the transition whose signing is done.
        requested_by: the id of the person who fired it.
        requested_roles: the roles that person holds, relative ones included.
    """

    trigger: str
    requested_by: str
    requested_roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision rests on.

    Attributes:
        state: where the document stands.
        roles: every role the actor holds, relative ones (author, unit_head …) included.
        actor_id: who asks.
        people: relative role → ids of the people it stands for, for `separate_from`.
        fired_by: trigger → ids of the people who ever fired it on this document.
        has_main_file: whether there is a main file.
        conversion: whether something is still made of a file, or could not be; else empty.
        recipients_count: how many recipients the document has.
        number: the number in the register, if the document has one that is not void.
        assignee_id: the person it is assigned to.
        unit_id: the unit it is routed to or drafted in.
        duplicate_unresolved: whether a duplicate report waits to be resolved.
        signed_by: transition → who signed by it, of the personal signatures on the current file in the
            order of signing.
        signed_person: evidence of a valid personal signature on the current file.
        sealed: evidence of a valid seal of the organisation on the current file.
        signatures: what the signatures with which the files came in are worth.
        pending: the trigger whose signing job runs (or failed), if any.
        pending_failed: whether that job failed for good.
        completing: set when the signing job asks, not a person.
        fields: the values of the workflow's own document fields.
    """

    state: str
    roles: frozenset[str] = frozenset()
    actor_id: str = ""
    people: Mapping[str, frozenset[str]] = field(default_factory=lambda: _NOTHING)
    fired_by: Mapping[str, frozenset[str]] = field(default_factory=lambda: _NOTHING)
    has_main_file: bool = False
    conversion: ConversionState = ""
    recipients_count: int = 0
    number: str | None = None
    assignee_id: str | None = None
    unit_id: str | None = None
    duplicate_unresolved: bool = False
    signed_by: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    signed_person: bool = False
    sealed: bool = False
    signatures: SignatureState = "unsigned"
    pending: str | None = None
    pending_failed: bool = False
    completing: Completion | None = None
    fields: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    @property
    def judged_id(self) -> str:
        """Return whose right is judged: the requester of a signing, else the actor."""
        return self.completing.requested_by if self.completing else self.actor_id

    @property
    def judged_roles(self) -> frozenset[str]:
        """Return the roles that are judged: the requester's of a signing, else the actor's."""
        return self.completing.requested_roles if self.completing else self.roles


@dataclass(frozen=True, slots=True)
class Decision:
    """The transition is allowed: what changes.

    Attributes:
        trigger: what was fired.
        from_state: where the document stood.
        to: where it stands now; the same state while `phase` is "request".
        phase: "request": a signature was asked for, and a job will complete; "complete": done.
        effects: what to apply, in order, in the same transaction.
        asked: the checked and normalised input; keep it for the completion of a signing.
        clears_pending: the document's pending signing is over, or replaced by this one.
    """

    trigger: str
    from_state: str
    to: str
    phase: Phase
    effects: tuple[Effect, ...]
    asked: Mapping[str, Any]
    clears_pending: bool = False


RefusalCode = Literal[
    "unknown-trigger",
    "closed",
    "not-from-this-state",
    "signing-in-progress",
    "signing-not-requested",
    "role-required",
    "separation-of-duties",
    "already-signed",
    "guard-failed",
    "missing-input",
    "invalid-input",
    "signature-missing",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The transition is refused.

    Attributes:
        code: stable machine name of the kind of refusal.
        rule: the rule that said no, as a guard's or role's name.
        reason: one sentence for a person.
        satisfied_by: what would satisfy the rule.
        fields: the bad fields, with JSON pointers under `/asked` or `/fields`.
    """

    code: RefusalCode
    rule: str
    reason: str
    satisfied_by: str
    fields: tuple[FieldProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Available:
    """One transition that leaves the document's state, and whether the actor may fire it.

    Input that `ask` demands is not judged here: it is what the actor is about to fill in.
    """

    trigger: str
    title: Mapping[str, str]
    to: str
    allowed: bool
    refusal: Refusal | None
    ask: Mapping[str, FieldDefinition]
    signs: str | None
