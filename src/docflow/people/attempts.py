"""Counts wrong passwords in a row per login asked for, whether it exists or not, and locks it out.

The count is one atomic statement, so that concurrent failures are all counted, on both databases.
Logins are kept as digests: people type passwords into the wrong box.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from docflow.db import UnitOfWork
from docflow.kernel.canonical import sha256_hex
from docflow.people.tables import login_attempts

FORGET_AFTER: Final = timedelta(hours=24)
"""Failures that led to no lock-out are forgotten after this long without another."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a wrong password led to.

    `locked_until` is set if the login is locked now; `locked_now` tells that this one did it, and
    not one that was counted a moment earlier (then this one was not counted any more).
    """

    count: int
    locked_until: datetime | None
    locked_now: bool = False


def login_digest(login: str) -> str:
    """Return the digest under which the attempts of a login are kept."""
    return sha256_hex(login.encode("utf-8", "replace"))


def locked_until(
    connection: sa.Connection, digest: str, now: datetime, *, lock: bool = False
) -> datetime | None:
    """Return until when a login is locked out, None if it is not.

    With `lock`, attempts on the same login wait for each other until the transaction ends.
    """
    statement = sa.select(login_attempts.c.locked_until).where(
        login_attempts.c.login_hash == digest
    )
    if lock:
        statement = statement.with_for_update()
    until: datetime | None = connection.execute(statement).scalar_one_or_none()
    return until if until is not None and until > now else None


def locks(connection: sa.Connection, digests: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Return until when each of these logins is locked out, for those that are."""
    table = login_attempts.c
    statement = sa.select(table.login_hash, table.locked_until).where(
        table.login_hash.in_(list(digests)), table.locked_until > now
    )
    return {row.login_hash: row.locked_until for row in connection.execute(statement)}


def count_failure(uow: UnitOfWork, digest: str, limit: int, lockout: timedelta) -> Failure:
    """Count one wrong password, and lock the login out if it was the last one allowed."""
    statement = _upsert(uow.connection, digest, uow.now)
    count, until = uow.connection.execute(statement).one()
    if count < limit or until is not None:
        return Failure(count, until)
    until = uow.now + lockout
    uow.alter(login_attempts, None, login_attempts.c.login_hash == digest, {"locked_until": until})
    return Failure(count, until, locked_now=True)


def _upsert(connection: sa.Connection, digest: str, now: datetime) -> Any:
    insert: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    table = login_attempts.c
    over = table.locked_until <= now  # null where there is no lock, which counts as not over
    locked = table.locked_until > now
    return (
        insert(login_attempts)
        .values(login_hash=digest, failures=1, last_failure_at=now, locked_until=None)
        .on_conflict_do_update(
            index_elements=["login_hash"],
            set_={
                "failures": sa.case((over, 1), (locked, table.failures), else_=table.failures + 1),
                "locked_until": sa.case((over, sa.null()), else_=table.locked_until),
                "last_failure_at": now,
            },
        )
        .returning(table.failures, table.locked_until)
    )


def forget(uow: UnitOfWork, digest: str) -> bool:
    """Forget the failures and the lock-out of a login; tell whether there was anything."""
    return uow.remove(login_attempts, None, login_attempts.c.login_hash == digest) > 0


def sweep(uow: UnitOfWork) -> int:
    """Delete counts that no longer matter; return how many."""
    table = login_attempts.c
    old = table.last_failure_at < uow.now - FORGET_AFTER
    over = sa.or_(table.locked_until.is_(None), table.locked_until <= uow.now)
    return uow.remove(login_attempts, None, sa.and_(old, over))
