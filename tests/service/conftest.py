"""The office of the custody tests, on SQLite and on PostgreSQL; a living PKI with either kind of key."""

import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docflow.kernel.clock import ManualClock
from tests.custody_support import Keeping
from tests.levels_support import Offices, offices_in
from tests.office_support import copy_instance
from tests.pki_support import LivePki
from tests.servers import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def keeping(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path, clock: ManualClock
) -> Iterator[Keeping]:
    folder = tmp_path / "var"
    copy_instance(prepared, folder)
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    name = "k" + uuid.uuid4().hex
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        assert server is not None
        url = server.create(name, template=request.getfixturevalue("prepared_postgres"))
    keeping = Keeping(folder, url, clock)
    yield keeping
    keeping.instance.close()
    if server is not None:
        server.drop(name)


@pytest.fixture
def offices(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Offices]:
    """Make instances that sign with the living PKI."""
    with offices_in(tmp_path, prepared, clock) as make:
        yield partial(make, pki)


@pytest.fixture(scope="session")
def rsa_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePki]:
    """A living PKI whose person has an RSA key."""
    key = rsa.generate_private_key(65_537, 3072)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server = LivePki(tmp_path_factory.mktemp("pki"), keys={"person": pem})
    yield server
    server.stop()


@pytest.fixture(params=["ec", "rsa"])
def either(request: pytest.FixtureRequest) -> LivePki:
    """The living PKI, the person's key on P-256 or RSA."""
    name = {"ec": "pki_server", "rsa": "rsa_server"}[request.param]
    server: LivePki = request.getfixturevalue(name)
    server.reset()
    return server
