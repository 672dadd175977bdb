"""The sweeper: deletes stored files that no row refers to, and uploads that never ended.

Each run does a bounded piece and the next goes on there: it finishes what it began to delete,
deletes what was marked long enough ago, forgets old marks, and marks what it finds in some of the
256 folders below `files/`. One sweeper works at a time; `guarded.py` tells how uploads and the
sweeper keep out of each other's way. Objects that docflow did not name are left alone.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from docflow.db import Database, UnitOfWork, all_rows, one_row
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import ConflictError
from docflow.storage import ObjectStore, StoredObject
from docflow.storage.store import digest_of_key
from docflow.upkeep.references import referenced
from docflow.upkeep.tables import sweep_marks, sweep_state

_SHARDS = 256
_BATCH = 500
_MOST_OBJECTS = 20_000
_MOST_DELETED = 1_000
_PREFIX = "files/"

_logger = logging.getLogger("docflow.upkeep")


@runtime_checkable
class KeepsUploads(Protocol):
    """A store in which an upload can be left unended."""

    def end_uploads(self, prefix: str, begun_before: datetime) -> int:
        """Give up uploads below a prefix that began before an instant; return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Swept:
    """What a run did; `idle` if another sweeper was at work."""

    examined: int = 0
    marked: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    uploads_ended: int = 0
    idle: bool = False


class Sweeper:
    """Sweeps one store by one database."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        *,
        after: timedelta,
        most_objects: int = _MOST_OBJECTS,
        most_deleted: int = _MOST_DELETED,
    ) -> None:
        """Hold both.

        Args:
            database: whose rows say what is needed.
            store: the store itself, not one that opens or guards; a deletion whose answer is lost
                must fail and not be tried again at once.
            after: age from which an object without a row is marked, and how long a mark waits; well
                over the longest time between `put` and the commit of its row.
            most_objects: looked at in one run, about.
            most_deleted: deleted in one run.
        """
        self._database = database
        self._store = store
        self._after = after
        self._most_objects = most_objects
        self._most_deleted = most_deleted

    def run(self) -> Swept:
        """Do the next piece.

        Raises:
            UnavailableError: if store or database do not answer; the next run goes on.
        """
        with self._database.exclusive("storage-sweep") as free:
            if not free:
                return Swept(idle=True)
            long_ago = self._database.clock.now() - self._after
            uploads = 0
            if isinstance(self._store, KeepsUploads):
                uploads = self._store.end_uploads(_PREFIX, long_ago)
            deleted = self._delete(long_ago)
            self._forget(long_ago)
            shard, examined, marked = self._mark(long_ago)
            swept = Swept(
                examined, marked, len(deleted), sum(item["size"] for item in deleted), uploads
            )
            self._record(swept, shard)
        if swept.deleted or swept.uploads_ended:
            _logger.info(
                "swept %d objects that no row refers to (%d bytes) and %d unended uploads",
                swept.deleted,
                swept.deleted_bytes,
                swept.uploads_ended,
            )
        return swept

    # -- deleting ----------------------------------------------------------------------------------

    def _delete(self, long_ago: datetime) -> list[dict[str, Any]]:
        """Delete what was marked long ago, and what an earlier run could not; return it."""
        deleted: list[dict[str, Any]] = []
        left = self._most_deleted
        for item in self._marks("deleting", None, left):
            deleted += self._delete_one(item)
            left -= 1
        while left > 0 and (batch := self._condemn(long_ago, min(left, _BATCH))) is not None:
            for item in batch:
                deleted += self._delete_one(item)
                left -= 1
        return deleted

    def _condemn(self, long_ago: datetime, limit: int) -> list[dict[str, Any]] | None:
        """Turn old marks into `deleting`, those that rows need into nothing; None if none is left.

        From this commit on, until the mark is gone, no upload of the same bytes is accepted.
        """
        old = self._marks("marked", long_ago, limit)
        if not old:
            return None
        keys = [item["key"] for item in old]
        with self._database.unit_of_work(SERVICE) as uow:
            mine = sweep_marks.c.key.in_(keys)
            waiting = sa.and_(mine, sweep_marks.c.state == "marked")
            uow.alter(sweep_marks, None, waiting, {"state": "deleting", "since": uow.now})
            deleting = sa.select(sweep_marks).where(mine, sweep_marks.c.state == "deleting")
            condemned = all_rows(uow.connection, deleting)
            needed = referenced(uow.connection, keys)
            if needed:
                uow.remove(sweep_marks, None, sweep_marks.c.key.in_(needed))
        return [item for item in condemned if item["key"] not in needed]

    def _delete_one(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            self._store.delete(item["key"])
        except ConflictError:  # under retention: someone locked it, so it is not ours to delete
            with self._database.unit_of_work(SERVICE) as uow:
                uow.remove(sweep_marks, None, sweep_marks.c.key == item["key"])
            return []
        with self._database.unit_of_work(SERVICE) as uow:
            uow.alter(
                sweep_marks,
                None,
                sweep_marks.c.key == item["key"],
                {"state": "gone", "since": uow.now},
            )
        return [item]

    def _forget(self, long_ago: datetime) -> None:
        with self._database.unit_of_work(SERVICE) as uow:
            uow.remove(
                sweep_marks,
                None,
                sa.and_(sweep_marks.c.state == "gone", sweep_marks.c.since < long_ago),
            )

    def _marks(self, state: str, before: datetime | None, limit: int) -> list[dict[str, Any]]:
        statement = sa.select(sweep_marks).where(sweep_marks.c.state == state)
        if before is not None:
            statement = statement.where(sweep_marks.c.since < before)
        order = (sweep_marks.c.since, sweep_marks.c.key)
        with self._database.read() as connection:
            return all_rows(connection, statement.order_by(*order).limit(limit))

    # -- marking -----------------------------------------------------------------------------------

    def _mark(self, long_ago: datetime) -> tuple[int, int, int]:
        """Mark what no row needs, folder by folder; return the next one and the counts."""
        with self._database.read() as connection:
            state = one_row(connection, sa.select(sweep_state))
        shard = state["shard"] if state else 0
        examined = marked = done = 0
        while done < _SHARDS and examined < self._most_objects:
            found = self._store.objects(f"{_PREFIX}{shard:02x}/")
            for batch in _batches(found):
                examined += len(batch)
                marked += self._mark_batch(batch, long_ago)
            shard = (shard + 1) % _SHARDS
            done += 1
            if shard == 0:
                break  # a pass ends here, so that passes can be counted
        return shard, examined, marked

    def _mark_batch(self, batch: Sequence[StoredObject], long_ago: datetime) -> int:
        old = {
            item.key: item
            for item in batch
            if item.stored_at < long_ago and digest_of_key(item.key) is not None
        }
        if not old:
            return 0
        with self._database.read() as connection:
            needed = referenced(connection, old)
        orphans = [item for key, item in old.items() if key not in needed]
        if not orphans:
            return 0
        with self._database.unit_of_work(SERVICE) as uow:
            return _insert_marks(uow, orphans)

    def _record(self, swept: Swept, shard: int) -> None:
        with self._database.unit_of_work(SERVICE) as uow:
            state = one_row(uow.connection, sa.select(sweep_state))
            values = {
                "shard": shard,
                "passes": (state["passes"] if state else 0) + (shard == 0),
                "ran_at": uow.now,
            }
            for name in ("examined", "deleted", "deleted_bytes", "uploads_ended"):
                values[name] = (state[name] if state else 0) + getattr(swept, name)
            if state is None:
                uow.put(sweep_state, {"id": 1, **values})
            else:
                uow.alter(sweep_state, None, sweep_state.c.id == 1, values)


def _batches(found: Iterator[StoredObject]) -> Iterator[list[StoredObject]]:
    while batch := list(islice(found, _BATCH)):
        yield batch


def _insert_marks(uow: UnitOfWork, orphans: Sequence[StoredObject]) -> int:
    dialect: Any = sqlite if uow.connection.dialect.name == "sqlite" else postgresql
    rows = [
        {"key": item.key, "size": item.size, "state": "marked", "since": uow.now}
        for item in orphans
    ]
    statement = dialect.insert(sweep_marks).values(rows).on_conflict_do_nothing()
    return len(uow.connection.execute(statement.returning(sweep_marks.c.key)).all())
