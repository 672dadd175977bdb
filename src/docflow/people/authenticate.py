"""From a bearer token to an actor, in one query; two after the tree of units changed.

Rules: nothing about a token, a session, an owner, an office or a clearance is cached, so whatever is
revoked or over is gone with the next request (OWASP ASVS 3.3, 8.3.1). Only the tree of units is
kept, under a number that every change of a unit raises and that the one query reads as well. A token
appears in no error and no log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database, Prepared, Row, UtcDateTime
from docflow.kernel.actor import Actor, Office
from docflow.kernel.errors import UnauthenticatedError
from docflow.people.seed_models import Classification
from docflow.people.tables import (
    accounts,
    api_keys,
    clearances,
    offices,
    openings,
    people,
    recipients,
    sessions,
    units,
)
from docflow.people.tokens import kind_of, token_digest
from docflow.people.tree import UnitTree
from docflow.people.vocabulary import RECEIVING_ROLES

# units are never deleted and every change raises a version, so no two trees share this sum
_GENERATION: Final = sa.select(sa.func.coalesce(sa.func.sum(units.c.version), 0)).scalar_subquery()
_UNITS: Final = sa.select(units.c.id, units.c.parent_id, units.c.version)
_NEVER: Final = sa.cast(sa.null(), UtcDateTime).label("authenticated_at")
_HASH: Final = sa.bindparam("token_hash", type_=sa.String(64))
_NOW: Final = sa.bindparam("now", type_=UtcDateTime())


@dataclass(frozen=True, slots=True)
class _Snapshot:
    generation: int
    tree: UnitTree


class Authenticator:
    """Tells who is behind a token."""

    def __init__(self, database: Database, classification: Classification) -> None:
        self._database = database
        self._classification = classification
        self._snapshot: _Snapshot | None = None

    def authenticate(self, token: str) -> Actor:
        """Return the actor behind a session token or an API key, with everything access needs.

        Raises:
            UnauthenticatedError: with code `invalid-token` (unknown, revoked, or its owner may not
                come in), `session-expired` or `key-expired`.
        """
        kind = kind_of(token)
        if kind is None:
            raise _invalid()
        statement = _BY_SESSION if kind == "session" else _BY_KEY
        now = self._database.clock.now()
        with self._database.read() as connection:
            rows = statement.rows(connection, {"token_hash": token_digest(token), "now": now})
            if not rows or not _usable(rows[0]):
                raise _invalid()
            _refuse_expired(rows[0]["expires_at"], now, kind)
            return self._actor(connection, rows)

    def acting(self, person_id: str) -> Actor:
        """Return a person as an actor with the offices of this moment, for what was asked earlier.

        The caller answers for it that the person asked.

        Raises:
            UnauthenticatedError: with code `invalid-token` if the person may not come in any more.
        """
        now = self._database.clock.now()
        with self._database.read() as connection:
            rows = _BY_PERSON.rows(connection, {"person_id": person_id, "now": now})
            if not rows or not _usable(rows[0]):
                raise _invalid()
            return self._actor(connection, rows)

    def _actor(self, connection: sa.Connection, rows: Sequence[Row]) -> Actor:
        first = rows[0]
        scopes = frozenset(first["scopes"]) if first["scopes"] is not None else None
        received = frozenset(row["recipient"] for row in rows if row["recipient"] is not None)
        if first["person_id"] is None:
            return Actor(
                id=first["recipient_id"],
                kind="recipient",
                name=first["recipient_name"],
                scopes=scopes,
                recipient_ids=received,
                cleared=self._classification.cleared(None),
            )
        held = tuple(
            sorted(
                {Office(row["unit_id"], row["role"]) for row in rows if row["unit_id"] is not None},
                key=lambda office: (office.unit_id, office.role),
            )
        )
        tops = sorted({office.unit_id for office in held})
        return Actor(
            id=first["person_id"],
            kind=first["person_kind"],
            name=first["person_name"],
            offices=held,
            unit_tree=self._reach(connection, first["generation"], tops),
            scopes=scopes,
            recipient_ids=received,
            cleared=self._classification.cleared(first["clearance"]),
            granted=frozenset(row["opened"] for row in rows if row["opened"] is not None),
            authenticated_at=first["authenticated_at"],
        )

    def _reach(
        self, connection: sa.Connection, generation: int, tops: Iterable[str]
    ) -> tuple[tuple[str, frozenset[str]], ...]:
        snapshot = self._snapshot
        if snapshot is None or snapshot.generation != generation:
            rows = connection.execute(_UNITS).all()
            tree = UnitTree((row.id, row.parent_id) for row in rows)
            # the number of what was read, which on PostgreSQL may be newer than `generation`
            snapshot = _Snapshot(sum(row.version for row in rows), tree)
            self._snapshot = snapshot
        return tuple((top, snapshot.tree.below(top)) for top in tops)


def _statement(source: sa.Table, *extra: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Select a token's owner once per office held, recipient received for and document opened."""
    received = recipients.alias("received")
    owner = recipients.alias("owner")
    by_office = sa.and_(
        received.c.unit_id == offices.c.unit_id,
        sa.or_(
            *(offices.c.role == value for value in sorted(role.value for role in RECEIVING_ROLES))
        ),
    )
    links = sa.or_(received.c.id == owner.c.id, received.c.person_id == people.c.id, by_office)
    return (
        sa.select(
            people.c.id.label("person_id"),
            people.c.kind.label("person_kind"),
            people.c.name.label("person_name"),
            people.c.active.label("person_active"),
            owner.c.id.label("recipient_id"),
            owner.c.name.label("recipient_name"),
            owner.c.active.label("recipient_active"),
            offices.c.unit_id,
            offices.c.role,
            received.c.id.label("recipient"),
            clearances.c.level.label("clearance"),
            openings.c.document_id.label("opened"),
            _GENERATION.label("generation"),
            *extra,
        )
        .select_from(source)
        .outerjoin(people, people.c.id == source.c.person_id)
        .outerjoin(owner, owner.c.id == source.c.recipient_id)
        .outerjoin(offices, offices.c.person_id == people.c.id)
        .outerjoin(received, sa.and_(received.c.active, links))
        .outerjoin(
            clearances,
            sa.and_(clearances.c.person_id == people.c.id, clearances.c.expires_at > _NOW),
        )
        .outerjoin(
            openings,
            sa.and_(
                openings.c.person_id == people.c.id,
                openings.c.since <= _NOW,
                openings.c.until > _NOW,
            ),
        )
    )


_BY_SESSION: Final = Prepared(
    _statement(
        accounts,
        sessions.c.expires_at,
        sessions.c.authenticated_at,
        sa.null().label("scopes"),
    )
    .join(sessions, sessions.c.account_id == accounts.c.id)
    .where(sessions.c.token_hash == _HASH, accounts.c.active)
)
_BY_KEY: Final = Prepared(
    _statement(api_keys, api_keys.c.expires_at, _NEVER, api_keys.c.scopes).where(
        api_keys.c.secret_hash == _HASH, api_keys.c.revoked_at.is_(None)
    )
)

_BY_PERSON: Final = Prepared(
    _statement(accounts, _NEVER, sa.null().label("scopes")).where(
        accounts.c.person_id == sa.bindparam("person_id", type_=sa.String(36)), accounts.c.active
    )
)


def _usable(row: Row) -> bool:
    return bool(row["person_active"] if row["person_id"] is not None else row["recipient_active"])


def _refuse_expired(expires_at: datetime | None, now: datetime, kind: str) -> None:
    if expires_at is None or now < expires_at:
        return
    if kind == "session":
        raise UnauthenticatedError(
            "The session has expired; sign in again.", code="session-expired"
        )
    raise UnauthenticatedError(
        "The API key has expired; ask an administrator for another.", code="key-expired"
    )


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError(
        "The token is not valid; it may have been revoked.",
        code="invalid-token",
        satisfied_by="Sign in again, or use a key that is in force.",
    )
