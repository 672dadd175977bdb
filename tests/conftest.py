"""Fixtures shared by every kind of test: real databases, a clock that moves when told."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from docflow.db import Database, migrate
from docflow.kernel.clock import ManualClock
from tests.servers import PostgresServer

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)  # a Monday, 08:30 in Hà Nội


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "docflow.sqlite3"
    database = Database(f"sqlite:///{path}", ManualClock(START))
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    path = tmp_path / "docflow.sqlite3"
    path.write_bytes(migrated_sqlite.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """Name of a PostgreSQL database with the newest schema, to be copied."""
    url = postgres.create("docflow_template")
    database = Database(url, ManualClock(START))
    migrate.upgrade(database)
    database.dispose()
    return "docflow_template"


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    name = "t" + uuid.uuid4().hex
    yield postgres.create(name, template=postgres_template)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
def database(database_url: str, clock: ManualClock) -> Iterator[Database]:
    """A real, migrated, empty database: each test runs on SQLite and on PostgreSQL."""
    database = Database(database_url, clock)
    yield database
    database.dispose()


@pytest.fixture
def sqlite(sqlite_url: str, clock: ManualClock) -> Iterator[Database]:
    """A real, migrated, empty SQLite database."""
    database = Database(sqlite_url, clock)
    yield database
    database.dispose()


def rows(database: Database, table: sa.Table) -> int:
    """Return how many rows a table has."""
    with database.read() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return int(count)
