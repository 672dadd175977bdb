"""The store as services use it: beside a sweeper that deletes what nobody refers to.

The danger: an old object lies there, left by an upload that failed. The sweeper finds that no row
refers to it; at this moment the same bytes are uploaded again, `put` finds them there and stores
nothing, the row is committed, and then the sweeper deletes.

What keeps them apart are the sweeper's marks, rows in the database. It marks an object, waits for
longer than any upload takes, looks for rows once more while it turns the mark into `deleting`,
deletes, and keeps the mark as `gone` for as long again. `put` looks at the marks *after* the bytes
are there:

- no mark: the sweeper has to mark first and to wait, and by then the row is on file;
- `marked`: the mark is taken away, so the sweeper has to begin anew;
- `deleting`: refused, the caller tries again in a moment;
- `gone`: was it deleted before the bytes were put, or after? The store is asked; if they are not
  there, refused as before.

What was put without a row being written for it within that time is swept, as it should be.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

import sqlalchemy as sa

from docflow.db import Database, Prepared
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import DocflowError, UnavailableError
from docflow.storage import ObjectStore, StagedFile, StoredObject
from docflow.upkeep.tables import sweep_marks

_STATE = Prepared(sa.select(sweep_marks.c.state).where(sweep_marks.c.key == sa.bindparam("key")))


class GuardedStore:
    """An `ObjectStore` whose objects the sweeper leaves alone from `put` to the row's commit.

    Also counts what the store failed at, by error code, for the metrics.
    """

    def __init__(self, inner: ObjectStore, database: Database) -> None:
        self.inner = inner
        self.failures: Counter[str] = Counter()
        self._database = database

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        """See `ObjectStore.put`.

        Raises:
            UnavailableError: also if the sweeper deletes the object just now (code
                `storage-being-swept`); trying again stores it.
        """
        try:
            self.inner.put(key, staged, retain_until=retain_until)
        except DocflowError as error:
            self.failures[error.code] += 1
            raise
        self._claim(key)

    def open(self, key: str) -> BinaryIO:
        """See `ObjectStore.open`."""
        try:
            return self.inner.open(key)
        except DocflowError as error:
            self.failures[error.code] += 1
            raise

    def size(self, key: str) -> int | None:
        """See `ObjectStore.size`."""
        return self.inner.size(key)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self.inner.delete(key)

    def publish(self, key: str, data: bytes) -> None:
        """See `ObjectStore.publish`."""
        try:
            self.inner.publish(key, data)
        except DocflowError as error:
            self.failures[error.code] += 1
            raise

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        return self.inner.objects(prefix)

    def _claim(self, key: str) -> None:
        """Take the sweeper's mark away, if there is one."""
        with self._database.read() as connection:
            mark = _STATE.row(connection, {"key": key})
        if mark is None:
            return
        if mark["state"] == "gone" and self.inner.size(key) is None:
            raise _being_swept()
        with self._database.unit_of_work(SERVICE) as uow:
            taken = uow.remove(
                sweep_marks,
                None,
                sa.and_(sweep_marks.c.key == key, sweep_marks.c.state.in_(("marked", "gone"))),
            )
        if not taken:
            raise _being_swept()


def _being_swept() -> UnavailableError:
    return UnavailableError(
        "The same bytes lay here from an upload that failed long ago and are being removed just "
        "now; nothing was stored. Send the file again.",
        code="storage-being-swept",
    )
