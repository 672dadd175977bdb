"""A clerk's Word file, over HTTP: refused on the way while it waits, then approved, signed and released."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.api_support import answered, if_match
from tests.e2e.served import Person, Service, until
from tests.office_files import TEXT, docx, odt
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST

pytestmark = pytest.mark.slow
DRAFT = {
    "direction": "outgoing",
    "type": "QĐ",
    "subject": "Ban hành Quy chế",
    "recipients": ["STC"],
}


def post(person: Person, main: bytes, *annexes: bytes) -> dict[str, Any]:
    metadata = json.dumps(DRAFT).encode()
    parts: list[tuple[str, Any]] = [("metadata", (None, metadata, "application/json"))]
    parts += [("main", ("quyết định.docx", main, "application/octet-stream"))]
    parts += [("annex", (f"phụ lục {n}.odt", data, "x/y")) for n, data in enumerate(annexes)]
    document: dict[str, Any] = answered(person.request("POST", "/v1/documents", files=parts), 201)
    return document


def current(person: Person, document_id: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = person.read(f"/v1/documents/{document_id}/files")
    return [file for file in listed if file["current"]]


def test_a_word_file_travels_from_draft_to_recipient(service: Service, tmp_path: Path) -> None:
    author = service.login(SPECIALIST)
    document = post(author, docx(), odt())
    waiting = [file for file in document["files"] if file["conversion"] == "pending"]
    if len(waiting) == 2:  # the worker has not been faster
        [submit] = [one for one in document["available"] if one["trigger"] == "submit"]
        assert not submit["allowed"]
        assert "converted" in submit["refusal"]["reason"]
    service.kill()  # whatever is being converted goes on after the crash
    service.start()

    author = service.login(SPECIALIST)
    until(lambda: len(current(author, document["id"])) == 2, "two converted files", 120)
    main, annex = current(author, document["id"])
    assert [main["name"], annex["name"]] == ["quyết định.pdf", "phụ lục 0.pdf"]
    assert main["derived"]
    assert annex["derived"]
    origin = author.read(f"/v1/documents/{document['id']}/files/{main['origin_id']}")
    assert (origin["name"], origin["conversion"], origin["current"]) == (
        "quyết định.docx", "done", False,
    )  # fmt: skip

    author.fire(document["id"], "submit")
    head = service.login(HEAD)
    seen = head.get(f"/v1/documents/{document['id']}/files/{main['id']}/content").content
    path = tmp_path / "seen.pdf"
    path.write_bytes(seen)
    text = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True).stdout
    assert TEXT in text.decode()
    head.fire(document["id"], "approve")
    assert service.login(LEADER).carry(document["id"], "sign")["state"] == "signed"
    released = service.login(CLERK).carry(document["id"], "release")
    assert released["state"] == "released"


def test_an_annex_that_waits_can_be_taken_out(service: Service) -> None:
    author = service.login(SPECIALIST)
    document = service.draft()
    answer = author.request(
        "POST",
        f"/v1/documents/{document['id']}/files",
        content=odt(),
        headers=if_match(document["version"]),
    )
    annex = answered(answer, 201)
    assert annex["conversion"] == "pending"
    until(
        lambda: (
            author.read(f"/v1/documents/{document['id']}/files/{annex['id']}")["conversion"]
            != "pending"
        ),
        "the conversion",
        120,
    )
    made = next(file for file in current(author, document["id"]) if file["role"] == "annex")
    version = author.read(f"/v1/documents/{document['id']}")["version"]
    answered(author.delete(f"/v1/documents/{document['id']}/files/{made['id']}", version), 204)
    author.fire(document["id"], "submit")
