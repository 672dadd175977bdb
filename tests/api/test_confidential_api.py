"""Confidential documents through the HTTP door: who may post, see, raise; what others are told."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api_support import Door, Office, answered, if_match, once, refused
from tests.classified_support import MARKER, PLAIN, cleared_office, has_marker, marked_pdf
from tests.office_support import (
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_HEAD,
    OTHER_SPECIALIST,
    SPECIALIST,
    Instance,
)

OTHER_CLERK = "linh.pn"  # sees every document that needs no clearance


@pytest.fixture
def office(any_instance: Instance) -> Iterator[Office]:
    with cleared_office(any_instance) as office:
        yield office


@pytest.fixture
def small(instance: Instance) -> Iterator[Office]:
    """An office on SQLite, for what does not depend on the database."""
    with cleared_office(instance) as office:
        yield office


def confidential(office: Office, **metadata: Any) -> dict[str, Any]:
    return office.draft(subject=MARKER, classification="confidential", **metadata)


def raise_it(door: Door, document: dict[str, Any], to: str, **options: Any) -> Any:
    body = {"classification": to, "reason": options.pop("reason", "chứa số liệu mật")}
    headers = if_match(options.pop("version", document["version"]))
    return door.post(f"/v1/documents/{document['id']}/classification", body, headers=headers)


def test_who_is_cleared_and_has_a_reason_reads_it(office: Office) -> None:
    posted = confidential(office)
    assert (posted["sealed"], posted["classification"]) == (True, "confidential")
    for login in (SPECIALIST, HEAD, LEADER, CLERK, AUDITOR):
        shown = office.login(login).read(f"/v1/documents/{posted['id']}")
        assert shown["subject"] == MARKER


def test_who_is_not_cleared_is_told_that_there_is_none(office: Office) -> None:
    posted = confidential(office)
    (file,) = posted["files"]
    url = f"/v1/documents/{posted['id']}"
    clerk = office.login(OTHER_CLERK)
    for path in ("", "/files", f"/files/{file['id']}", f"/files/{file['id']}/content",
                 "/available", "/history", "/deliveries"):  # fmt: skip
        refused(clerk.get(url + path), 404, "not-found")
    unknown = clerk.get("/v1/documents/01a20212-f2b9-7451-9375-3bee70e477af").json()
    told = clerk.get(url).json()
    assert {**told, "instance": ""} == {**unknown, "instance": ""}
    refused(raise_it(clerk, posted, "confidential"), 404, "not-found")
    fired = {"trigger": "submit", "asked": {}}
    refused(clerk.post(f"{url}/transitions", fired, headers=if_match(1)), 404, "not-found")
    refused(clerk.patch(url, {"subject": "x"}, 1), 404, "not-found")


def test_lists_and_searches_tell_no_subject_and_the_uncleared_nothing(office: Office) -> None:
    posted = confidential(office)
    head, clerk = office.login(HEAD), office.login(OTHER_CLERK)
    (listed,) = head.read("/v1/documents")["items"]
    assert (listed["id"], listed["subject"], listed["fields"]) == (posted["id"], None, {})
    assert head.read("/v1/documents", text=PLAIN.decode())["items"] == []
    assert clerk.read("/v1/documents")["items"] == []
    assert clerk.read("/v1/documents", author=SPECIALIST)["items"] == []


def test_only_the_cleared_post_one(small: Office) -> None:
    values = {"direction": "outgoing", "type": "QĐ", "subject": "x", "recipients": ["STC"]}
    values |= {"classification": "confidential"}
    refused(small.login(OTHER_SPECIALIST).post("/v1/documents", values), 403, "clearance-required")
    higher = values | {"classification": "secret"}
    problem = refused(small.login(SPECIALIST).post("/v1/documents", higher), 422,
                      "classification-refused")  # fmt: skip
    assert problem["rule"]
    unknown = values | {"classification": "cosmic"}
    refused(small.login(SPECIALIST).post("/v1/documents", unknown), 422, "unknown-classification")
    assert small.login(HEAD).read("/v1/documents")["items"] == []


def test_a_repeated_post_gives_the_first_one_again(office: Office) -> None:
    author = office.login(SPECIALIST)
    values = {"direction": "outgoing", "type": "QĐ", "subject": MARKER, "recipients": ["STC"],
              "classification": "confidential"}  # fmt: skip
    parts = {
        "metadata": (None, json.dumps(values).encode(), "application/json"),
        "main": ("mật.pdf", marked_pdf(), "application/pdf"),
    }
    made = [
        answered(author.request("POST", "/v1/documents", files=parts, headers=once("k1")), 201)
        for _ in range(2)
    ]
    assert made[0]["id"] == made[1]["id"]
    assert made[1]["subject"] == MARKER
    assert len(author.read("/v1/documents")["items"]) == 1
    other = parts | {"main": ("mật.pdf", marked_pdf(2), "application/pdf")}
    answer = author.request("POST", "/v1/documents", files=other, headers=once("k1"))
    refused(answer, 422, "idempotency-key-reused")
    with office.instance.database.read() as connection:
        kept = connection.exec_driver_sql("SELECT * FROM idempotency_keys").all()
    assert not has_marker(repr(kept).encode())


class TestRaising:
    def test_it_is_immediate_and_recorded(self, office: Office) -> None:
        document = office.draft(subject=MARKER)
        clerk = office.login(OTHER_CLERK)
        assert clerk.read(f"/v1/documents/{document['id']}")["subject"] == MARKER
        answer = raise_it(office.login(HEAD), document, "confidential", reason=MARKER)
        told = answered(answer, 200)
        assert told == {
            "document_id": document["id"], "classification": "confidential", "version": 2,
        }  # fmt: skip
        assert answer.headers["etag"] == '"2"'
        refused(clerk.get(f"/v1/documents/{document['id']}"), 404, "not-found")
        entries = office.login(AUDITOR).read(f"/v1/documents/{document['id']}/history")["items"]
        (entry,) = [e for e in entries if e["action"] == "document.classified"]
        assert entry["details"] == {"reason": MARKER}
        office.run_jobs()
        (file,) = office.login(HEAD).read(f"/v1/documents/{document['id']}/files")
        content = office.login(HEAD).get(
            f"/v1/documents/{document['id']}/files/{file['id']}/content"
        )
        assert content.content == office.decision.read_bytes()

    def test_who_is_not_cleared_may_raise_and_then_sees_it_no_more(self, small: Office) -> None:
        author = small.login(OTHER_SPECIALIST)
        values = {"direction": "outgoing", "type": "QĐ", "subject": "x", "recipients": ["STC"]}
        document = author.post_document(small.decision, **values)
        assert answered(raise_it(author, document, "confidential"), 200)["version"] == 2
        refused(author.get(f"/v1/documents/{document['id']}"), 404, "not-found")
        refused(raise_it(author, document, "confidential", version=2), 404, "not-found")

    def test_every_other_way_to_ask_is_refused_with_what_would_be_right(
        self, small: Office
    ) -> None:
        document = small.draft()
        head = small.login(HEAD)
        url = f"/v1/documents/{document['id']}"
        body = {"classification": "confidential", "reason": "x"}
        refused(head.post(f"{url}/classification", body), 428, "version-required")
        refused(raise_it(head, document, "confidential", version=7), 412, "stale-version")
        refused(raise_it(head, document, "secret"), 422, "classification-refused")
        refused(raise_it(head, document, "cosmic"), 422, "unknown-classification")
        refused(raise_it(head, document, "public"), 409, "lowering-needs-two")
        refused(raise_it(head, document, "confidential", reason=""), 422, "invalid-input")
        refused(raise_it(small.login(OTHER_HEAD), document, "confidential"), 404, "not-found")
        assert raise_it(small.login(AUDITOR), document, "confidential").status_code == 403
        assert head.read(url)["version"] == document["version"]
        assert answered(raise_it(head, document, "confidential"), 200)["version"] == 2
        lowered = refused(raise_it(head, document, "internal", version=2), 409,
                          "lowering-needs-two")  # fmt: skip
        assert "lowerings" in lowered["satisfied_by"]

    def test_a_change_of_data_raises_too_for_who_is_cleared(self, small: Office) -> None:
        document = small.draft()
        author = small.login(SPECIALIST)
        url = f"/v1/documents/{document['id']}"
        changed = {"classification": "confidential", "subject": MARKER}
        shown = answered(author.patch(url, changed, 1), 200)
        assert (shown["subject"], shown["sealed"]) == (MARKER, True)
        refused(author.patch(url, {"classification": "internal"}, shown["version"]), 409,
                "lowering-needs-two")  # fmt: skip
        values = {"direction": "outgoing", "type": "QĐ", "subject": "x", "recipients": ["STC"]}
        other = small.login(OTHER_SPECIALIST)
        theirs = f"/v1/documents/{other.post('/v1/documents', values).json()['id']}"
        refused(other.patch(theirs, {"classification": "confidential"}, 1), 403,
                "clearance-required")  # fmt: skip
        assert other.read(theirs)["classification"] == "internal"


class TestRegisters:
    @pytest.fixture
    def numbered(self, small: Office) -> str:
        document = confidential(small)["id"]
        small.login(SPECIALIST).fire(document, "submit")
        small.login(HEAD).fire(document, "approve")
        return str(document)

    def test_the_cleared_read_number_and_state_and_no_subject(
        self, small: Office, numbered: str
    ) -> None:
        (entry,) = small.login(CLERK).read("/v1/books/outgoing/entries")["items"]
        assert (entry["number"], entry["hidden"]) == (1, None)
        assert (entry["document"]["id"], entry["document"]["subject"]) == (numbered, None)

    def test_others_read_that_the_number_is_used_and_classified(
        self, small: Office, numbered: str
    ) -> None:
        (entry,) = small.login(OTHER_CLERK).read("/v1/books/outgoing/entries")["items"]
        assert entry == {
            "series": entry["series"], "number": 1, "hidden": "classified", "symbol": None,
            "numbered_on": None, "document": None, "voided": None,
        }  # fmt: skip

    @pytest.mark.parametrize("kind", ["csv", "pdf"])
    def test_a_print_shows_neither_subject_nor_reason(
        self, small: Office, numbered: str, kind: str
    ) -> None:
        small.login(LEADER).fire(numbered, "withdraw", reason=MARKER)
        for login in (CLERK, OTHER_CLERK):
            answer = small.login(login).get("/v1/books/outgoing/print", format=kind)
            assert answer.status_code == 200, answer.text
            printed = text_of(answer.content, kind)
            assert PLAIN.decode() not in printed
            assert "01" in printed

    def test_a_void_number_hides_its_reason(self, small: Office, numbered: str) -> None:
        small.login(LEADER).fire(numbered, "withdraw", reason=MARKER)
        for login in (CLERK, OTHER_CLERK):
            answer = small.login(login).get("/v1/books/outgoing/entries")
            assert not has_marker(answer.content)


def text_of(content: bytes, kind: str) -> str:
    if kind == "csv":
        return content.decode("utf-8-sig")
    told = subprocess.run(["pdftotext", "-", "-"], input=content, capture_output=True, check=True)
    return told.stdout.decode()
