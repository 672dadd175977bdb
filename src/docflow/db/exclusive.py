"""A lock that one process, or one thread, at a time can hold, outside of any transaction.

For work that is done in several transactions with slow steps between them. Whoever dies loses it at
once: it is a file lock beside an SQLite database, a session's advisory lock on PostgreSQL.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa


@contextmanager
def exclusive(engine: sa.Engine, name: str) -> Iterator[bool]:
    """Try to take the lock `name` without waiting; give whether it was free, and hold it if so."""
    if engine.dialect.name == "sqlite":
        with _file_lock(Path(f"{engine.url.database}.{name}.lock")) as free:
            yield free
        return
    with _session_lock(engine, name) as free:
        yield free


@contextmanager
def _file_lock(path: Path) -> Iterator[bool]:
    with path.open("ab") as handle:  # closing it gives the lock back
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def _session_lock(engine: sa.Engine, name: str) -> Iterator[bool]:
    digest = hashlib.sha256(f"docflow exclusive {name}".encode()).digest()
    key = int.from_bytes(digest[:8], signed=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one():
            yield False
            return
        try:
            yield True
        finally:
            try:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
            except sa.exc.DBAPIError:
                connection.invalidate()  # the session is gone, and the lock with it
