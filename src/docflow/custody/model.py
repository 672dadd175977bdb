"""What the room works with, and what it hands out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from docflow.documents.desk import Desk
from docflow.people.vocabulary import Permission

Kind = Literal["break-glass", "lowering", "recovery"]
State = Literal["open", "approved", "refused", "expired", "ended"]
Decision = Literal["approved", "refused"]

DECIDES: Final[Mapping[Kind, Permission]] = {
    "break-glass": Permission.BREAK_GLASS_DECIDE,
    "lowering": Permission.LOWERING_DECIDE,
    "recovery": Permission.RECOVERY_DECIDE,
}
"""What the second person must be permitted on the document."""


@dataclass(frozen=True, slots=True)
class Custody:
    """The room's tools.

    Attributes:
        desk: the documents room's tools.
        to_decide: how long after it was asked a request can be decided.
        longest_access: how long what was approved holds at most.
        open_requests: how many undecided requests one person may have.
    """

    desk: Desk
    to_decide: timedelta
    longest_access: timedelta
    open_requests: int = 20


@dataclass(frozen=True, slots=True)
class Who:
    """A person, as shown."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as one person may see it.

    Attributes:
        id: the request's id.
        kind: which act it is about.
        state: how it stands; to who asked for break-glass access, refused is still `open`.
        asked_for: how the document was named by who asked; None if withheld.
        reason: why it was asked for; None if withheld.
        decision_reason: why it was decided so; None if undecided or withheld.
        withheld: whether words are kept back, because they are content of a document that this
            person may not read.
        document_id: the document; None where it would tell more than this person may know.
        data: what is particular to the kind (hours; from, to).
        asked_by: who asked.
        asked_at: when.
        expires_at: undecided until then, it is over.
        decided_by: who decided.
        decided_at: when.
        until: until when what was approved holds; None if that has no end.
    """

    id: str
    kind: Kind
    state: State
    asked_for: str | None
    reason: str | None
    decision_reason: str | None
    withheld: bool
    document_id: str | None
    data: Mapping[str, Any]
    asked_by: Who
    asked_at: datetime
    expires_at: datetime
    decided_by: Who | None
    decided_at: datetime | None
    until: datetime | None
