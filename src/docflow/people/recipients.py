"""The directory of recipients: organisations and persons, inside and outside, that documents go to.

Rules: a clerk or an administrator adds one, only administrators change it; an external one is
linked to no unit and no person of this office; a deactivated one gets no more documents and opens
no inbox, and its sessions end.
"""

from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people.access import require
from docflow.people.records import (
    Change,
    change_row,
    check_version,
    claim_id,
    clean,
    fetch,
    page_of,
    require_recorded,
    unique,
)
from docflow.people.tables import accounts, people, recipients, sessions, units
from docflow.people.views import Page, Recipient, recipient_of
from docflow.people.vocabulary import Permission
from docflow.people.writing import add_recipient

_KINDS: Final = ("organisation", "person")
_PUBLIC: Final = ("unit_id", "person_id", "active")


class Recipients:
    """Where documents go."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        actor: Actor,
        *,
        code: str,
        name: str,
        kind: str,
        external: bool,
        unit_id: str | None = None,
        person_id: str | None = None,
        claim: Claim | None = None,
    ) -> Recipient:
        """Add a recipient; an internal one may be a unit or a person of this office.

        Raises:
            ForbiddenError: if the actor is neither clerk nor administrator.
            InvalidInputError: if a value is not of its form or the links do not fit the kind.
            NotFoundError: if the unit or the person does not exist.
            ConflictError: with code `code-taken`.
        """
        require_recorded(self._database, actor, Permission.RECIPIENT_ADD)
        row: dict[str, Any] = {
            "id": new_id(),
            "code": clean("code", code),
            "name": clean("name", name),
            "kind": kind,
            "external": external,
            "unit_id": unit_id,
            "person_id": person_id,
        }
        with unique("code"), self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, row["id"])
            _check_links(uow.connection, row)
            add_recipient(uow, row)
            return recipient_of(fetch(uow.connection, recipients, row["id"]))

    def change(
        self,
        actor: Actor,
        recipient_id: str,
        *,
        version: int | None = None,
        name: str | None = None,
        active: bool | None = None,
        unit_id: str | None = None,
        person_id: str | None = None,
    ) -> Recipient:
        """Rename, link, deactivate or activate a recipient; what is None stays.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if a value is not of its form or the links do not fit the kind.
            NotFoundError: if the recipient, the unit or the person does not exist.
            StaleVersionError: if the recipient is not at `version`.
        """
        require_recorded(self._database, actor, Permission.RECIPIENT_MANAGE)
        wanted: dict[str, Any] = {
            "name": clean("name", name) if name is not None else None,
            "active": active,
            "unit_id": unit_id,
            "person_id": person_id,
        }
        values = {key: value for key, value in wanted.items() if value is not None}
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, recipients, recipient_id, lock=True)
            check_version(row, version)
            _check_links(uow.connection, {**row, **values})
            change_row(uow, recipients, row, values, Change("recipient.changed", public=_PUBLIC))
            if active is False:
                theirs = sa.select(accounts.c.id).where(accounts.c.recipient_id == recipient_id)
                uow.remove(sessions, None, sessions.c.account_id.in_(theirs))
            return recipient_of(fetch(uow.connection, recipients, recipient_id))

    def get(self, actor: Actor, recipient_id: str) -> Recipient:
        """Return one recipient.

        Raises:
            NotFoundError: if there is none.
        """
        require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            return recipient_of(fetch(connection, recipients, recipient_id))

    def list(
        self,
        actor: Actor,
        *,
        code: str | None = None,
        active: bool | None = None,
        external: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Recipient]:
        """Return a page of the recipients.

        Raises:
            InvalidInputError: if the cursor or limit is wrong.
        """
        require(actor, Permission.DIRECTORY_READ)
        conditions: list[sa.ColumnElement[bool]] = []
        if code is not None:
            conditions.append(recipients.c.code == clean("code", code))
        if active is not None:
            conditions.append(recipients.c.active == active)
        if external is not None:
            conditions.append(recipients.c.external == external)
        with self._database.read() as connection:
            rows, following = page_of(connection, recipients, conditions, cursor, limit)
        return Page(tuple(recipient_of(row) for row in rows), following)


def _check_links(connection: sa.Connection, row: dict[str, Any]) -> None:
    problem: FieldProblem | None = None
    if row["kind"] not in _KINDS:
        problem = FieldProblem("/kind", "organisation or person")
    elif row["external"] and (row["unit_id"] or row["person_id"]):
        problem = FieldProblem("/external", "an external recipient is no unit or person of ours")
    elif row["unit_id"] and row["kind"] == "person":
        problem = FieldProblem("/unit_id", "a person is not a unit")
    elif row["person_id"] and row["kind"] == "organisation":
        problem = FieldProblem("/person_id", "an organisation is not a person")
    if problem is not None:
        raise InvalidInputError(
            f"The recipient does not fit together: {problem.message}.", fields=[problem]
        )
    if row["unit_id"]:
        fetch(connection, units, row["unit_id"])
    if row["person_id"]:
        fetch(connection, people, row["person_id"])
