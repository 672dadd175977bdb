"""The bytes of confidential documents through the HTTP door: on their way in, at rest, on their way out."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from docflow.db import UnitOfWork
from tests.api_support import Door, Office, answered, if_match, refused
from tests.classified_support import (
    MARKER,
    PLAIN,
    cleared_office,
    has_marker,
    in_folder,
    in_tables,
    marked_pdf,
    multipart,
)
from tests.office_support import CLERK, HEAD, OTHER_SPECIALIST, SPECIALIST, Instance

DRAFT = {
    "direction": "outgoing", "type": "QĐ", "subject": MARKER, "recipients": ["STC"],
    "classification": "confidential",
}  # fmt: skip
PIECE = 16_384
HEADER = 56  # salt and commitment of a sealed object
LARGE = marked_pdf(100)  # several pieces of the sealed format


@pytest.fixture
def office(instance: Instance) -> Iterator[Office]:
    with cleared_office(instance) as office:
        yield office


@dataclass
class Upload:
    """A request whose body comes in pieces, and what lies in staging after each piece was taken."""

    office: Office
    staged: list[bytes] = field(default_factory=list)
    status: int = 0
    body: bytes = b""

    def send(
        self,
        door: Door,
        method: str,
        url: str,
        body: bytes,
        headers: dict[str, str],
        *,
        leaves_after: int | None = None,
    ) -> Any:
        """Send it; after `leaves_after` pieces the client goes away."""
        path, _, query = url.partition("?")
        told = headers | {"authorization": f"Bearer {door.token}", "host": "testserver"}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "root_path": "", "client": ("testclient", 1),
            "server": ("testserver", 80),
            "headers": [(k.lower().encode(), v.encode()) for k, v in told.items()],
        }  # fmt: skip
        pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
        sent = 0

        async def receive() -> dict[str, Any]:
            nonlocal sent
            self.staged.append(b"".join(in_folder(self.folder).values()))
            if leaves_after is not None and sent >= leaves_after:
                return {"type": "http.disconnect"}
            if sent >= len(pieces):
                return {"type": "http.disconnect"}
            sent += 1
            more = sent < len(pieces) or leaves_after is not None
            return {"type": "http.request", "body": pieces[sent - 1], "more_body": more}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            self.body += message.get("body", b"")

        portal = self.office.client.portal
        assert portal is not None
        app: Any = self.office.client.app
        portal.call(partial(app, scope, receive, send))
        return json.loads(self.body) if self.body else None

    @property
    def folder(self) -> Path:
        return self.office.services.staging.folder

    @property
    def seen(self) -> bytes:
        """The most that ever lay in staging."""
        return max(self.staged, key=len)

    def left(self) -> list[str]:
        return list(in_folder(self.folder))


@pytest.fixture
def upload(office: Office) -> Upload:
    return Upload(office)


def clean(office: Office) -> bool:
    """Tell whether nothing at rest gives the marker away."""
    files = in_folder(office.instance.folder)
    return not has_marker(in_tables(office.instance.database)) and not any(
        has_marker(data) for data in files.values()
    )


class TestOnTheirWayIn:
    @pytest.mark.parametrize("metadata", ["first", "last"])
    def test_a_posted_file_never_lies_open_in_staging(
        self, office: Office, upload: Upload, metadata: str
    ) -> None:
        parts = [("metadata", None, DRAFT), ("main", "a.pdf", LARGE), ("annex", "b.pdf", LARGE)]
        body, headers = multipart(*(parts if metadata == "first" else parts[1:] + parts[:1]))
        posted = upload.send(office.login(SPECIALIST), "POST", "/v1/documents", body, headers)
        assert upload.status == 201, posted
        assert len(upload.seen) > len(LARGE)
        assert not any(has_marker(seen) for seen in upload.staged)
        assert (upload.left(), clean(office)) == ([], True)
        for file in posted["files"]:
            url = f"/v1/documents/{posted['id']}/files/{file['id']}/content"
            assert office.login(SPECIALIST).get(url).content == LARGE

    def test_what_is_open_in_the_end_is_encrypted_until_that_is_known(
        self, office: Office, upload: Upload
    ) -> None:
        values = DRAFT | {"classification": "internal", "subject": "x"}
        body, headers = multipart(("main", "a.pdf", LARGE), ("metadata", None, values))
        posted = upload.send(office.login(SPECIALIST), "POST", "/v1/documents", body, headers)
        assert upload.status == 201, posted
        assert not any(has_marker(seen) for seen in upload.staged)
        assert upload.left() == []
        stored = in_folder(office.instance.folder / "store" / "files")
        assert list(stored.values()) == [LARGE]

    @pytest.mark.parametrize("metadata", ["first", "last"])
    def test_a_client_that_goes_away_leaves_nothing(
        self, office: Office, upload: Upload, metadata: str
    ) -> None:
        parts = [("metadata", None, DRAFT), ("main", "a.pdf", LARGE)]
        body, headers = multipart(*(parts if metadata == "first" else parts[1:] + parts[:1]))
        upload.send(
            office.login(SPECIALIST), "POST", "/v1/documents", body, headers, leaves_after=3
        )
        assert len(upload.seen) > PIECE
        assert not any(has_marker(seen) for seen in upload.staged)
        assert (upload.left(), clean(office)) == ([], True)
        assert office.login(HEAD).read("/v1/documents")["items"] == []

    @pytest.mark.parametrize(
        ("login", "values", "status", "code"),
        [
            (OTHER_SPECIALIST, {}, 403, "clearance-required"),
            (SPECIALIST, {"classification": "secret"}, 422, "classification-refused"),
            (SPECIALIST, {"classification": "cosmic"}, 422, "unknown-classification"),
            (SPECIALIST, {"classification": 7}, 422, "invalid-input"),
            (SPECIALIST, {"recipients": ["NIEMAND"]}, 422, "unknown-recipient"),
        ],
    )
    @pytest.mark.parametrize("metadata", ["first", "last"])
    def test_a_refused_post_leaves_nothing(
        self, office: Office, upload: Upload, login: str, values: dict[str, Any], status: int,
        code: str, metadata: str,
    ) -> None:  # fmt: skip
        parts = [("metadata", None, DRAFT | values), ("main", "a.pdf", LARGE)]
        body, headers = multipart(*(parts if metadata == "first" else parts[1:] + parts[:1]))
        problem = upload.send(office.login(login), "POST", "/v1/documents", body, headers)
        assert (upload.status, problem["code"]) == (status, code)
        assert not has_marker(upload.body)
        assert not any(has_marker(seen) for seen in upload.staged)
        assert (upload.left(), clean(office)) == ([], True)

    def test_a_replaced_main_file_never_lies_open(self, office: Office, upload: Upload) -> None:
        posted = office.login(SPECIALIST).post("/v1/documents", DRAFT).json()
        url = f"/v1/documents/{posted['id']}/files/main"
        headers = if_match(1) | {"Content-Type": "application/pdf"}
        shown = upload.send(office.login(SPECIALIST), "PUT", url, LARGE, headers)
        assert (upload.status, shown["version"]) == (200, 2)
        assert not any(has_marker(seen) for seen in upload.staged)
        assert (upload.left(), clean(office)) == ([], True)

    def test_an_annex_classified_higher_is_sealed_and_raises_its_document(
        self, office: Office, upload: Upload
    ) -> None:
        draft = office.draft(subject=MARKER)
        author = office.login(SPECIALIST)
        url = f"/v1/documents/{draft['id']}/files?classification=confidential"
        headers = if_match(1) | {
            "Content-Type": "application/pdf",
            "Content-Disposition": f'attachment; filename="{PLAIN.decode()}.pdf"',
        }
        made = upload.send(author, "POST", url, LARGE, headers)
        assert (upload.status, made["name"]) == (201, f"{PLAIN.decode()}.pdf")
        assert not any(has_marker(seen) for seen in upload.staged)
        shown = author.read(f"/v1/documents/{draft['id']}")
        assert (shown["classification"], shown["sealed"]) == ("confidential", True)
        office.run_jobs()
        for file in shown["files"]:
            answer = author.get(f"/v1/documents/{draft['id']}/files/{file['id']}/content")
            assert sha256(answer.content).hexdigest() == file["sha256"]

    def test_a_main_file_classified_higher_raises_its_document_too(
        self, office: Office, upload: Upload
    ) -> None:
        draft = office.draft(subject=MARKER)
        url = f"/v1/documents/{draft['id']}/files/main?classification=confidential"
        headers = if_match(1) | {"Content-Type": "application/pdf"}
        shown = upload.send(office.login(SPECIALIST), "PUT", url, LARGE, headers)
        assert upload.status == 200, shown
        assert (shown["classification"], shown["subject"]) == ("confidential", MARKER)
        assert not any(has_marker(seen) for seen in upload.staged)
        office.run_jobs()
        rows = office.instance.rows("files", document_id=draft["id"])
        assert [row["data_key_id"] is not None for row in rows] == [True, True]

    def test_a_file_above_the_callers_clearance_or_the_ceiling_is_refused(
        self, office: Office
    ) -> None:
        author = office.login(OTHER_SPECIALIST)
        draft = author.post("/v1/documents", DRAFT | {"classification": "internal"}).json()
        url = f"/v1/documents/{draft['id']}/files"
        for path, method in ((url, "POST"), (f"{url}/main", "PUT")):
            for level, status, code in (
                ("confidential", 403, "clearance-required"),
                ("secret", 422, "classification-refused"),
                ("cosmic", 422, "unknown-classification"),
            ):
                answer = author.request(
                    method, f"{path}?classification={level}", content=LARGE, headers=if_match(1)
                )
                refused(answer, status, code)
        assert author.read(f"/v1/documents/{draft['id']}")["version"] == 1

    def test_what_is_verified_leaves_nothing_on_disk(self, office: Office, upload: Upload) -> None:
        headers = {"Content-Type": "application/pdf"}
        told = upload.send(office.login(CLERK), "POST", "/v1/verifications", LARGE, headers)
        assert (upload.status, told["released_here"]) == (200, False)
        assert len(upload.seen) > PIECE
        assert not any(has_marker(seen) for seen in upload.staged)
        assert (upload.left(), clean(office)) == ([], True)


class TestOnTheirWayOut:
    @pytest.fixture
    def url(self, office: Office) -> str:
        posted = office.login(SPECIALIST).post_document(LARGE, **DRAFT)
        return f"/v1/documents/{posted['id']}/files/{posted['files'][0]['id']}/content"

    @pytest.mark.parametrize(
        ("asked", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=16380-16390", 16380, 16391),
            ("bytes=16384-32767", 16384, 32768),
            ("bytes=-5", len(LARGE) - 5, len(LARGE)),
            (f"bytes={len(LARGE) - 1}-", len(LARGE) - 1, len(LARGE)),
            ("bytes=5-999999999", 5, len(LARGE)),
        ],
    )
    def test_a_range_is_that_of_the_plaintext(
        self, office: Office, url: str, asked: str, start: int, end: int
    ) -> None:
        answer = office.login(HEAD).request("GET", url, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, LARGE[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(LARGE)}"

    def test_headers_tell_the_plaintext_and_no_key(self, office: Office, url: str) -> None:
        answer = office.login(HEAD).get(url)
        digest = sha256(LARGE)
        assert (answer.status_code, answer.content) == (200, LARGE)
        assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
        encoded = base64.b64encode(digest.digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{encoded}:"
        assert answer.headers["content-length"] == str(len(LARGE))
        assert answer.headers["cache-control"] == "no-store"

    def test_a_range_outside_is_refused_with_the_size(self, office: Office, url: str) -> None:
        asked = {"Range": f"bytes={len(LARGE)}-"}
        answer = office.login(HEAD).request("GET", url, headers=asked)
        refused(answer, 416, "bad-range")
        assert answer.headers["content-range"] == f"bytes */{len(LARGE)}"

    def test_known_bytes_are_not_sent_again(self, office: Office, url: str) -> None:
        known = {"If-None-Match": f'"{sha256(LARGE).hexdigest()}"'}
        answer = office.login(HEAD).request("GET", url, headers=known)
        assert (answer.status_code, answer.content) == (304, b"")

    def test_each_reading_is_an_entry_before_the_bytes(self, office: Office, url: str) -> None:
        reader = office.login(HEAD)
        asked = {"Range": "bytes=0-9"}
        for headers in ({}, asked, {"If-None-Match": "*"}):
            reader.request("GET", url, headers=headers)
        document = url.split("/")[3]
        read = [
            row["leaf"]
            for row in office.instance.rows("history_entries", subject_id=document)
            if row["action"] == "document.read"
        ]
        assert len([leaf for leaf in read if '"what":"file"' in leaf]) == 3


class TestKeysAndBytesThatAreWrong:
    """A problem that says what is wrong, and never a byte of content."""

    @pytest.fixture
    def document(self, office: Office) -> str:
        return str(office.login(SPECIALIST).post_document(LARGE, **DRAFT)["id"])

    def asked(self, office: Office, document: str, status: int, code: str) -> None:
        """Page and file both answer with this problem; the lists go on."""
        head = office.login(HEAD)
        (file,) = office.instance.rows("files", document_id=document)
        for url in ("", f"/files/{file['id']}/content"):
            problem = refused(head.get(f"/v1/documents/{document}{url}"), status, code)
            assert not has_marker(json.dumps(problem).encode())
        assert len(head.read("/v1/documents")["items"]) == 1

    def key_file(self, office: Office) -> Path:
        (found,) = (office.instance.folder / "keys").glob("*.confidential.v1")
        return found

    def test_a_missing_key(self, office: Office, document: str) -> None:
        self.key_file(office).unlink()
        self.asked(office, document, 500, "key-missing")

    def test_another_key_in_its_place(self, office: Office, document: str) -> None:
        path = self.key_file(office)
        path.chmod(0o600)
        path.write_bytes(bytes(32))
        self.asked(office, document, 500, "wrapped-key-refused")

    def test_a_key_that_is_none(self, office: Office, document: str) -> None:
        path = self.key_file(office)
        path.chmod(0o600)
        path.write_bytes(b"short")
        self.asked(office, document, 500, "key-malformed")

    def test_a_record_of_a_key_that_is_gone(self, office: Office, document: str) -> None:
        with office.instance.database.unit_of_work(office.instance.actor(CLERK)) as uow:
            remove_keys(uow, office, document)
        self.asked(office, document, 500, "data-key-missing")

    @pytest.mark.parametrize("at", [0, 30, 60, 20_000, -1])
    def test_a_stored_object_that_was_changed(self, office: Office, document: str, at: int) -> None:
        (path,) = [p for p in (office.instance.folder / "store/files").rglob("*") if p.is_file()]
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
        (file,) = office.instance.rows("files", document_id=document)
        url = f"/v1/documents/{document}/files/{file['id']}/content"
        door = office.login(HEAD)
        problem = refused(door.get(url), 500, problem_of(at))
        assert not has_marker(json.dumps(problem).encode())

    def test_an_object_that_is_gone(self, office: Office, document: str) -> None:
        (path,) = [p for p in (office.instance.folder / "store/files").rglob("*") if p.is_file()]
        path.unlink()
        (file,) = office.instance.rows("files", document_id=document)
        url = f"/v1/documents/{document}/files/{file['id']}/content"
        refused(office.login(HEAD).get(url), 404, "object-missing")


def problem_of(at: int) -> str:
    return "sealed-object-mismatch" if 0 <= at < HEADER else "sealed-object-damaged"


def remove_keys(uow: UnitOfWork, office: Office, document: str) -> None:
    table = office.instance.tables["data_keys"]
    assert uow.remove(table, None, table.c.document_id == document) == 2


def test_answers_that_must_hold_are_the_helpers_own(office: Office) -> None:
    """The helpers themselves: what carries the marker is seen, in every form."""
    assert has_marker(LARGE)
    assert has_marker(base64.b64encode(b"x" + LARGE))
    assert has_marker(base64.b64encode(b"xy" + LARGE))
    assert has_marker(PLAIN.hex().encode())
    assert not has_marker(b"x" * 1000)
    assert answered(office.login(HEAD).get("/v1/documents"), 200)["items"] == []
