"""Uploads to a served office whose bucket fails in every way: told clearly, and nothing is left.

A real service process, a real SeaweedFS with fsync, and a proxy between them that does what networks
and failing services do.
"""

import contextlib
import json
import random
import resource
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from docflow.kernel.errors import UnavailableError
from docflow.storage.s3 import S3Store
from tests.api_support import answered, refused
from tests.e2e.served import LETTER, Service, served
from tests.office_support import CLERK, copy_instance
from tests.s3_faults import Fault, FaultProxy, xml_answer
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.s3_support import FOREVER

ATTEMPTS = 3
TIMEOUT_SECONDS = 3.0
LARGE = random.Random(3).randbytes(9 * 2**20)  # noqa: S311 - two parts of an upload


@dataclass
class Place:
    """The served office, its bucket as others see it, and the faults between them."""

    service: Service
    server: S3Server
    proxy: FaultProxy
    direct: S3Store

    def post(self, word: str, annex: bytes | None = None) -> httpx2.Response:
        """Post an incoming letter whose bytes no other document has."""
        metadata = {
            "direction": "incoming", "type": "CV", "subject": f"Công văn {word}",
            "issuer": "Sở Tài chính", "issuer_symbol": f"{word}/STC", "issuer_date": "2026-03-02",
        }  # fmt: skip
        parts: dict[str, Any] = {
            "metadata": (None, json.dumps(metadata).encode(), "application/json"),
            "main": ("thư.pdf", self.content(word), "application/pdf"),
        }
        if annex is not None:
            parts["annex"] = ("số liệu.bin", annex, "application/octet-stream")
        return self.service.login(CLERK).request("POST", "/v1/documents", files=parts)

    def content(self, word: str) -> bytes:
        return (self.service.folder / LETTER).read_bytes() + f"\n% {word}\n".encode()

    def read(self, document: str) -> list[bytes]:
        clerk = self.service.login(CLERK)
        url = f"/v1/documents/{document}/files"
        return [clerk.get(f"{url}/{file['id']}/content").content for file in clerk.read(url)]

    def read_when_up(self, document: str, seconds: float = 60.0) -> list[bytes]:
        """Read, trying again as a 503 says while a store that has just started gathers its volumes."""
        clerk = self.service.login(CLERK)
        url = f"/v1/documents/{document}/files"
        end = time.monotonic() + seconds
        found = []
        for file in clerk.read(url):
            while (answer := clerk.get(f"{url}/{file['id']}/content")).status_code == 503:
                assert time.monotonic() < end, answer.text
                time.sleep(0.2)
            found.append(answer.content)
        return found

    def restart_store(self, seconds: float = 60.0) -> None:
        """Start the store again, and wait until it takes writes as promptly as it did before.

        After a crash it answers at once, but holds writes back until its volumes are gathered.
        """
        self.server.start()
        end = time.monotonic() + seconds
        while True:
            begun = time.monotonic()
            with contextlib.suppress(UnavailableError):
                self.direct.publish("probe", b"taken")
                if time.monotonic() - begun < TIMEOUT_SECONDS / 3:
                    break
            assert time.monotonic() < end, "the store takes no writes after its start"
        self.direct.delete("probe")

    def left(self) -> tuple[int, set[str], list[Path]]:
        """What there is: rows, objects that can be seen, and files in the staging area."""
        with sqlite3.connect(self.service.folder / "docflow.sqlite3") as connection:
            (rows,) = connection.execute("SELECT count(*) FROM documents").fetchone()
            (files,) = connection.execute("SELECT count(*) FROM files").fetchone()
        objects = {item.key for item in self.direct.objects("files/")}
        assert self.direct.client.uploads("files/") == []
        return rows + files, objects, list((self.service.folder / "staging").iterdir())


@pytest.fixture(scope="module")
def place(served_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    server = S3Server()
    proxy = FaultProxy(server.port)
    folder = tmp_path_factory.mktemp("served-s3")
    copy_instance(served_template, folder)
    (folder / "secret").write_text(SECRET_KEY)
    direct = server.store(bucket=server.bucket())
    settings = {
        "s3_endpoint": proxy.endpoint,
        "s3_bucket": direct.options.bucket,
        "s3_access_key": ACCESS_KEY,
        "s3_secret_key_file": str(folder / "secret"),
        "s3_attempts": str(ATTEMPTS),
        "s3_timeout_seconds": str(TIMEOUT_SECONDS),
        "sequencer_seconds": "600",  # its publishing is not what these tests count
    }
    with served(folder, f"sqlite:///{folder / 'docflow.sqlite3'}", **settings) as service:
        yield Place(service, server, proxy, direct)
    proxy.close()
    server.stop()


@pytest.fixture(autouse=True)
def _heal(place: Place) -> Iterator[None]:
    yield
    place.proxy.faults = []


FAULTS = {
    "slow": (Fault(method="PUT", delay=30), 503, "storage-unavailable", ATTEMPTS),
    "500": (
        Fault(method="PUT", answer=xml_answer(500, "InternalError")),
        503, "storage-unavailable", ATTEMPTS,
    ),
    "503": (
        Fault(method="PUT", answer=xml_answer(503, "SlowDown")),
        503, "storage-unavailable", ATTEMPTS,
    ),
    "dropped": (Fault(method="PUT", cut_request=900), 503, "storage-unavailable", ATTEMPTS),
    "full": (
        Fault(method="PUT", answer=xml_answer(507, "XMinioStorageFull")), 503, "storage-full", 1,
    ),
    "checksum": (Fault(method="PUT", flip_request=True), 500, "object-damaged", ATTEMPTS),
    "clock": (
        Fault(method="PUT", answer=xml_answer(403, "RequestTimeTooSkewed")),
        500, "storage-clock-skew", 1,
    ),
    "expired": (
        Fault(method="PUT", answer=xml_answer(400, "ExpiredToken")),
        500, "storage-credentials-expired", 1,
    ),
    "denied": (
        Fault(method="PUT", answer=xml_answer(403, "AccessDenied")),
        500, "storage-access-denied", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_an_upload_that_failed_is_told_and_leaves_nothing(place: Place, name: str) -> None:
    fault, status, code, tries = FAULTS[name]
    fault = replace(fault)
    before = place.left()
    place.proxy.faults = [fault]
    begun = time.monotonic()
    problem = refused(place.post(name), status, code)
    assert time.monotonic() - begun < (ATTEMPTS + 2) * TIMEOUT_SECONDS + 5
    assert FOREVER - fault.times <= tries, "asked again a bounded number of times"
    assert len(problem["detail"]) > 40
    assert place.left() == before
    place.proxy.faults = []
    document = answered(place.post(name), 201)["id"]
    assert place.read(document) == [place.content(name)]


def test_a_large_upload_that_breaks_in_its_second_part_leaves_nothing(place: Place) -> None:
    before = place.left()
    place.proxy.faults = [Fault(method="PUT", within="partNumber=2", cut_request=200_000)]
    refused(place.post("large", LARGE), 503, "storage-unavailable")
    rows, objects, staged = place.left()
    assert (rows, staged) == (before[0], [])
    # the main file was stored before its annex failed; no row shows it, and the sweeper knows it
    assert len(objects - before[1]) <= 1
    place.proxy.faults = []
    document = answered(place.post("large", LARGE), 201)["id"]
    assert place.read(document) == [place.content("large"), LARGE]


def test_a_service_that_is_away_is_told_and_comes_back_without_a_restart(place: Place) -> None:
    before = place.left()
    place.server.kill()
    problem = refused(place.post("away"), 503, "storage-unavailable")
    assert "Try again later" in problem["detail"]
    place.restart_store()
    assert place.left() == before
    document = answered(place.post("away"), 201)["id"]
    assert place.read(document) == [place.content("away")]


def test_an_answer_that_is_lost_is_asked_for_again(place: Place) -> None:
    place.proxy.faults = [Fault(method="PUT", lose_answer=True, times=1)]
    document = answered(place.post("lost"), 201)["id"]
    assert place.read(document) == [place.content("lost")]


def test_a_full_staging_disk_is_told_and_leaves_nothing(place: Place) -> None:
    before = place.left()
    process = place.service._process
    assert process is not None
    unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    # the process may write no file beyond this: a write fails as it does on a full disk
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2**22, unlimited[1]))
    try:
        problem = refused(place.post("staging", LARGE), 503, "storage-unavailable")
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert "cannot be received" in problem["detail"]
    assert place.left() == before
    answered(place.post("staging", LARGE[:-1]), 201)


def test_what_was_answered_with_success_survives_kill_9_of_service_and_store(place: Place) -> None:
    documents = {}
    for number in range(5):
        word = f"kept{number}"
        documents[word] = answered(place.post(word), 201)["id"]
    place.service.kill()
    place.server.kill()
    place.restart_store()
    place.service.start()
    for word, document in documents.items():
        assert place.read_when_up(document) == [place.content(word)]
    scan = place.service.command("storage", "scan", "--full")
    assert scan.returncode == 0, scan.stdout + scan.stderr
    checked = place.service.command("audit", "verify", "--contents")
    assert checked.returncode == 0, checked.stdout + checked.stderr
