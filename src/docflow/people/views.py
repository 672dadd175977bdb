"""What the services of `people` hand out: frozen values, never rows and never secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from docflow.kernel.actor import Office

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, oldest first; `next_cursor` is None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of the office; the top one has no parent."""

    id: str
    code: str
    name: str
    parent_id: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Clearance:
    """Up to which level someone is cleared, from when to when, and who said so (a person's id)."""

    level: str
    since: datetime
    expires_at: datetime
    granted_by: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person, or an integrating system, with the offices held.

    `clearance` is None for those who have none, and for those who may not see it.
    """

    id: str
    kind: Literal["person", "system"]
    login: str
    name: str
    active: bool
    created_at: datetime
    version: int
    offices: tuple[Office, ...] = ()
    clearance: Clearance | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where documents go; an internal one may be a unit or a person of this office."""

    id: str
    code: str
    name: str
    kind: Literal["organisation", "person"]
    external: bool
    unit_id: str | None
    person_id: str | None
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Account:
    """A local account, of a person or of a recipient; `locked_until` if it is locked out now."""

    id: str
    login: str
    person_id: str | None
    recipient_id: str | None
    active: bool
    version: int
    locked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was just opened; the token is shown here and nowhere else."""

    token: str = field(repr=False)
    expires_at: datetime
    login: str
    person_id: str | None
    recipient_id: str | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret."""

    id: str
    name: str
    person_id: str | None
    recipient_id: str | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """An API key that was just made; the token is shown here and nowhere else."""

    token: str = field(repr=False)
    key: ApiKey


def unit_of(row: Mapping[str, Any]) -> Unit:
    """Return the unit in a row of `units`."""
    return Unit(row["id"], row["code"], row["name"], row["parent_id"], row["version"])


def person_of(
    row: Mapping[str, Any], offices: tuple[Office, ...], clearance: Clearance | None = None
) -> Person:
    """Return the person in a row of `people`."""
    return Person(
        row["id"],
        row["kind"],
        row["login"],
        row["name"],
        row["active"],
        row["created_at"],
        row["version"],
        offices,
        clearance,
    )


def recipient_of(row: Mapping[str, Any]) -> Recipient:
    """Return the recipient in a row of `recipients`."""
    return Recipient(
        row["id"],
        row["code"],
        row["name"],
        row["kind"],
        row["external"],
        row["unit_id"],
        row["person_id"],
        row["active"],
        row["version"],
    )


def account_of(row: Mapping[str, Any], locked_until: datetime | None = None) -> Account:
    """Return the account in a row of `accounts`."""
    return Account(
        row["id"],
        row["login"],
        row["person_id"],
        row["recipient_id"],
        row["active"],
        row["version"],
        locked_until,
    )


def key_of(row: Mapping[str, Any]) -> ApiKey:
    """Return the key in a row of `api_keys`."""
    return ApiKey(
        row["id"],
        row["name"],
        row["person_id"],
        row["recipient_id"],
        tuple(row["scopes"]),
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
        row["version"],
    )
