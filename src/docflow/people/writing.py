"""How a unit, a person, a recipient or an account is first written: the row and its entry.

The services and the seed both come through here, so that history tells both alike. Values are
checked before; entries hold ids, codes and roles, and names and logins only as details.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from docflow.db import Draft, UnitOfWork
from docflow.kernel.actor import Office
from docflow.people.tables import accounts, offices, people, recipients, units


def add_unit(uow: UnitOfWork, unit: Mapping[str, Any]) -> None:
    """Insert a unit: `id`, `code`, `name`, `parent_id`."""
    data = {"code": unit["code"], "parent_id": unit["parent_id"]}
    uow.create(units, unit, Draft("unit.created", data, {"name": unit["name"]}))


def add_person(uow: UnitOfWork, person: Mapping[str, Any], held: Iterable[Office]) -> None:
    """Insert a person or system (`id`, `kind`, `login`, `name`) and the offices it holds."""
    granted = [{"unit_id": office.unit_id, "role": office.role} for office in held]
    draft = Draft(
        "person.created",
        {"kind": person["kind"], "offices": granted},
        {"login": person["login"], "name": person["name"]},
    )
    uow.create(people, {**person, "active": True, "created_at": uow.now}, draft)
    uow.put(offices, *({"person_id": person["id"], **office} for office in granted))


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
