"""Voiding a number over HTTP: which may be voided, by whom, and what stays."""

import threading
from typing import Any

import pytest

from tests.api_support import Door, Office, answered, if_match, refused
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_HEAD,
    RECIPIENT,
    SPECIALIST,
)
from tests.register_support import (
    BECAUSE,
    ENTRIES,
    OUTGOING,
    VOID_1,
    give_number,
    last_action,
    numbers,
    register,
    returned,
    unexplained,
)

# -- voiding -----------------------------------------------------------------------------------------


class TestVoiding:
    def test_a_returned_draft_gives_its_number_back_for_good(self, any_office: Office) -> None:
        document_id = returned(any_office)
        clerk, url = any_office.login(CLERK), f"/v1/documents/{document_id}"
        before = clerk.read(url)
        assert before["symbol"] == "01/QĐ-VPUB"
        entry = answered(clerk.post(VOID_1, {"reason": "  Cấp nhầm  "}), 200)
        assert entry["voided"] == {
            "at": "2026-03-02T01:30:00Z",
            "by": {
                "id": any_office.person(CLERK)["id"], "login": CLERK, "name": "Nguyễn Thị Hạnh",
            },
            "reason": "Cấp nhầm",
        }  # fmt: skip
        assert clerk.read(OUTGOING)["items"] == [entry]
        after = clerk.read(url)
        assert after["book"] is after["number"] is after["symbol"] is after["numbered_on"] is None
        assert after["version"] == before["version"] + 1
        assert last_action(any_office, document_id) == "document.number-voided"

        any_office.login(SPECIALIST).fire(document_id, "submit")
        any_office.login(HEAD).fire(document_id, "approve")
        assert clerk.read(url)["symbol"] == "02/QĐ-VPUB"
        refused(clerk.post(VOID_1, BECAUSE), 409, "already-voided")
        assert clerk.read(url)["symbol"] == "02/QĐ-VPUB"
        assert unexplained(any_office) == []

    def test_a_number_that_the_workflow_needs_stays(self, any_office: Office) -> None:
        any_office.approved()
        (incoming,) = register(any_office, 1)
        clerk = any_office.login(CLERK)
        for url in (VOID_1, f"{ENTRIES}/1/void"):
            assert refused(clerk.post(url, BECAUSE), 409, "number-needed")["state"]
        assert clerk.read(f"/v1/documents/{incoming}")["symbol"] == "01"

    def test_a_number_on_a_released_file_stays(self, any_office: Office) -> None:
        document_id = any_office.released()
        problem = refused(any_office.login(CLERK).post(VOID_1, BECAUSE), 409, "number-on-file")
        assert problem["rule"] == "void-only-unsigned"
        shown = any_office.login(CLERK).read(f"/v1/documents/{document_id}")
        assert shown["symbol"] == "01/QĐ-VPUB"

    def test_a_number_that_is_being_signed_stays(self, office: Office) -> None:
        document_id = office.approved()
        office.login(LEADER).fire(document_id, "sign")  # nobody runs the job
        refused(office.login(CLERK).post(VOID_1, BECAUSE), 409, "signing-in-progress")

    def test_only_a_clerk_voids_and_who_tried_is_history(self, any_office: Office) -> None:
        document_id = returned(any_office)
        for who in (HEAD, LEADER, AUDITOR):
            problem = refused(any_office.login(who).post(VOID_1, BECAUSE), 403, "forbidden")
            assert problem["rule"] == "register:void"
            assert last_action(any_office, document_id) == "document.refused"
        for who in (SPECIALIST, ADMINISTRATOR, RECIPIENT):
            refused(any_office.login(who).post(VOID_1, BECAUSE), 403, "forbidden")
        answer = any_office.login(OTHER_HEAD).post(VOID_1, BECAUSE)
        refused(answer, 404, "not-found")  # reads registers, but has no reason to know this one
        key = any_office.key(CLERK, "registers:read", "documents:read")
        assert refused(key.post(VOID_1, BECAUSE), 403, "forbidden")["rule"] == "key-scope"
        refused(any_office.nobody.post(VOID_1, BECAUSE), 401, "unauthenticated")
        shown = any_office.login(CLERK).read(f"/v1/documents/{document_id}")
        assert shown["symbol"] == "01/QĐ-VPUB"

    @pytest.mark.parametrize(
        ("url", "body", "status", "code"),
        [
            (f"{OUTGOING}/2/void", BECAUSE, 404, "number-not-found"),
            (f"{OUTGOING}/1/void", BECAUSE | {"period": "2025"}, 404, "number-not-found"),
            (f"{OUTGOING}/1/void", BECAUSE | {"series": "QĐ"}, 404, "number-not-found"),
            (f"{OUTGOING}/1/void", BECAUSE | {"period": "x"}, 422, "unknown-period"),
            (f"{OUTGOING}/0/void", BECAUSE, 422, "invalid-input"),
            (f"{OUTGOING}/9999999999/void", BECAUSE, 422, "invalid-input"),
            (f"{OUTGOING}/one/void", BECAUSE, 422, "invalid-input"),
            ("/v1/books/none/entries/1/void", BECAUSE, 404, "book-not-found"),
            (VOID_1, {}, 422, "invalid-input"),
            (VOID_1, {"reason": ""}, 422, "invalid-input"),
            (VOID_1, {"reason": "   "}, 422, "invalid-input"),
            (VOID_1, {"reason": 5}, 422, "invalid-input"),
            (VOID_1, {"reason": "a\x00b"}, 422, "invalid-input"),
            (VOID_1, {"reason": "x" * 4001}, 422, "invalid-input"),
            (VOID_1, BECAUSE | {"force": True}, 422, "invalid-input"),
        ],
    )
    def test_what_cannot_be_voided_is_refused(
        self, shared_office: Office, url: str, body: dict[str, Any], status: int, code: str
    ) -> None:
        clerk = shared_office.login(CLERK)
        if not clerk.read(OUTGOING)["items"]:
            returned(shared_office)
        refused(clerk.post(url, body), status, code)
        (entry,) = clerk.read(OUTGOING)["items"]
        assert entry["voided"] is None

    def test_the_series_is_named_where_several_gave_the_number(self, any_office: Office) -> None:
        ids = [any_office.draft(subject=f"Văn bản {n}")["id"] for n in (1, 2)]
        for document_id, kind in zip(ids, ("NQ", "QĐ"), strict=True):
            give_number(any_office, document_id, kind)
        clerk, url = any_office.login(CLERK), "/v1/books/party-outgoing/entries/1/void"
        problem = refused(clerk.post(url, BECAUSE), 422, "series-required")
        assert problem["errors"] == [{"pointer": "/series", "message": "one of NQ, QĐ"}]
        voided = answered(clerk.post(url, BECAUSE | {"series": "QĐ"}), 200)
        assert (voided["series"], voided["document"]["id"]) == ("QĐ", ids[1])
        entries = clerk.read("/v1/books/party-outgoing/entries")["items"]
        assert [(e["series"], bool(e["voided"])) for e in entries] == [("NQ", False), ("QĐ", True)]
        pages = [
            numbers(clerk, "/v1/books/party-outgoing/entries", limit=1),
            numbers(clerk, "/v1/books/party-outgoing/entries", limit=2),
        ]
        assert pages == [[1], [1, 1]]

    def test_of_two_who_void_at_once_one_does(self, any_office: Office) -> None:
        returned(any_office)
        doors = [any_office.login(CLERK), any_office.login("linh.pn")]
        gate = threading.Barrier(2)
        codes: list[int] = []

        def void(door: Door) -> None:
            gate.wait()
            codes.append(door.post(VOID_1, {"reason": door.login}).status_code)

        threads = [threading.Thread(target=void, args=(door,)) for door in doors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == [200, 409]
        (entry,) = doors[0].read(OUTGOING)["items"]
        assert entry["voided"]["reason"] == entry["voided"]["by"]["login"]

    def test_a_change_based_on_the_number_is_stale_afterwards(self, office: Office) -> None:
        document_id = returned(office)
        url = f"/v1/documents/{document_id}"
        seen = office.login(SPECIALIST).read(url)["version"]
        answered(office.login(CLERK).post(VOID_1, BECAUSE), 200)
        answer = office.login(SPECIALIST).post(
            f"{url}/transitions", {"trigger": "submit"}, headers=if_match(seen)
        )
        refused(answer, 412, "stale-version")
