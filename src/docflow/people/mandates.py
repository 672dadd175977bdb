"""In whose place a person may sign: mandates, each with a capacity, a principal and an end.

Rules:
1. A mandate says in what capacity (`TM`, `Q`, `KT`, `TL`, `TUQ`) and for which principal: a unit or a
   person, and the title that is printed. `TUQ` is limited in time [ND30], so it needs an end.
2. It gives no right to fire anything; it says how the signature of someone who may is to be read.
3. Nothing is deleted: a mandate ends by its date or is revoked. Each change is an entry of the person.

Source: Decree 30/2020/NĐ-CP, Annex I, 7 (capacity of the signer).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa

from docflow.db import Database, Draft
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from docflow.kernel.ids import is_id, new_id
from docflow.people import access
from docflow.people.records import (
    as_mapping,
    claim_id,
    clean,
    fetch,
    page_of,
    require_recorded,
)
from docflow.people.signing_tables import mandates
from docflow.people.tables import people, units
from docflow.people.views import Page
from docflow.people.vocabulary import Permission

Capacity = Literal["TM", "Q", "KT", "TL", "TUQ"]
PREFIXES: Final[dict[str, str]] = {
    "TM": "TM.",
    "Q": "Q.",
    "KT": "KT.",
    "TL": "TL.",
    "TUQ": "TUQ.",
}
"""Capacity → how it is written before the principal's title."""
_LONGEST_TITLE: Final = 100


@dataclass(frozen=True, slots=True)
class NewMandate:
    """What an administrator grants.

    Attributes:
        capacity: see `PREFIXES`.
        title: the principal's title as printed, `GIÁM ĐỐC`.
        unit_id: the collective or unit in whose name; this or `on_behalf_id`.
        on_behalf_id: the person in whose place.
        basis: the decision or paper that gives it.
        valid_from: from when.
        valid_until: until when; None for no end.
    """

    capacity: Capacity
    title: str
    unit_id: str | None
    on_behalf_id: str | None
    basis: str
    valid_from: datetime
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Mandate:
    """A mandate that was granted."""

    id: str
    person_id: str
    capacity: Capacity
    title: str
    unit_id: str | None
    on_behalf_id: str | None
    basis: str
    valid_from: datetime
    valid_until: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class Mandates:
    """The mandates of people."""

    def __init__(
        self, database: Database, undrawable: Callable[[str], str] = lambda _title: ""
    ) -> None:
        """Hold the database, and what names the characters of a title that the page cannot show."""
        self._database = database
        self._undrawable = undrawable

    def grant(
        self, actor: Actor, person_id: str, new: NewMandate, *, claim: Claim | None = None
    ) -> Mandate:
        """Grant a mandate.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if the person or the principal does not exist.
            InvalidInputError: if principal, title or times do not fit; code `stamp-text` for a title that
                the typeface on the page cannot draw.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        _check(person_id, new)
        self._require_drawable(new.title)
        row = {name: getattr(new, name) for name in NewMandate.__dataclass_fields__}
        row |= {"id": new_id(), "person_id": person_id, "title": clean("name", new.title)}
        with self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, row["id"])
            person = fetch(uow.connection, people, person_id, lock=True)
            if new.unit_id is not None:
                fetch(uow.connection, units, new.unit_id)
            if new.on_behalf_id is not None:
                fetch(uow.connection, people, new.on_behalf_id)
            uow.put(mandates, row | {"created_at": uow.now, "created_by": actor.id})
            data = {"mandate": row["id"], "capacity": new.capacity}
            data |= {"unit_id": new.unit_id, "on_behalf_id": new.on_behalf_id}
            details = {"title": row["title"], "basis": new.basis}
            uow.change(people, person, {}, Draft("person.mandate-granted", data, details))
            return _view(_own(uow.connection, person_id, row["id"]))

    def _require_drawable(self, title: str) -> None:
        """Refuse now what could not be put on the page when somebody signs."""
        absent = self._undrawable(title)
        if absent:
            raise InvalidInputError(
                f"The title holds {absent!r}, which the typeface on the page cannot draw.",
                code="stamp-text",
                fields=[FieldProblem("/title", "characters that cannot be drawn")],
            )

    def revoke(self, actor: Actor, person_id: str, mandate_id: str) -> Mandate:
        """End a mandate now; one that was revoked stays as it is.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is none.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            person = fetch(uow.connection, people, person_id, lock=True)
            row = _own(uow.connection, person_id, mandate_id)
            if row["revoked_at"] is None:
                values = {"revoked_at": uow.now, "revoked_by": actor.id}
                uow.alter(mandates, person_id, mandates.c.id == mandate_id, values)
                draft = Draft("person.mandate-revoked", {"mandate": mandate_id})
                uow.change(people, person, {}, draft)
            return _view(_own(uow.connection, person_id, mandate_id))

    def get(self, actor: Actor, person_id: str, mandate_id: str) -> Mandate:
        """Return one mandate.

        Raises:
            NotFoundError: if there is none.
        """
        access.require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            return _view(_own(connection, person_id, mandate_id))

    def list(
        self, actor: Actor, person_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Mandate]:
        """Return a page of a person's mandates, oldest first, ended ones too.

        Raises:
            NotFoundError: if there is no such person.
            InvalidInputError: if the cursor or limit is wrong.
        """
        access.require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            fetch(connection, people, person_id)
            own = mandates.c.person_id == person_id
            rows, following = page_of(connection, mandates, [own], cursor, limit)
        return Page(tuple(_view(row) for row in rows), following)


def capacity_line(connection: sa.Connection, person_id: str, mandate_id: str, now: datetime) -> str:
    """Return what is written for a mandate in force: `KT. GIÁM ĐỐC`.

    Raises:
        ConflictError: code `mandate-not-in-force` if it is no one's, another's, or not in force.
    """
    row: Mapping[str, Any] | None
    try:
        row = _own(connection, person_id, mandate_id)
    except NotFoundError:
        row = None
    if row is not None and _in_force(row, now):
        return f"{PREFIXES[row['capacity']]} {row['title']}"
    raise ConflictError(
        "You have no such mandate in force.",
        code="mandate-not-in-force",
        rule="mandate",
        satisfied_by="Sign in your own name, or have an administrator grant the mandate.",
        fields=[FieldProblem("/mandate", "not in force")],
    )


def _in_force(row: Mapping[str, Any], now: datetime) -> bool:
    begun = row["revoked_at"] is None and row["valid_from"] <= now
    return begun and (row["valid_until"] is None or now < row["valid_until"])


def _check(person_id: str, new: NewMandate) -> None:
    problems = []
    if (new.unit_id is None) == (new.on_behalf_id is None):
        problems.append(FieldProblem("/unit_id", "name this or on_behalf_id, one of the two"))
    if new.on_behalf_id == person_id:
        problems.append(FieldProblem("/on_behalf_id", "nobody has a mandate for themselves"))
    if len(new.title) > _LONGEST_TITLE:
        problems.append(FieldProblem("/title", f"at most {_LONGEST_TITLE} characters"))
    if new.valid_until is not None and new.valid_until <= new.valid_from:
        problems.append(FieldProblem("/valid_until", "after valid_from"))
    if new.capacity == "TUQ" and new.valid_until is None:
        problems.append(FieldProblem("/valid_until", "a TUQ mandate is limited in time"))
    if problems:
        raise InvalidInputError("The mandate is not right.", fields=problems)


def _own(connection: sa.Connection, person_id: str, mandate_id: str) -> Mapping[str, Any]:
    if is_id(mandate_id):
        row = connection.execute(
            sa.select(mandates).where(
                mandates.c.id == mandate_id, mandates.c.person_id == person_id
            )
        ).mappings().one_or_none()  # fmt: skip
        if row is not None:
            return as_mapping(row)
    raise NotFoundError("This person has no such mandate.")


def _view(row: Mapping[str, Any]) -> Mandate:
    return Mandate(**{name: row[name] for name in Mandate.__dataclass_fields__})
