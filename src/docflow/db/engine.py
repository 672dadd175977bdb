"""The database: SQLite (embedded default) or PostgreSQL, the same code for both.

SQLite runs in WAL mode with full synchronisation and foreign keys; writers take an in-process lock
and then BEGIN IMMEDIATE, because one writer at a time behind a lock is faster and fairer than many
that busy-wait. PostgreSQL gets lock and statement timeouts so that nothing waits for ever.

Round trips decide speed on PostgreSQL: reads run without BEGIN and COMMIT (each statement sees what was
committed when it began, as in READ COMMITTED), and a connection is tried out before use only after a
rest.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from docflow.db import guard
from docflow.db.base import dumps
from docflow.db.exclusive import exclusive
from docflow.db.uow import SealRowDetails, UnitOfWork
from docflow.kernel.actor import Actor
from docflow.kernel.clock import Clock
from docflow.kernel.errors import ConfigurationError, UnavailableError

_WRITER_WAIT_SECONDS = 20.0
_BUSY_TIMEOUT_MS = 10_000
_REST_SECONDS = 1.0
_POSTGRES_OPTIONS = "-c lock_timeout=10s -c statement_timeout=60s -c timezone=UTC"


class Database:
    """One database, its connection pool and its units of work."""

    def __init__(self, url: str, clock: Clock, *, pool_size: int = 8) -> None:
        """Open (lazily) the database at an SQLAlchemy `url`.

        Raises:
            ConfigurationError: if the URL is not one of the two supported databases.
        """
        self.url = url
        self.clock = clock
        self.engine = _create_engine(url, pool_size)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._snapshots = self.engine.execution_options(docflow_read=True)
        self._reader = self._snapshots
        if not self.is_sqlite:
            self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer_lock = threading.Lock()
        self._inside = threading.local()
        self._sealers: dict[str, SealRowDetails] = {}

    def seal_details(self, kind: str, sealer: SealRowDetails) -> None:
        """Have the details of entries about subjects of this kind pass `sealer` before they are kept.

        Said once, when the instance is put together.
        """
        self._sealers[kind] = sealer

    def reach(self) -> None:
        """Try a connection out, to say plainly where the database was sought if it is not there.

        Raises:
            UnavailableError: saying where, and why it cannot be reached.
        """
        try:
            self.engine.connect().close()
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            raise UnavailableError(
                _away(self.engine.url, error),
                code="database-unavailable",
                satisfied_by="DOCFLOW_DATABASE_URL says where it is sought.",
            ) from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection for reading; on PostgreSQL each statement sees a moment of its own.

        Raises:
            UnavailableError: if the database does not answer.
        """
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one moment of the whole database, however long it reads.

        Raises:
            UnavailableError: if the database does not answer.
        """
        with _translated(), self._snapshots.begin() as connection:
            if not self.is_sqlite:  # SQLite's read transactions are such already
                connection.execute(
                    sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                )
            yield connection

    @contextmanager
    def exclusive(self, name: str) -> Iterator[bool]:
        """Try to take a lock that one holder at a time can have, outside of any transaction.

        Gives whether it was free; it is held until the block, or the process, ends.

        Raises:
            UnavailableError: if the database does not answer.
        """
        with _translated(), exclusive(self.engine, name) as free:
            yield free

    @contextmanager
    def unit_of_work(self, actor: Actor) -> Iterator[UnitOfWork]:
        """Give a unit of work that commits when the block ends and rolls back when it raises.

        Raises:
            UnavailableError: if the database does not answer or stays locked.
            UnrecordedChangeError: if an audited row changed without a history entry.
        """
        if getattr(self._inside, "open", False):
            raise RuntimeError("a unit of work is already open in this thread")
        self._inside.open = True
        try:
            with self._one_writer(), _translated(), self.engine.begin() as connection:
                uow = UnitOfWork(connection, actor, self.clock, self._sealers)
                yield uow
                uow.finish()
        finally:
            self._inside.open = False

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._writer_lock.acquire(timeout=_WRITER_WAIT_SECONDS):
            raise UnavailableError(
                "The database is busy with other changes; try again.", code="database-unavailable"
            )
        try:
            yield
        finally:
            self._writer_lock.release()

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn a database that is away, locked or full into an error a caller can act on."""
    try:
        yield
    except (OperationalError, InterfaceError, sqlite3.OperationalError) as error:
        raise UnavailableError(
            "The database does not answer or is busy; nothing was changed. Try again.",
            code="database-unavailable",
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError(
                "The database connection was lost; nothing was changed. Try again.",
                code="database-unavailable",
            ) from error
        raise


def _away(url: sa.URL, error: Exception) -> str:
    """Say where a database was sought, without the rest of its URL: that may hold a password."""
    told = str(getattr(error, "orig", None) or error).partition("\n")[0]
    reason = " ".join(told.rpartition("failed: ")[2].split()).rstrip(".")
    if url.get_backend_name() == "sqlite":
        return f"The database {url.database} cannot be opened ({reason})."
    host = url.host or url.query.get("host") or "this machine"
    return f"The database at {host}:{url.port or 5432} cannot be reached ({reason})."


def _create_engine(url: str, pool_size: int) -> sa.Engine:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(
            "DOCFLOW_DATABASE_URL is not a database URL; write sqlite:///path or postgresql://…"
        ) from error
    common: dict[str, Any] = {
        "json_serializer": dumps,
        "hide_parameters": True,  # values stay out of errors, and so out of logs
        "pool_size": pool_size,
        "max_overflow": pool_size,
        "pool_timeout": 30,
    }
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigurationError("docflow needs an SQLite file, not a database in memory")
            _make_folder(Path(parsed.database).parent)
            engine = sa.create_engine(parsed, poolclass=sa.QueuePool, **common)
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        case "postgresql":
            engine = sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                connect_args={"options": _POSTGRES_OPTIONS},
                **common,
            )
            _ping_after_rest(engine)
        case other:
            raise ConfigurationError(
                f"DOCFLOW_DATABASE_URL names {other!r}; docflow runs on sqlite and postgresql"
            )
    guard.install(engine)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The database's folder {folder} cannot be made ({error.strerror}).",
            satisfied_by="DOCFLOW_DATABASE_URL says where it is sought.",
        ) from error


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # docflow issues BEGIN itself
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=FAST",  # what was sealed afterwards leaves its old cell, at no extra write
    ):
        connection.execute("PRAGMA " + pragma)


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("docflow_read")
    driver: Any = connection.connection.driver_connection
    driver.execute(
        "BEGIN" if reading else "BEGIN IMMEDIATE"
    )  # past SQLAlchemy: it is half the cost


def _ping_after_rest(engine: sa.Engine) -> None:
    """Try a pooled connection out before use if it rested; a restart of the server takes longer."""

    def rest(_connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["docflow_rests_since"] = time.monotonic()

    def wake(connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
        since = entry.info.get("docflow_rests_since")
        if since is None or time.monotonic() - since < _REST_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:
            raise InvalidatePoolError from error  # the pool connects anew

    event.listen(engine, "checkin", rest)
    event.listen(engine, "checkout", wake)
