"""The directory: units, people and systems with their offices, and recipients.

Rules: everyone inside may read it; administrators change it; clerks may add recipients. Nothing is
ever deleted: a person leaves by being deactivated, which ends sessions and revokes keys in the same
transaction. Each change is one transaction with its entry; entries hold ids, codes and roles, and
names only as details.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database, Draft, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor, Office
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people import clearances
from docflow.people.access import require
from docflow.people.offices import (
    check_administrator_stays,
    check_office,
    holding,
    offices_of,
    unit_heads,
)
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
from docflow.people.tables import accounts, api_keys, offices, people, sessions, units
from docflow.people.unit_rules import locked_tree, refuse_circle, refuse_second_root
from docflow.people.views import Page, Person, Unit, person_of, unit_of
from docflow.people.vocabulary import Permission, Role
from docflow.people.writing import add_person, add_unit

_KINDS: Final = ("person", "system")


class Directory:
    """Units, people and offices. Recipients are in `recipients.Recipients`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- units -----------------------------------------------------------------------------------

    def create_unit(
        self,
        actor: Actor,
        *,
        code: str,
        name: str,
        parent_id: str | None,
        claim: Claim | None = None,
    ) -> Unit:
        """Add a unit below another; without a parent, the top one, of which there is one.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if the code or name is not of its form.
            NotFoundError: if the parent does not exist.
            ConflictError: if the code is taken (`code-taken`) or there is a top (`second-root`).
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with unique("code"), self._database.unit_of_work(actor) as uow:
            row = {"id": new_id(), "code": clean("code", code), "name": clean("name", name)}
            claim_id(uow, claim, row["id"])
            if parent_id is None:
                refuse_second_root(uow.connection)
            else:
                fetch(uow.connection, units, parent_id)
            add_unit(uow, {**row, "parent_id": parent_id})
            return unit_of(fetch(uow.connection, units, row["id"]))

    def change_unit(
        self,
        actor: Actor,
        unit_id: str,
        *,
        version: int | None = None,
        name: str | None = None,
        parent_id: str | None = None,
    ) -> Unit:
        """Rename a unit or move it below another; what is None stays.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if the unit or the new parent does not exist.
            ConflictError: with code `unit-circle` if the new parent lies below the unit.
            StaleVersionError: if the unit is not at `version`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            tree = locked_tree(uow.connection) if parent_id is not None else None
            row = fetch(uow.connection, units, unit_id, lock=True)
            check_version(row, version)
            values: dict[str, Any] = {}
            if name is not None:
                values["name"] = clean("name", name)
            if parent_id is not None and tree is not None:
                fetch(uow.connection, units, parent_id)
                refuse_circle(tree, row, parent_id)
                values["parent_id"] = parent_id
            change_row(uow, units, row, values, Change("unit.changed", public=("parent_id",)))
            return unit_of(fetch(uow.connection, units, unit_id))

    def unit(self, actor: Actor, unit_id: str) -> Unit:
        """Return one unit.

        Raises:
            NotFoundError: if it does not exist.
        """
        require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            return unit_of(fetch(connection, units, unit_id))

    def list_units(
        self,
        actor: Actor,
        *,
        code: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Unit]:
        """Return a page of the units, or of the one with a code.

        Raises:
            InvalidInputError: if the cursor or limit is wrong.
        """
        require(actor, Permission.DIRECTORY_READ)
        conditions = [units.c.code == clean("code", code)] if code is not None else []
        with self._database.read() as connection:
            rows, following = page_of(connection, units, conditions, cursor, limit)
        return Page(tuple(unit_of(row) for row in rows), following)

    def unit_heads(self, connection: sa.Connection, unit_id: str) -> frozenset[str]:
        """Return the ids of those who act as head of a unit, for `access.roles_on`.

        Its active heads; if it has none, those of the nearest unit above that has some; if none
        has, the leaders of the nearest unit that has leaders. Runs in the caller's transaction.
        """
        return unit_heads(connection, unit_id)

    # -- people and systems ----------------------------------------------------------------------

    def create_person(
        self,
        actor: Actor,
        *,
        login: str,
        name: str,
        kind: str = "person",
        held: Iterable[Office] = (),
        claim: Claim | None = None,
    ) -> Person:
        """Add a person or a system, with the offices held from the start.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if a value is not of its form, or an office is not for this kind.
            NotFoundError: if a unit does not exist.
            ConflictError: with code `login-taken` or `separation-of-duties`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        kind = _known_kind(kind)
        person_id = new_id()
        with unique("login"), self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, person_id)
            granted: list[Office] = []
            for office in dict.fromkeys(held):
                role = check_office(uow.connection, kind, granted, office.unit_id, office.role)
                granted.append(Office(office.unit_id, role.value))
            row = {"id": person_id, "kind": kind, "login": clean("login", login)}
            add_person(uow, {**row, "name": clean("name", name)}, granted)
            return _person(uow.connection, person_id, actor)

    def rename_person(
        self, actor: Actor, person_id: str, name: str, *, version: int | None = None
    ) -> Person:
        """Change how a person or system is shown.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such person.
            StaleVersionError: if the person is not at `version`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            change_row(uow, people, row, {"name": clean("name", name)}, Change("person.changed"))
            return _person(uow.connection, person_id, actor)

    def person(self, actor: Actor, person_id: str) -> Person:
        """Return one person or system.

        Raises:
            NotFoundError: if there is no such person.
        """
        require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            return _person(connection, person_id, actor)

    def list_people(
        self,
        actor: Actor,
        *,
        login: str | None = None,
        kind: str | None = None,
        active: bool | None = None,
        unit_id: str | None = None,
        role: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Person]:
        """Return a page of people and systems, of those who hold an office in a unit or of a role.

        Raises:
            InvalidInputError: if the role, cursor or limit is wrong.
        """
        require(actor, Permission.DIRECTORY_READ)
        conditions: list[sa.ColumnElement[bool]] = []
        if login is not None:
            conditions.append(people.c.login == clean("login", login))
        if kind is not None:
            conditions.append(people.c.kind == _known_kind(kind))
        if active is not None:
            conditions.append(people.c.active == active)
        if unit_id is not None or role is not None:
            conditions.append(holding(unit_id, role))
        with self._database.read() as connection:
            rows, following = page_of(connection, people, conditions, cursor, limit)
            listed = _people(connection, rows, actor)
        return Page(listed, following)

    def deactivate_person(
        self, actor: Actor, person_id: str, *, version: int | None = None
    ) -> Person:
        """Let a person or system in no more: ends its sessions and revokes its keys at once.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such person.
            ConflictError: with code `last-administrator`.
            StaleVersionError: if the person is not at `version`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            check_administrator_stays(uow.connection, person_id)
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            if row["active"]:
                uow.change(people, row, {"active": False}, Draft("person.deactivated", {}))
                _end_sessions(uow, person_id)
                _revoke_keys(uow, person_id)
            return _person(uow.connection, person_id, actor)

    def activate_person(
        self, actor: Actor, person_id: str, *, version: int | None = None
    ) -> Person:
        """Let a deactivated person or system in again; keys that were revoked stay so.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such person.
            StaleVersionError: if the person is not at `version`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            if not row["active"]:
                uow.change(people, row, {"active": True}, Draft("person.activated", {}))
                _end_sessions(uow, person_id)  # one opened in the very moment of deactivation
            return _person(uow.connection, person_id, actor)

    # -- offices ---------------------------------------------------------------------------------

    def grant_office(
        self,
        actor: Actor,
        person_id: str,
        *,
        unit_id: str,
        role: str,
        version: int | None = None,
    ) -> Person:
        """Let a person hold an office; holding it already is fine and changes nothing.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if the person or the unit does not exist.
            InvalidInputError: if the role is unknown or not for this person or unit.
            ConflictError: with code `separation-of-duties`.
            StaleVersionError: if the person is not at `version`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            held = offices_of(uow.connection, [person_id]).get(person_id, ())
            wanted = check_office(uow.connection, row["kind"], held, unit_id, role)
            if Office(unit_id, wanted.value) not in held:
                data = {"unit_id": unit_id, "role": wanted.value}
                uow.put(offices, {"person_id": person_id, **data})
                uow.change(people, row, {}, Draft("person.office-granted", data))
            return _person(uow.connection, person_id, actor)

    def revoke_office(
        self,
        actor: Actor,
        person_id: str,
        *,
        unit_id: str,
        role: str,
        version: int | None = None,
    ) -> Person:
        """Take an office from a person, from the next request on; not holding it is fine.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such person.
            ConflictError: with code `last-administrator`.
            StaleVersionError: if the person is not at `version`.
        """
        require_recorded(self._database, actor, Permission.DIRECTORY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            if role == Role.ADMINISTRATOR:
                check_administrator_stays(uow.connection, person_id)
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            held = offices_of(uow.connection, [person_id]).get(person_id, ())
            if Office(unit_id, role) in held:
                where = sa.and_(offices.c.unit_id == unit_id, offices.c.role == role)
                uow.remove(offices, person_id, where)
                data = {"unit_id": unit_id, "role": role}
                uow.change(people, row, {}, Draft("person.office-revoked", data))
            return _person(uow.connection, person_id, actor)


def _known_kind(kind: str) -> str:
    if kind not in _KINDS:
        raise InvalidInputError(
            f"{kind[:40]!r} is neither person nor system.",
            fields=[FieldProblem("/kind", "person or system")],
        )
    return kind


def _person(connection: sa.Connection, person_id: str, actor: Actor) -> Person:
    return _people(connection, [fetch(connection, people, person_id)], actor)[0]


def _people(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]], actor: Actor
) -> tuple[Person, ...]:
    ids = [row["id"] for row in rows]
    held = offices_of(connection, ids)
    cleared = clearances.shown_to(connection, actor, ids)
    return tuple(person_of(row, held.get(row["id"], ()), cleared.get(row["id"])) for row in rows)


def _end_sessions(uow: UnitOfWork, person_id: str) -> None:
    theirs = sa.select(accounts.c.id).where(accounts.c.person_id == person_id)
    uow.remove(sessions, None, sessions.c.account_id.in_(theirs))


def _revoke_keys(uow: UnitOfWork, person_id: str) -> None:
    theirs = api_keys.c.person_id == person_id
    statement = sa.select(api_keys.c.id).where(theirs, api_keys.c.revoked_at.is_(None))
    for key_id in uow.connection.execute(statement).scalars().all():
        row = fetch(uow.connection, api_keys, key_id, lock=True)
        uow.change(api_keys, row, {"revoked_at": uow.now}, Draft("api_key.revoked", {}))
