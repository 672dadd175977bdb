"""The unit of work: one transaction, its changes and their history entries, or none of it.

An audited row is created, changed or noted together with a `Draft` of its entry; there is no method
that changes it without. Parts of a subject (files, deliveries, register entries) are written with
`put`, `alter` and `remove`; `finish` refuses to commit if their subject has no entry in this unit.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from docflow.db import guard
from docflow.db.base import NO_PREVIOUS
from docflow.db.ledger import Draft, Head, Ledger, SealDetails
from docflow.db.prepared import Prepared
from docflow.kernel.actor import Actor
from docflow.kernel.clock import Clock
from docflow.kernel.errors import StaleVersionError

__all__ = ["Draft", "SealRowDetails", "UnitOfWork", "UnrecordedChangeError"]

SealRowDetails = Callable[[sa.Connection, Mapping[str, Any], str, dict[str, Any]], dict[str, Any]]
"""From a subject's row, an entry's id and its details to the details as they are stored."""

_OPTIONS = {guard.TOKEN: True}
_NEW = "new_"  # before the names of bound values, so that no column meets another one's
_NUMBERS = sa.bindparam("numbers", type_=ARRAY(sa.BigInteger))
_LOCKS = sa.select(sa.func.pg_advisory_xact_lock(sa.column("number"))).select_from(
    sa.func.unnest(_NUMBERS).alias("number")  # one after the other, in the order given
)


@cache
def _insert_into(table: sa.Table, columns: frozenset[str]) -> Prepared:
    return Prepared(sa.insert(table).execution_options(**_OPTIONS), columns)


@cache
def _update_of(table: sa.Table, columns: frozenset[str]) -> Prepared:
    """Return the UPDATE of these columns in the one row that is still as it was seen."""
    values = {name: sa.bindparam(_NEW + name, type_=table.c[name].type) for name in sorted(columns)}
    return Prepared(
        sa.update(table)
        .where(
            table.c.id == sa.bindparam("seen_id"),
            table.c.history_seq == sa.bindparam("seen_seq"),
            table.c.history_hash == sa.bindparam("seen_hash"),
        )
        .values(values)
        .execution_options(**_OPTIONS)
    )


class UnrecordedChangeError(RuntimeError):
    """An audited subject changed in this unit of work without a history entry."""


class UnitOfWork:
    """One open transaction. Made only by `Database.unit_of_work`."""

    def __init__(
        self,
        connection: sa.Connection,
        actor: Actor,
        clock: Clock,
        sealers: Mapping[str, SealRowDetails] | None = None,
    ) -> None:
        self.connection = connection
        self.actor = actor
        self.now = clock.now()
        self._sealers = sealers or {}
        self._ledger = Ledger(actor, self.now)
        self._heads: dict[tuple[str, str], Head] = {}
        self._changed: set[tuple[str, str]] = set()
        self._recorded: set[tuple[str, str]] = set()

    # -- audited subjects ------------------------------------------------------------------------

    def create(self, table: sa.Table, row: Mapping[str, Any], draft: Draft) -> None:
        """Insert an audited row with version 1 and its first entry."""
        kind: str = table.info["audited"]
        start = Head(0, 0, NO_PREVIOUS)
        head = self._ledger.append(kind, row["id"], start, draft, self._sealer(kind, row))
        self._heads[kind, row["id"]] = head
        self._recorded.add((kind, row["id"]))
        self._insert(table, {**row, **head.columns()})

    def change(
        self, table: sa.Table, current: Mapping[str, Any], values: Mapping[str, Any], draft: Draft
    ) -> int:
        """Update an audited row from the version in `current` and return the new version.

        Args:
            table: an audited table.
            current: the row as read (needs `id`, `version`, `history_seq`, `history_hash`).
            values: the columns to set.
            draft: what history shall say of it.

        Raises:
            StaleVersionError: if the row changed since `current` was read.
        """
        head = self._append(table, current, draft, become={**current, **values})
        self._update_head(table, current, head, dict(values))
        return head.version

    def note(self, table: sa.Table, current: Mapping[str, Any], draft: Draft) -> None:
        """Write an entry about an audited row that does not change it (a refusal, a reading)."""
        head = self._append(table, current, draft, bump=0)
        self._update_head(table, current, head, {})

    def _append(
        self,
        table: sa.Table,
        current: Mapping[str, Any],
        draft: Draft,
        *,
        bump: int = 1,
        become: Mapping[str, Any] | None = None,
    ) -> Head:
        kind: str = table.info["audited"]
        before = self._heads.get((kind, current["id"])) or Head(
            current["version"], current["history_seq"], current["history_hash"]
        )
        seal = self._sealer(kind, become or current)
        after = self._ledger.append(kind, current["id"], before, draft, seal)
        return Head(before.version + bump, after.seq, after.hash)

    def _sealer(self, kind: str, row: Mapping[str, Any]) -> SealDetails | None:
        sealer = self._sealers.get(kind)
        return None if sealer is None else partial(sealer, self.connection, row)

    def _update_head(
        self, table: sa.Table, current: Mapping[str, Any], head: Head, values: dict[str, Any]
    ) -> None:
        key = (table.info["audited"], current["id"])
        before = self._heads.get(key)
        seen = (
            (before.seq, before.hash)
            if before
            else (current["history_seq"], current["history_hash"])
        )
        values |= head.columns()
        new = {_NEW + name: value for name, value in values.items()}
        was = {"seen_id": current["id"], "seen_seq": seen[0], "seen_hash": seen[1]}
        if _update_of(table, frozenset(values)).run(self.connection, new | was) != 1:
            raise StaleVersionError(
                f"This {key[0]} was changed by someone else meanwhile; read it again.",
                rule="optimistic-concurrency",
                satisfied_by="Read the current version and repeat the request with its ETag.",
            )
        self._heads[key] = head
        self._recorded.add(key)

    def serialise(self, *keys: str) -> None:
        """Let one transaction at a time pass with each of these keys, until it ends.

        SQLite has one writer anyway; PostgreSQL takes advisory locks, in a fixed order.
        """
        if self.connection.dialect.name != "postgresql":
            return
        digests = (hashlib.sha256(key.encode()).digest() for key in sorted(keys))
        numbers = [int.from_bytes(digest[:8], signed=True) for digest in digests]
        self.connection.execute(_LOCKS, {"numbers": numbers})

    # -- parts of subjects, and tables that history does not tell ---------------------------------

    def put(self, table: sa.Table, *rows: Mapping[str, Any]) -> None:
        """Insert rows into a table that is not itself a subject."""
        if not rows:
            return
        self._touch(table, rows)
        if len(rows) == 1:
            self._insert(table, rows[0])
            return
        self.connection.execute(
            sa.insert(table), [dict(row) for row in rows], execution_options=_OPTIONS
        )

    def _insert(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        _insert_into(table, frozenset(row)).run(self.connection, row)

    def alter(
        self, table: sa.Table, subject_id: str | None, where: Any, values: Mapping[str, Any]
    ) -> int:
        """Update rows of a table that is not itself a subject; return how many.

        Args:
            table: the table; for a part, every row touched must belong to `subject_id`.
            subject_id: the subject that the rows are part of, or None for unaudited tables.
            where: an SQL condition.
            values: the columns to set.
        """
        condition = self._part_condition(table, subject_id, where)
        statement = sa.update(table).where(condition).values(**values)
        return self.connection.execute(statement, execution_options=_OPTIONS).rowcount

    def remove(self, table: sa.Table, subject_id: str | None, where: Any) -> int:
        """Delete rows of a table that is not itself a subject; return how many."""
        condition = self._part_condition(table, subject_id, where)
        statement = sa.delete(table).where(condition)
        return self.connection.execute(statement, execution_options=_OPTIONS).rowcount

    def _part_condition(self, table: sa.Table, subject_id: str | None, where: Any) -> Any:
        if "audited" in table.info:
            raise guard.UnguardedWriteError(f"{table.name} rows are subjects: use change()")
        if "part_of" not in table.info:
            return where
        kind, column = table.info["part_of"]
        if subject_id is None:
            raise guard.UnguardedWriteError(f"{table.name} rows are parts: name their {kind}")
        self._changed.add((kind, subject_id))
        return sa.and_(where, table.c[column] == subject_id)

    def _touch(self, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
        if "audited" in table.info:
            raise guard.UnguardedWriteError(f"{table.name} rows are subjects: use create()")
        if "part_of" in table.info:
            kind, column = table.info["part_of"]
            self._changed.update((kind, row[column]) for row in rows)

    # -- end -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the entries; called once by `Database.unit_of_work` just before the commit.

        Raises:
            UnrecordedChangeError: if a subject's part changed and the subject has no entry.
        """
        missing = self._changed - self._recorded
        if missing:
            listed = ", ".join(f"{kind} {subject}" for kind, subject in sorted(missing))
            raise UnrecordedChangeError(f"changed without a history entry: {listed}")
        self._ledger.write(self.connection)
