"""The served process dies as in a power cut, at every stage of signing and release and at any moment.

Started again on the same data, it goes on by itself: it signs once, numbers once, delivers once, and
what it had answered is there. In the end the whole history is recomputed.
"""

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from docflow.db import Database, migrate
from docflow.kernel.clock import SystemClock
from tests.api_support import answered
from tests.e2e.served import JOB_SECONDS, Service, prepare_template, served, until
from tests.office_support import AUDITOR, CLERK, LEADER, Instance, copy_instance
from tests.servers import PostgresServer
from tests.unit.signing.forge import run

pytestmark = pytest.mark.slow

SIGNED = ["document.signing-requested", "document.staged", "document.signed", "document.fired"]
RELEASED = [
    "document.signing-requested", "document.staged", "document.sealed", "document.validated",
    "document.fired",
]  # fmt: skip


class Patient:
    """A served office that is killed and started again, and a look into its database from outside."""

    def __init__(self, service: Service, database: Database) -> None:
        self.service = service
        self.database = database
        self._documents = migrate.load_metadata().tables["documents"]

    def row(self, document_id: str) -> tuple[str, str | None]:
        """State and stage of a document, as the database has them at this moment."""
        table = self._documents.c
        with self.database.read() as connection:
            row = connection.execute(
                sa.select(table.state, table.stage).where(table.id == document_id)
            ).one()
        return row.state, row.stage

    def kill_at(self, document_id: str, stage: str, after: str) -> bool:
        """Kill as soon as a document is at this stage; tell whether it was still there then."""
        deadline = time.monotonic() + JOB_SECONDS
        while (now := self.row(document_id))[1] != stage and now[0] != after:
            assert time.monotonic() < deadline, f"{now} instead of {stage}"
        self.service.kill()
        return self.row(document_id)[1] == stage

    def restart(self) -> None:
        self.service.start()

    def check(self, document: dict[str, Any], folder: Path) -> None:
        """Verify that a released document was numbered, signed, sealed and delivered exactly once."""
        document_id = document["id"]
        clerk = self.service.login(CLERK)
        assert (document["state"], document["stage"]) == ("released", None)
        forms = sorted(file["form"] for file in document["files"] if file["current"])
        assert forms == ["original", "released", "signed"]
        assert len(document["files"]) == 3
        deliveries = clerk.read(f"/v1/documents/{document_id}/deliveries")
        assert [item["recipient"]["code"] for item in deliveries] == ["STC", "SNV"]
        history = self.service.login(AUDITOR).read(
            f"/v1/documents/{document_id}/history", limit=200
        )
        actions = [entry["action"] for entry in history["items"]]
        assert actions == [
            "document.posted",
            "document.fired",
            "document.fired",
            *SIGNED,
            *RELEASED,
        ]
        released = next(file for file in document["files"] if file["form"] == "released")
        assert {item["sha256"] for item in deliveries} == {released["sha256"]}
        path = folder / "released.pdf"
        url = f"/v1/documents/{document_id}/files/{released['id']}/content"
        path.write_bytes(clerk.get(url).content)
        said = run("pdfsig", path, check=False)
        assert said.count("Signature #") == said.count("Signature is Valid.") == 2
        assert said.count("  - Total document signed") == 1

    def verify(self) -> None:
        """Verify registers, history and every stored byte."""
        clerk = self.service.login(CLERK)
        for book in ("incoming", "outgoing"):
            items = clerk.read(f"/v1/books/{book}/entries", limit=200)["items"]
            assert [item["number"] for item in items] == list(range(1, len(items) + 1))
        said = self.service.command("audit", "verify", "--contents")
        assert said.returncode == 0, said.stdout + said.stderr


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_template(tmp_path_factory.mktemp("killed-template"))


@contextlib.contextmanager
def admitted(template: Path, folder: Path, url: str) -> Iterator[Patient]:
    database = Database(url, SystemClock())
    with served(folder, url) as service:
        yield Patient(service, database)
    database.dispose()


@pytest.fixture(scope="module")
def patient(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """On SQLite, one for all stages."""
    folder = tmp_path_factory.mktemp("killed")
    copy_instance(template, folder)
    with admitted(template, folder, f"sqlite:///{folder / 'docflow.sqlite3'}") as patient:
        yield patient
        patient.verify()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_patient(
    request: pytest.FixtureRequest, template: Path, tmp_path: Path
) -> Iterator[Patient]:
    """On SQLite and on PostgreSQL, a fresh one for each test."""
    copy_instance(template, tmp_path)
    url = f"sqlite:///{tmp_path / 'docflow.sqlite3'}"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create(f"killed_{time.monotonic_ns()}")
        Instance.prepare(tmp_path, url, SystemClock())
    with admitted(template, tmp_path, url) as patient:
        yield patient
        patient.verify()


@pytest.mark.parametrize(
    ("trigger", "stage"),
    [
        ("sign", "queued"),
        ("sign", "staged"),
        ("sign", "signed"),
        ("release", "queued"),
        ("release", "staged"),
        ("release", "sealed"),
        ("release", "validated"),
    ],
)
def test_killed_at_a_stage_it_goes_on_and_does_everything_once(
    patient: Patient, trigger: str, stage: str, tmp_path: Path
) -> None:
    service = patient.service
    login, after = {"sign": (LEADER, "signed"), "release": (CLERK, "released")}[trigger]
    for _ in range(5):  # the process may leave a stage between our look and its death
        document_id = service.approved() if trigger == "sign" else service.signed()
        service.login(login).fire(document_id, trigger)
        caught = patient.kill_at(document_id, stage, after)
        patient.restart()
        document = service.login(login).settled(document_id)
        assert document["state"] == after
        if trigger == "sign":
            document = service.login(CLERK).carry(document_id, "release")
        patient.check(document, tmp_path)
        if caught:
            return
    pytest.fail(f"the process was never caught at the stage {stage}")


def test_killed_at_any_moment_and_again_while_it_recovers(
    any_patient: Patient, tmp_path: Path
) -> None:
    service = any_patient.service
    moments = random.Random(20261122)  # noqa: S311 - moments, not secrets
    to_release = [service.signed() for _ in range(2)]
    to_sign = [service.approved() for _ in range(2)]
    for document_id in to_release:
        service.login(CLERK).fire(document_id, "release")
    for document_id in to_sign:
        service.login(LEADER).fire(document_id, "sign")
    for _ in range(2):
        time.sleep(moments.uniform(0.0, 0.5))
        service.kill()
        any_patient.restart()
    clerk = service.login(CLERK)
    for document_id in to_sign:
        assert clerk.settled(document_id)["state"] == "signed"
        any_patient.check(clerk.carry(document_id, "release"), tmp_path)
    for document_id in to_release:
        any_patient.check(clerk.settled(document_id), tmp_path)


def test_what_was_answered_with_success_survives(any_patient: Patient) -> None:
    service = any_patient.service
    kept: list[tuple[str, str]] = []
    clerk, content = service.login(CLERK), service.letter
    address, token = service.address, clerk.token
    ends = threading.Event()
    words = itertools.count()

    def client() -> None:
        """Post and register without end; remember what was answered with success."""
        with (
            httpx2.Client(base_url=address, timeout=10) as http,
            contextlib.suppress(httpx2.TransportError),
        ):
            while not ends.is_set():
                word = next(words)
                metadata = {
                    "direction": "incoming", "type": "CV", "subject": f"S {word}", "issuer": "B",
                }  # fmt: skip
                parts = {
                    "metadata": (None, json.dumps(metadata).encode(), "application/json"),
                    "main": ("a.pdf", content + f"\n% {word}\n".encode(), "application/pdf"),
                }
                bearer = {"Authorization": f"Bearer {token}"}
                posted = answered(http.post("/v1/documents", files=parts, headers=bearer), 201)
                kept.append((posted["id"], "received"))
                url = f"/v1/documents/{posted['id']}/transitions"
                stamp = bearer | {"If-Match": f'"{posted["version"]}"'}
                fired = answered(http.post(url, json={"trigger": "register"}, headers=stamp), 200)
                kept.append((posted["id"], fired["state"]))

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(kept) > 20, "twenty answers")
    service.kill()
    ends.set()
    for thread in threads:
        thread.join(30)
    any_patient.restart()
    clerk = service.login(CLERK)
    for document_id, state in dict(kept).items():
        document = clerk.read(f"/v1/documents/{document_id}")
        assert document["state"] in (state, "registered")
        (file,) = document["files"]
        stored = clerk.get(f"/v1/documents/{document_id}/files/{file['id']}/content")
        assert len(stored.content) == file["size"]
