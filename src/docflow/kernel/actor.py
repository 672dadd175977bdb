"""Who acts: a person, an integrating system, a recipient from outside, or the service itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

ActorKind = Literal["person", "system", "recipient", "service"]

OPEN_LEVELS: Final = frozenset({"public", "internal"})
"""What an actor may see of whom nothing was said; `Authenticator` says it of everyone who comes in."""


@dataclass(frozen=True, slots=True)
class Office:
    """An office that an actor holds: a role in a unit."""

    unit_id: str
    role: str


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated actor, with everything the access rule needs; plain values only.

    Attributes:
        id: the person's, system's or recipient's identifier; `service` for docflow's own jobs.
        kind: which of these it is.
        name: how to show it.
        offices: offices held today.
        unit_tree: for each unit in which an office is held, that unit and all below it.
        scopes: what an API key is limited to; None for a person's session (no further limit).
        recipient_ids: recipients of the directory that this actor may receive for.
        cleared: the classifications that this actor may see today, given a reason to know.
        granted: ids of documents opened to this actor for a time by break-glass access, whatever
            their unit and classification.
        authenticated_at: when the person gave the password last; None for an API key.
    """

    id: str
    kind: ActorKind
    name: str = ""
    offices: tuple[Office, ...] = ()
    unit_tree: tuple[tuple[str, frozenset[str]], ...] = ()
    scopes: frozenset[str] | None = None
    recipient_ids: frozenset[str] = frozenset()
    cleared: frozenset[str] = OPEN_LEVELS
    granted: frozenset[str] = frozenset()
    authenticated_at: datetime | None = None

    def roles(self) -> frozenset[str]:
        """Return the role names of every office held."""
        return frozenset(office.role for office in self.offices)


SERVICE = Actor(id="service", kind="service", name="docflow")
