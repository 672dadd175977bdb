"""Fixtures shared by every kind of test: real databases, a clock that moves when told."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from docflow.db import Database, migrate
from docflow.kernel.clock import ManualClock
from tests.office_support import Instance, copy_instance
from tests.pki_support import LivePki
from tests.s3_server import S3Server
from tests.sealed_support import sealed_office
from tests.servers import PostgresServer

# A loaded machine is slow, not wrong; and a run in CI says the same twice.
settings.register_profile("docflow", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("docflow")

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)  # a Monday, 08:30 in Hà Nội


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server; each test makes a bucket or a prefix of its own in it."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pki_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePki]:
    """Authorities, OCSP, CRLs and TSAs on loopback; use `pki`, which forgets what a test told it."""
    server = LivePki(tmp_path_factory.mktemp("pki"))
    yield server
    server.stop()


@pytest.fixture
def pki(pki_server: LivePki) -> LivePki:
    """The living PKI, every service of it well, at the tests' time."""
    pki_server.reset()
    return pki_server


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


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared SQLite instance with accounts, throw-away PKI and fonts, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    Instance.prepare(folder, url, ManualClock(START))
    instance = Instance(folder, url, ManualClock(START))
    with instance.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    instance.close()
    return folder


@pytest.fixture(scope="session")
def prepared_postgres(postgres: PostgresServer, prepared: Path) -> str:
    """Name of a prepared PostgreSQL database, to be copied."""
    Instance.prepare(prepared, postgres.create("docflow_prepared"), ManualClock(START))
    return "docflow_prepared"


@pytest.fixture
def instance(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    """A whole instance on SQLite."""
    copy_instance(prepared, tmp_path / "var")
    url = f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}"
    instance = Instance(tmp_path / "var", url, clock)
    yield instance
    instance.close()


@pytest.fixture
def sealed(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    """A whole instance on SQLite, in whose office documents are sealed from `internal` on."""
    copy_instance(prepared, tmp_path / "var")
    url = f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}"
    instance = Instance(tmp_path / "var", url, clock, office_file=sealed_office(tmp_path))
    yield instance
    instance.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_instance(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path, clock: ManualClock
) -> Iterator[Instance]:
    """A whole instance: each test runs on SQLite and on PostgreSQL."""
    copy_instance(prepared, tmp_path / "var")
    url = f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}"
    name = "i" + uuid.uuid4().hex
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        template = request.getfixturevalue("prepared_postgres")
        assert server is not None
        url = server.create(name, template=template)
    instance = Instance(tmp_path / "var", url, clock)
    yield instance
    instance.close()
    if server is not None:
        server.drop(name)
