"""A whole real office behind the HTTP door, for every test of the API."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from docflow.api.app import create_app
from docflow.kernel.clock import ManualClock
from docflow.people.accounts import Accounts
from tests.api_support import Door, Office
from tests.conftest import START
from tests.office_support import ADMINISTRATOR, Instance, cheap, copy_instance


def open_office(instance: Instance) -> Iterator[Office]:
    """Open an instance's HTTP door, with password hashes that cost nothing."""
    accounts = Accounts(instance.database, instance.settings, cheap())
    services = dataclasses.replace(instance.services, accounts=accounts)
    with (
        TestClient(create_app(services), raise_server_exceptions=False) as client,
        Office(instance, client, services) as office,
    ):
        yield office


@pytest.fixture(scope="module")
def shared_office(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Office]:
    """An office on SQLite for tests that only ask, and are refused or told; it is made once."""
    folder = tmp_path_factory.mktemp("shared")
    copy_instance(prepared, folder)
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    instance = Instance(folder, url, ManualClock(START))
    yield from open_office(instance)
    instance.close()


@pytest.fixture
def office(instance: Instance) -> Iterator[Office]:
    """A whole office on SQLite."""
    yield from open_office(instance)


@pytest.fixture
def any_office(any_instance: Instance) -> Iterator[Office]:
    """A whole office: each test runs on SQLite and on PostgreSQL."""
    yield from open_office(any_instance)


@pytest.fixture
def admin(office: Office) -> Door:
    """The administrator."""
    return office.login(ADMINISTRATOR)


@pytest.fixture
def asking(shared_office: Office) -> Door:
    """The administrator of the office that tests share."""
    return shared_office.login(ADMINISTRATOR)
