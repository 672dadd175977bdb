"""How a unit, a person, a recipient or an account is first written: the row and its entry.

The services and the seed both come through here, so that history tells both alike. Values are
checked before; entries hold ids, codes and roles, and names and logins only as details.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from docflow.db import Draft, UnitOfWork
from docflow.kernel.actor import Office
from docflow.kernel.clock import rfc3339
from docflow.people.tables import accounts, clearances, offices, people, recipients, units


def add_unit(uow: UnitOfWork, unit: Mapping[str, Any]) -> None:
    """Insert a unit: `id`, `code`, `name`, `parent_id`."""
    data = {"code": unit["code"], "parent_id": unit["parent_id"]}
    uow.create(units, unit, Draft("unit.created", data, {"name": unit["name"]}))


def add_person(
    uow: UnitOfWork,
    person: Mapping[str, Any],
    held: Iterable[Office],
    cleared: tuple[str, datetime] | None = None,
) -> None:
    """Insert a person or system (`id`, `kind`, `login`, `name`) and the offices it holds.

    `cleared` is the level of its clearance and when that expires.
    """
    granted = [{"unit_id": office.unit_id, "role": office.role} for office in held]
    data: dict[str, Any] = {"kind": person["kind"], "offices": granted}
    if cleared is not None:
        data["clearance"] = {"level": cleared[0], "expires_at": rfc3339(cleared[1])}
    draft = Draft("person.created", data, {"login": person["login"], "name": person["name"]})
    uow.create(people, {**person, "active": True, "created_at": uow.now}, draft)
    uow.put(offices, *({"person_id": person["id"], **office} for office in granted))
    if cleared is not None:
        write_clearance(uow, person["id"], *cleared)


def write_clearance(
    uow: UnitOfWork, person_id: str, level: str, expires_at: datetime
) -> dict[str, Any]:
    """Insert a clearance that starts now; return what the person's entry says of it."""
    uow.put(
        clearances,
        {
            "person_id": person_id,
            "level": level,
            "since": uow.now,
            "expires_at": expires_at,
            "granted_by": uow.actor.id,
        },
    )
    return {"level": level, "expires_at": rfc3339(expires_at)}


def add_recipient(uow: UnitOfWork, recipient: Mapping[str, Any]) -> None:
    """Insert a recipient: `id`, `code`, `name`, `kind`, `external`, `unit_id`, `person_id`."""
    public = ("code", "kind", "external", "unit_id", "person_id")
    data = {name: recipient[name] for name in public}
    draft = Draft("recipient.created", data, {"name": recipient["name"]})
    uow.create(recipients, {**recipient, "active": True}, draft)


def add_account(uow: UnitOfWork, account: Mapping[str, Any]) -> None:
    """Insert an account: `id`, `login`, `person_id`, `recipient_id`, `password_hash`."""
    data = {"person_id": account["person_id"], "recipient_id": account["recipient_id"]}
    draft = Draft("account.created", data, {"login": account["login"]})
    uow.create(accounts, {**account, "active": True}, draft)
