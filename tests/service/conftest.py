"""The office of the custody tests, on SQLite and on PostgreSQL."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from tests.custody_support import Keeping
from tests.office_support import copy_instance
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
