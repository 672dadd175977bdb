"""Who am I: what an actor may know about itself, with the names that front ends show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from docflow.db import Database
from docflow.kernel.actor import Actor, ActorKind
from docflow.people.clearances import shown_to
from docflow.people.records import as_mapping
from docflow.people.tables import accounts, people, recipients, units
from docflow.people.views import Clearance, Recipient, Unit, recipient_of, unit_of


@dataclass(frozen=True, slots=True)
class HeldOffice:
    """An office that the actor holds: a role, in a unit that is shown in full."""

    unit: Unit
    role: str


@dataclass(frozen=True, slots=True)
class Profile:
    """An actor as it is shown to itself.

    Attributes:
        id: the person's, system's or recipient's id.
        kind: which of these it is.
        name: how it is shown.
        login: its login; None for a recipient that has no account.
        offices: the offices held, with their units.
        scopes: what the API key in use is limited to; None for a session.
        recipients: the recipients that the actor may receive for.
        clearance: the actor's own, None if there is none on file.
    """

    id: str
    kind: ActorKind
    name: str
    login: str | None
    offices: tuple[HeldOffice, ...]
    scopes: tuple[str, ...] | None
    recipients: tuple[Recipient, ...]
    clearance: Clearance | None


def profile(database: Database, actor: Actor) -> Profile:
    """Return what the actor is and holds, at this moment."""
    unit_ids = {office.unit_id for office in actor.offices}
    login = sa.select(people.c.login).where(people.c.id == actor.id)
    if actor.kind == "recipient":
        login = sa.select(accounts.c.login).where(accounts.c.recipient_id == actor.id)
    with database.read() as connection:
        known = {row["id"]: unit_of(row) for row in _rows(connection, units, unit_ids)}
        received = _rows(connection, recipients, actor.recipient_ids)
        return Profile(
            id=actor.id,
            kind=actor.kind,
            name=actor.name,
            login=connection.execute(login).scalar_one_or_none(),
            offices=tuple(HeldOffice(known[o.unit_id], o.role) for o in actor.offices),
            scopes=None if actor.scopes is None else tuple(sorted(actor.scopes)),
            recipients=tuple(recipient_of(row) for row in received),
            clearance=shown_to(connection, actor, [actor.id]).get(actor.id),
        )


def _rows(
    connection: sa.Connection, table: sa.Table, ids: set[str] | frozenset[str]
) -> list[Mapping[str, Any]]:
    statement = sa.select(table).where(table.c.id.in_(sorted(ids))).order_by(table.c.id)
    return [as_mapping(row) for row in connection.execute(statement).mappings()]
