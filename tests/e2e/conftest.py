"""The sample office, really served: one process on SQLite and one on PostgreSQL for all of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.clock import SystemClock
from tests.e2e.served import Service, prepare_template, served
from tests.office_support import Instance, copy_instance
from tests.servers import PostgresServer


@pytest.fixture(scope="session")
def served_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared instance of today, to be copied; its database is SQLite."""
    return prepare_template(tmp_path_factory.mktemp("served-template"))


@pytest.fixture(scope="session")
def sqlite_service(
    served_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("served-sqlite")
    copy_instance(served_template, folder)
    with served(folder, f"sqlite:///{folder / 'docflow.sqlite3'}") as service:
        yield service


@pytest.fixture(scope="session")
def postgres_service(
    served_template: Path, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("served-postgres")
    copy_instance(served_template, folder)
    url = postgres.create("docflow_served")
    Instance.prepare(folder, url, SystemClock())
    with served(folder, url) as service:
        yield service


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> Service:
    """The served office: each test runs on SQLite and on PostgreSQL."""
    name = "sqlite_service" if request.param == "sqlite" else "postgres_service"
    found = request.getfixturevalue(name)
    assert isinstance(found, Service)
    return found
