"""Fills a database from an office seed: what is missing is inserted, nothing is ever overwritten.

Rules: a unit, recipient, person or system is known by its code or login. Once it exists, what
people did to it since (renamed, moved, offices granted or revoked, deactivated) stays. So a second
run changes nothing, and a seed that grew adds only what is new.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from docflow.db import Database, UnitOfWork
from docflow.kernel.actor import SERVICE, Office
from docflow.kernel.errors import ConfigurationError, DocflowError
from docflow.kernel.ids import new_id
from docflow.people.offices import check_office
from docflow.people.passwords import Passwords, check_new_password
from docflow.people.seed_base import Login
from docflow.people.seed_models import Clearance, OfficeSeed, Person, System, Unit
from docflow.people.tables import accounts, people, recipients, units
from docflow.people.vocabulary import Role
from docflow.people.writing import add_account, add_person, add_recipient, add_unit

GivePassword = Callable[[str], str | None]

_LOGIN: Final = TypeAdapter(Login)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What a run inserted; all zero where everything was there."""

    units: int = 0
    people: int = 0
    recipients: int = 0
    accounts: int = 0


def seed(
    database: Database,
    office: OfficeSeed,
    passwords: GivePassword | None = None,
    *,
    hasher: Passwords | None = None,
) -> Seeded:
    """Insert what the seed has and the database lacks, in one transaction; safe to run again.

    Args:
        database: a migrated database.
        office: the checked seed.
        passwords: gives the password of a login that has no account yet, None for no account. It
            is asked for each person, and for each external recipient whose code in lower case
            can be a login.
        hasher: how passwords are hashed; today's parameters where left out.

    Raises:
        ConfigurationError: if the seed gives someone an office that they may not hold.
        InvalidInputError: with code `weak-password`.
    """
    hashes = _hashes(database, office, passwords, hasher or Passwords())
    try:
        return _insert(database, office, hashes)
    except sa.exc.IntegrityError:
        return _insert(database, office, hashes)  # another process seeded at the same moment


def _hashes(
    database: Database, office: OfficeSeed, passwords: GivePassword | None, hasher: Passwords
) -> dict[str, str]:
    """Hash the passwords of accounts to be made; slow, so outside of the transaction."""
    if passwords is None:
        return {}
    with database.read() as connection:
        there = set(connection.execute(sa.select(accounts.c.login)).scalars())
    logins = [person.login for person in office.people]
    logins += [login for login in map(_recipient_login, _outside(office)) if login is not None]
    found: dict[str, str] = {}
    for login in dict.fromkeys(logins):
        password = passwords(login) if login not in there else None
        if password is not None:
            check_new_password(password, login)
            found[login] = hasher.hash(password)
    return found


def _insert(database: Database, office: OfficeSeed, hashes: dict[str, str]) -> Seeded:
    with database.unit_of_work(SERVICE) as uow:
        unit_ids, new_units = _units(uow, office.units)
        person_ids, new_people = _people(uow, office, unit_ids)
        recipient_ids, new_recipients = _recipients(uow, office, unit_ids, person_ids)
        new_accounts = _accounts(uow, office, hashes, person_ids, recipient_ids)
    return Seeded(new_units, new_people, new_recipients, new_accounts)


def _ids(uow: UnitOfWork, key: sa.Column[str], row_id: sa.Column[str]) -> dict[str, str]:
    return {row[0]: row[1] for row in uow.connection.execute(sa.select(key, row_id))}


def _units(uow: UnitOfWork, wanted: Iterable[Unit]) -> tuple[dict[str, str], int]:
    ids = _ids(uow, units.c.code, units.c.id)
    before = len(ids)
    waiting = [unit for unit in wanted if unit.code not in ids]
    while waiting:  # parents first; the seed is checked to be one tree
        for unit in [unit for unit in waiting if unit.parent is None or unit.parent in ids]:
            ids[unit.code] = new_id()
            parent_id = ids[unit.parent] if unit.parent is not None else None
            row = {"id": ids[unit.code], "code": unit.code, "name": unit.name.vi}
            add_unit(uow, {**row, "parent_id": parent_id})
        waiting = [unit for unit in waiting if unit.code not in ids]
    return ids, len(ids) - before


def _people(
    uow: UnitOfWork, office: OfficeSeed, unit_ids: dict[str, str]
) -> tuple[dict[str, str], int]:
    ids = _ids(uow, people.c.login, people.c.id)
    before = len(ids)
    zone = ZoneInfo(office.organisation.timezone)
    everyone: list[Person | System] = [*office.people, *office.systems]
    for one in everyone:
        if one.login in ids:
            continue
        ids[one.login] = new_id()
        if isinstance(one, Person):
            kind, name = "person", one.name
            granted = [Office(unit_ids[held.unit], held.role) for held in one.offices]
        else:
            kind, name = "system", one.name.vi
            granted = [Office(unit_ids[one.unit], Role.INTEGRATOR.value)]
        _check_offices(uow, one.login, kind, granted)
        row = {"id": ids[one.login], "kind": kind, "login": one.login, "name": name}
        add_person(uow, row, granted, _cleared(one.clearance, zone))
    return ids, len(ids) - before


def _cleared(clearance: Clearance | None, zone: ZoneInfo) -> tuple[str, datetime] | None:
    """Return level and expiry: the beginning, in the office, of the day that counts no more."""
    if clearance is None:
        return None
    expires_at = datetime.combine(clearance.until, time(), zone).astimezone(UTC)
    return clearance.level, expires_at


def _check_offices(uow: UnitOfWork, login: str, kind: str, granted: list[Office]) -> None:
    for index, office in enumerate(granted):
        try:
            check_office(uow.connection, kind, granted[:index], office.unit_id, office.role)
        except DocflowError as error:
            raise ConfigurationError(
                f"The office seed cannot be used: {login}: {error.detail}", code="office-seed"
            ) from error


def _recipients(
    uow: UnitOfWork, office: OfficeSeed, unit_ids: dict[str, str], person_ids: dict[str, str]
) -> tuple[dict[str, str], int]:
    ids = _ids(uow, recipients.c.code, recipients.c.id)
    before = len(ids)
    for recipient in office.recipients:
        if recipient.code not in ids:
            ids[recipient.code] = new_id()
            row = {
                "id": ids[recipient.code],
                "code": recipient.code,
                "name": recipient.name.vi,
                "kind": recipient.kind,
                "external": recipient.external,
                "unit_id": unit_ids[recipient.unit] if recipient.unit else None,
                "person_id": person_ids[recipient.login] if recipient.login else None,
            }
            add_recipient(uow, row)
    return ids, len(ids) - before


def _accounts(
    uow: UnitOfWork,
    office: OfficeSeed,
    hashes: dict[str, str],
    person_ids: dict[str, str],
    recipient_ids: dict[str, str],
) -> int:
    there = set(uow.connection.execute(sa.select(accounts.c.login)).scalars())
    owners: list[tuple[str | None, str | None, str | None]] = [
        (person.login, person_ids[person.login], None) for person in office.people
    ]
    owners += [(_recipient_login(code), None, recipient_ids[code]) for code in _outside(office)]
    made = 0
    for login, person_id, recipient_id in owners:
        taken = recipient_id is not None and login in person_ids
        if login is None or login in there or login not in hashes or taken:
            continue
        row = {"id": new_id(), "login": login, "password_hash": hashes[login]}
        add_account(uow, {**row, "person_id": person_id, "recipient_id": recipient_id})
        there.add(login)
        made += 1
    return made


def _outside(office: OfficeSeed) -> list[str]:
    return [recipient.code for recipient in office.recipients if recipient.external]


def _recipient_login(code: str) -> str | None:
    try:
        return _LOGIN.validate_python(code.lower())
    except ValidationError:
        return None
