"""A marker goes through a really served office in confidential documents, and lies nowhere afterwards.

Everything is looked at as bytes: database files with their logs, every table, the store, staging and
temporary folders (while the work goes on, too), what the process logs, what it answers when it
refuses, job records, and the published log of history.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docflow.db import Database
from docflow.kernel.clock import SystemClock
from tests.api_support import answered, if_match, refused
from tests.classified_support import (
    has_marker,
    in_folder,
    in_tables,
    marked_pdf,
    multipart,
)
from tests.e2e.served import Service, until
from tests.office_files import titled
from tests.office_support import (
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_SPECIALIST,
    SPECIALIST,
    Instance,
    copy_instance,
)
from tests.servers import PostgresServer

MIB = 2**20
GROWTH = 32 * MIB
LARGE = 64 * MIB
OTHER_CLERK = "linh.pn"


class WatchedService(Service):
    """A served office whose temporary files lie where they can be looked at."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        super().__init__(folder, url, **settings)
        self.server: PostgresServer | None = None
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environment |= {"TMPDIR": str(self.temporary)}


@pytest.fixture(params=["sqlite", "postgresql"])
def service(
    request: pytest.FixtureRequest, served_template: Path, tmp_path: Path
) -> Iterator[WatchedService]:
    folder = tmp_path / "var"
    copy_instance(served_template, folder)
    server: PostgresServer | None = None
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        assert server is not None
        url = server.create("marker")
        Instance.prepare(folder, url, SystemClock())
    service = WatchedService(folder, url, job_attempts="2")
    service.server = server
    try:
        yield service.start()
    finally:
        service.end()
        if server is not None:
            server.drop("marker")


class Watch:
    """Looks into folders of the service again and again, for what lies there only for a moment."""

    def __init__(self, marker: bytes, *folders: Path) -> None:
        self._marker = marker
        self._folders = folders
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = 0
        self.seen: set[str] = set()
        self.found: list[str] = []

    def _look(self) -> None:
        while not self._ended.is_set():
            self.looks += 1
            for folder in self._folders:
                with contextlib.suppress(OSError):  # a folder that is gone by now
                    for path in folder.rglob("*"):
                        self._look_into(path)
            time.sleep(0.002)

    def _look_into(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # it is gone by now
            data = path.read_bytes() if path.is_file() else b""
            self.seen.add(path.name)
            if has_marker(data, self._marker):
                self.found.append(str(path))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


class Work:
    """What people do with confidential documents that carry a marker."""

    def __init__(self, service: WatchedService, marker: str) -> None:
        self.service = service
        self.marker = marker
        self.text = f"Nội dung mật {marker}"
        self.refusals: list[bytes] = []

    def post(self, number: int) -> dict[str, Any]:
        """Post one, with the metadata after the file."""
        return self.post_file(f"{self.marker}.pdf", marked_pdf(number, self.marker.encode()))

    def post_file(self, name: str, content: bytes) -> dict[str, Any]:
        values = {
            "direction": "outgoing", "type": "QĐ", "subject": self.text, "recipients": ["STC"],
            "classification": "confidential",
        }  # fmt: skip
        body, headers = multipart(("main", name, content), ("metadata", None, values))
        author = self.service.login(SPECIALIST)
        answer = author.request("POST", "/v1/documents", content=body, headers=headers)
        return answered(answer, 201)  # type: ignore[no-any-return]

    def refuse(self, login: str, method: str, url: str, **options: Any) -> None:
        answer = self.service.login(login).request(method, url, **options)
        assert answer.status_code >= 400, answer.text
        self.refusals.append(answer.content)

    def signed_and_refused(self) -> str:
        """One that is edited, annexed, returned, refused, signed."""
        document = self.post(1)
        author = self.service.login(SPECIALIST)
        url = f"/v1/documents/{document['id']}"
        answered(author.patch(url, {"subject": f"{self.text} (sửa)"}, 1), 200)
        annex = marked_pdf(2, self.marker.encode())
        headers = if_match(2) | {
            "Content-Type": "application/pdf",
            "Content-Disposition": f'attachment; filename="{self.marker}-phu-luc.pdf"',
        }
        answered(author.request("POST", f"{url}/files", content=annex, headers=headers), 201)
        author.fire(document["id"], "submit")
        asked = {"trigger": "approve", "asked": {"reason": self.text}}
        for login in (OTHER_CLERK, OTHER_SPECIALIST, SPECIALIST, CLERK):
            self.refuse(login, "POST", f"{url}/transitions", json=asked, headers=if_match(4))
        self.refuse(OTHER_CLERK, "GET", url)
        self.refuse(HEAD, "PATCH", url, json={"subject": self.text}, headers=if_match(1))
        self.service.login(HEAD).fire(document["id"], "return", reason=self.text)
        author.fire(document["id"], "submit")
        self.service.login(HEAD).fire(document["id"], "approve")
        done = self.service.login(LEADER).carry(document["id"], "sign")
        assert done["state"] == "signed"
        return str(document["id"])

    def converted(self) -> str:
        """One that comes as an office file, becomes a PDF by a job, and is signed."""
        document = self.post_file(f"{self.marker}.docx", titled(self.marker))
        author = self.service.login(SPECIALIST)
        url = f"/v1/documents/{document['id']}/files"

        def made() -> Any:
            return next((file for file in author.read(url) if file["derived"]), None)

        until(lambda: made() is not None, "the conversion", 120.0)
        content = author.get(f"{url}/{made()['id']}/content").content
        assert content.startswith(b"%PDF-")
        assert has_marker(content, self.marker.encode())  # for who may read it
        author.fire(document["id"], "submit")
        self.service.login(HEAD).fire(document["id"], "approve")
        assert self.service.login(LEADER).carry(document["id"], "sign")["state"] == "signed"
        return str(document["id"])

    def voided(self) -> str:
        """One whose number is voided for a reason."""
        document = str(self.post(3)["id"])
        self.service.login(SPECIALIST).fire(document, "submit")
        self.service.login(HEAD).fire(document, "approve")
        self.service.login(LEADER).fire(document, "withdraw", reason=self.text)
        return document

    def failing(self) -> str:
        """One whose signing job fails for good, because its file is damaged."""
        document = self.post(4)
        before = set(self.stored())
        self.service.login(SPECIALIST).fire(document["id"], "submit")
        self.service.login(HEAD).fire(document["id"], "approve")
        newest = max(before, key=lambda path: path.stat().st_mtime_ns)
        data = bytearray(newest.read_bytes())
        data[len(data) // 2] ^= 1
        newest.chmod(0o600)
        newest.write_bytes(data)
        self.service.login(LEADER).fire(document["id"], "sign")
        url = f"/v1/documents/{document['id']}"
        leader = self.service.login(LEADER)
        until(lambda: leader.read(url)["stage"] == "failed", "the job to fail for good", 60.0)
        return str(document["id"])

    def stored(self) -> list[Path]:
        return [p for p in (self.service.folder / "store/files").rglob("*") if p.is_file()]


def at_rest(service: WatchedService) -> Iterator[tuple[str, bytes]]:
    """Everything that the service left: its folder, its database's tables, and the files of those."""
    database = Database(service.database_url, SystemClock())
    try:
        yield "tables", in_tables(database)
    finally:
        database.dispose()
    yield from in_folder(service.folder).items()
    for path in service.server.files("marker") if service.server else ():
        yield f"database/{path.parent.name}/{path.name}", path.read_bytes()


def places(service: WatchedService, text: bytes) -> list[str]:
    """Where a text lies, in a form that gives it away."""
    return [name for name, data in at_rest(service) if has_marker(data, text)]


def test_the_marker_lies_nowhere(service: WatchedService) -> None:
    marker = f"m4rk{uuid.uuid4().hex[:8]}"
    work = Work(service, marker)
    folders = ("staging", "conversion")
    watched = [service.folder / name for name in folders]
    with Watch(marker.encode(), *watched, service.temporary) as watch:
        signed, voided, failed = work.signed_and_refused(), work.voided(), work.failing()
        converted = work.converted()
    assert watch.found == []
    assert watch.looks > 10
    assert any(name.endswith(".part") for name in watch.seen)  # it did see files on their way
    assert not any(has_marker(told, marker.encode()) for told in work.refusals)

    for document in (
        signed,
        voided,
        failed,
        converted,
    ):  # whoever may reads it, and finds the marker there
        shown = service.login(HEAD).read(f"/v1/documents/{document}")
        assert marker in shown["subject"]
    entries = service.login(AUDITOR).read(f"/v1/documents/{signed}/history", limit=50)["items"]
    assert marker in json.dumps([entry["details"] for entry in entries])
    published = {"document.posted", "document.edited", "document.fired", "document.signed"}
    assert published <= {entry["action"] for entry in entries}
    assert service.command("jobs", "list").returncode == 0

    for moment in ("served", "stopped"):
        assert places(service, marker.encode()) == [], moment
        seen = places(service, SPECIALIST.encode())  # what is open is found, so this does look
        assert "tables" in seen
        assert any(name.startswith(("docflow.sqlite3", "database/")) for name in seen)
        if moment == "served":
            assert service.stop() == 0
    left = in_folder(service.folder)
    assert any(name.startswith("store/log/tile") for name in left)
    assert b"document_id" in left[service.log.name]  # the log of requests was among it
    assert list((service.folder / "staging").iterdir()) == []


def test_a_large_sealed_upload_and_download_cost_no_memory(service: WatchedService) -> None:
    values = {
        "direction": "incoming", "type": "CV", "subject": "x", "issuer": "Sở Nội vụ",
        "issuer_symbol": "9/SNV", "classification": "confidential",
    }  # fmt: skip
    clerk = service.login(CLERK)
    posted = clerk.post_document(service.letter, **values)  # warm: what any upload needs
    url = f"/v1/documents/{posted['id']}"

    def put(content: bytes | Iterator[bytes], version: int) -> None:
        headers = if_match(version) | {"Content-Type": "application/octet-stream"}
        made = clerk.request("POST", f"{url}/files", content=content, headers=headers)
        answered(made, 201)

    put(os.urandom(MIB), posted["version"])
    before = service.memory()
    put((bytes([n]) * MIB for n in range(LARGE // MIB)), posted["version"] + 1)
    assert service.memory() - before < GROWTH
    file = max(clerk.read(f"{url}/files"), key=lambda file: file["size"])
    assert file["size"] == LARGE
    size = 0
    headers = {"Authorization": f"Bearer {clerk.token}"}
    with clerk.client.stream("GET", f"{url}/files/{file['id']}/content", headers=headers) as got:
        assert got.status_code == 200
        for piece in got.iter_bytes():
            size += len(piece)
    assert size == LARGE
    assert service.memory() - before < GROWTH


def test_a_client_that_goes_away_is_forgotten(service: WatchedService) -> None:
    marker = f"m4rk{uuid.uuid4().hex[:8]}".encode()
    author = service.login(SPECIALIST)
    host, port = service.address.removeprefix("http://").split(":")
    begun = b'--limit\r\nContent-Disposition: form-data; name="main"; filename="a.pdf"\r\n\r\n'
    head = (
        f"POST /v1/documents HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {author.token}\r\n"
        "Content-Type: multipart/form-data; boundary=limit\r\n"
        f"Content-Length: {10 * MIB}\r\n\r\n"
    )
    staging = service.folder / "staging"
    with Watch(marker, staging, service.temporary) as watch:
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head.encode() + begun + marked_pdf(200, marker) + marker * 50_000)
            until(lambda: any(p.stat().st_size for p in staging.iterdir()), "it is being received")
        until(lambda: not list(staging.iterdir()), "what was received is dropped")
    assert watch.found == []
    refused(service.login(OTHER_CLERK).get("/v1/documents/none"), 404, "not-found")
    assert places(service, marker) == []
