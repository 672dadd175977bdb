"""An instance made before confidential items could be held goes on, and nothing of it is lost."""

import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from docflow.cli.main import app
from docflow.db import Database, migrate
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError
from tests.api_support import Door, answered
from tests.classified_support import MARKER, cleared_office, has_marker, in_folder, marked_pdf
from tests.office_support import AUDITOR, CLERK, HEAD, LEADER, Instance, development

ARCHIVE = Path(__file__).parents[1] / "data" / "instance-before-sealing.tar.xz"
BEFORE = "0002"
AFTERWARDS = datetime(2026, 11, 26, 1, 30, tzinfo=UTC)
INCOMING = "01a214e8-e3e7-7c27-b660-7f983cd57026"
RELEASED = "01a214e8-e43d-7773-8f32-54f41bccab69"


class OldInstance:
    """The unpacked instance, as its commands and its HTTP door see it."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        self.folder = folder
        self.url = f"sqlite:///{folder / 'docflow.sqlite3'}"
        lines = (folder / "credentials.txt").read_text("utf-8").split("\n")
        pairs = [line.split() for line in lines if len(line.split()) == 2]
        self.passwords = dict(pairs)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """What the database itself says, whatever its schema."""
        connection = sqlite3.connect(self.folder / "docflow.sqlite3")
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(statement)]
        finally:
            connection.close()

    def command(self, *words: str) -> Result:
        """Type a command of docflow for this instance."""
        with development():
            return CliRunner().invoke(app, [*words, "--data-dir", str(self.folder)])

    @contextmanager
    def database(self) -> Iterator[Database]:
        database = Database(self.url, ManualClock(AFTERWARDS))
        try:
            yield database
        finally:
            database.dispose()

    @contextmanager
    def opened(self) -> Iterator["OpenedInstance"]:
        """Open its HTTP door."""
        instance = OpenedInstance(self.folder, self.url, ManualClock(AFTERWARDS))
        instance.passwords = self.passwords
        try:
            with cleared_office(instance, CLERK) as office:
                instance.client = office.client
                yield instance
        finally:
            instance.close()


class OpenedInstance(Instance):
    """The instance with its services, whose people have the passwords of its credentials file."""

    passwords: dict[str, str]
    client: TestClient

    def _find(self, login: str) -> Any:
        return self.services.authenticator.authenticate(self._session(login))

    def _session(self, login: str) -> str:
        return self.services.accounts.login(login, self.passwords[login]).token

    def door(self, login: str) -> Door:
        given = {"login": login, "password": self.passwords[login]}
        nobody = Door(self.client)
        return Door(self.client, answered(nobody.post("/v1/sessions", given), 201)["token"], login)


@pytest.fixture
def old(tmp_path: Path) -> OldInstance:
    return OldInstance(tmp_path / "var")


@pytest.fixture
def upgraded(old: OldInstance) -> OldInstance:
    told = old.command("migrate")
    assert told.exit_code == 0, told.output
    return old


def test_it_is_one_of_before(old: OldInstance) -> None:
    assert old.rows("SELECT version_num FROM alembic_version") == [{"version_num": BEFORE}]
    refused = old.command("audit", "verify")
    assert isinstance(refused.exception, ConfigurationError)
    assert "docflow migrate" in refused.exception.detail


def test_it_is_verified_to_the_last_byte_after_the_upgrade(upgraded: OldInstance) -> None:
    told = upgraded.command("audit", "verify", "--contents")
    assert told.exit_code == 0, told.output
    assert upgraded.command("migrate", "--check").exit_code == 0


def test_every_row_and_every_stored_byte_is_what_it_was(old: OldInstance) -> None:
    kept = ("documents", "files", "history_entries", "log_leaves", "register_entries", "people")
    before = {table: old.rows(f"SELECT * FROM {table}") for table in kept}  # noqa: S608
    store = in_folder(old.folder / "store")
    assert old.command("migrate").exit_code == 0
    for table, rows in before.items():
        now = old.rows(f"SELECT * FROM {table}")  # noqa: S608
        assert [{name: row[name] for name in rows[0]} for row in now] == rows, table
    assert in_folder(old.folder / "store") == store


def test_every_document_and_file_is_read_over_http_as_before(upgraded: OldInstance) -> None:
    files = upgraded.rows("SELECT id, document_id, name, size, sha256, storage_key FROM files")
    subjects = {row["id"]: row["subject"] for row in upgraded.rows("SELECT * FROM documents")}
    assert subjects.keys() == {INCOMING, RELEASED}
    with upgraded.opened() as instance:
        leader = instance.door(LEADER)
        for document_id, subject in subjects.items():
            shown = leader.read(f"/v1/documents/{document_id}")
            assert (shown["subject"], shown["classification"]) == (subject, "internal")
            assert leader.read(f"/v1/documents/{document_id}/history")["items"]
        for file in files:
            url = f"/v1/documents/{file['document_id']}/files/{file['id']}"
            assert leader.read(url)["name"] == file["name"]
            content = leader.get(f"{url}/content").content
            assert (len(content), sha256(content).hexdigest()) == (file["size"], file["sha256"])
        words = {"text": "tiep nhan"}
        assert [d["id"] for d in leader.read("/v1/documents", **words)["items"]] == [RELEASED]
        inbox = instance.door("stc").read("/v1/inbox")["items"]
        assert [item["symbol"] for item in inbox] == ["01/QĐ-VPUB"]


def test_a_confidential_document_can_be_posted_and_seals_what_is_its_own(
    upgraded: OldInstance,
) -> None:
    content = marked_pdf()
    with upgraded.opened() as instance:
        clerk = instance.door(CLERK)
        posted = clerk.post_document(
            content, direction="incoming", type="CV", subject=MARKER, issuer="Sở Nội vụ",
            issuer_symbol="7/SNV-MẬT", classification="confidential",
        )  # fmt: skip
        url = f"/v1/documents/{posted['id']}"
        assert clerk.read(url)["subject"] == MARKER
        (file,) = clerk.read(f"{url}/files")
        assert clerk.get(f"{url}/files/{file['id']}/content").content == content
        assert instance.door("linh.pn").get(url).status_code == 404
        instance.services.sequencer.run()
    at_rest = in_folder(upgraded.folder)
    assert [path for path, data in at_rest.items() if has_marker(data)] == []
    told = upgraded.command("audit", "verify", "--contents")
    assert told.exit_code == 0, told.output
    with upgraded.database() as database, pytest.raises(RuntimeError, match="sealed items, which"):
        migrate.downgrade(database, BEFORE)
    assert upgraded.command("migrate", "--check").exit_code == 0


def test_it_goes_back_as_long_as_nothing_is_sealed(upgraded: OldInstance) -> None:
    store = in_folder(upgraded.folder / "store")
    with upgraded.database() as database:
        migrate.downgrade(database, BEFORE)
        assert migrate.current(database) == BEFORE
        migrate.upgrade(database)
        assert migrate.drift(database) == []
    assert in_folder(upgraded.folder / "store") == store
    told = upgraded.command("audit", "verify", "--contents")
    assert told.exit_code == 0, told.output
    with upgraded.opened() as instance:
        words = {"text": "tiep nhan"}
        for login in (HEAD, AUDITOR):
            found = instance.door(login).read("/v1/documents", **words)["items"]
            assert [d["id"] for d in found] == [RELEASED]
