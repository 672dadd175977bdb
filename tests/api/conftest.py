"""A whole real office behind the HTTP door, for every test of the API."""

import dataclasses
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from docflow.api.app import create_app
from docflow.people.accounts import Accounts
from tests.api_support import Office
from tests.office_support import Instance, cheap


def open_office(instance: Instance) -> Iterator[Office]:
    """Open an instance's HTTP door, with password hashes that cost nothing."""
    accounts = Accounts(instance.database, instance.settings, cheap())
    services = dataclasses.replace(instance.services, accounts=accounts)
    with (
        TestClient(create_app(services), raise_server_exceptions=False) as client,
        Office(instance, client, services) as office,
    ):
        yield office


@pytest.fixture
def office(instance: Instance) -> Iterator[Office]:
    """A whole office on SQLite."""
    yield from open_office(instance)


@pytest.fixture
def any_office(any_instance: Instance) -> Iterator[Office]:
    """A whole office: each test runs on SQLite and on PostgreSQL."""
    yield from open_office(any_instance)
