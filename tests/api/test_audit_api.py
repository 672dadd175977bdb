"""/v1/history and /v1/log through the door: pages, filters, proofs, tiles, and every refusal."""

from typing import Any

import pytest

from docflow.transparency.checkpoint import open_checkpoint
from docflow.transparency.note import VerifierKey
from docflow.transparency.proof import verify_proof
from tests.api_support import Door, Office, refused
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, OTHER_SPECIALIST, RECIPIENT


@pytest.fixture
def auditor(office: Office) -> Door:
    return office.login(AUDITOR)


@pytest.fixture
def document(office: Office) -> dict[str, Any]:
    return office.incoming()


def sequence(office: Office) -> None:
    office.services.sequencer.run()


def entry_of(auditor: Door, document: dict[str, Any]) -> dict[str, Any]:
    (entry,) = auditor.read(f"/v1/documents/{document['id']}/history")["items"]
    return entry  # type: ignore[no-any-return]


class TestHistory:
    def test_an_entry_tells_who_did_what_when(
        self, office: Office, auditor: Door, document: dict[str, Any]
    ) -> None:
        entry = entry_of(auditor, document)
        clerk = office.person(CLERK)
        assert entry["actor"] == {"id": clerk["id"], "kind": "person", "name": clerk["name"]}
        assert entry["subject"] == {"kind": "document", "id": document["id"]}
        assert (entry["seq"], entry["action"], entry["index"]) == (1, "document.posted", None)
        assert entry["details"]["subject"] == document["subject"]
        assert entry["at"] == document["created_at"]

    def test_pages_link_to_the_next(
        self, office: Office, auditor: Door, document: dict[str, Any]
    ) -> None:
        office.login(CLERK).fire(document["id"], "register")
        seen: list[str] = []
        url: str | None = "/v1/history?limit=20"
        while url is not None:
            answer = auditor.request("GET", url)
            seen += [entry["id"] for entry in answer.json()["items"]]
            url = answer.links["next"]["url"] if "next" in answer.links else None
        whole = auditor.read("/v1/history", limit=200)
        assert len(seen) == len(set(seen))
        assert seen == [entry["id"] for entry in whole["items"]]
        assert whole["next_cursor"] is None

    @pytest.mark.parametrize("url", ["/v1/history", "/v1/documents/{}/history"])
    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ({"cursor": "nonsense!"}, "query:cursor"),
            ({"cursor": "MDE5OA"}, "query:cursor"),
            ({"limit": "0"}, "query:limit"),
            ({"limit": "201"}, "query:limit"),
        ],
    )
    def test_wrong_pages_are_refused(
        self, auditor: Door, document: dict[str, Any], url: str, query: Any, pointer: str
    ) -> None:
        answer = auditor.get(url.format(document["id"]), **query)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer

    def test_a_time_needs_its_zone(self, auditor: Door) -> None:
        answer = auditor.get("/v1/history", at_from="2026-01-01T00:00:00")
        refused(answer, 422, "invalid-input")

    def test_it_is_not_for_others(self, office: Office, document: dict[str, Any]) -> None:
        url = f"/v1/documents/{document['id']}/history"
        refused(office.login(CLERK).get("/v1/history"), 403, "forbidden")
        refused(office.nobody.get("/v1/history"), 401, "unauthenticated")
        refused(office.nobody.get(url), 401, "unauthenticated")
        for login in (OTHER_SPECIALIST, ADMINISTRATOR, RECIPIENT):
            refused(office.login(login).get(url), 404, "not-found")
        assert office.login(CLERK).read(url)["items"]


class TestProof:
    def test_it_is_a_file_that_verifies(
        self, office: Office, auditor: Door, document: dict[str, Any]
    ) -> None:
        entry = entry_of(auditor, document)
        url = f"/v1/history/{entry['id']}/proof"
        refused(auditor.get(url), 409, "not-yet-sequenced")
        sequence(office)
        answer = auditor.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert f"{entry['id']}.tlog-proof" in answer.headers["content-disposition"]
        vkey = auditor.get("/v1/log/key").text
        verified = verify_proof(answer.content, vkey)
        assert (verified.fields.id, verified.fields.action) == (entry["id"], "document.posted")
        assert entry_of(auditor, document)["index"] == verified.index

    def test_who_may_not_know_the_entry_gets_none(
        self, office: Office, auditor: Door, document: dict[str, Any]
    ) -> None:
        entry = entry_of(auditor, document)
        sequence(office)
        url = f"/v1/history/{entry['id']}/proof"
        assert office.login(CLERK).get(url).status_code == 200
        for login in (OTHER_SPECIALIST, RECIPIENT, ADMINISTRATOR):
            refused(office.login(login).get(url), 404, "no-such-entry")
        refused(office.nobody.get(url), 401, "unauthenticated")
        refused(auditor.get("/v1/history/nothing/proof"), 404, "no-such-entry")


class TestLog:
    def test_the_head_is_signed_by_the_key(
        self, office: Office, auditor: Door, document: dict[str, Any]
    ) -> None:
        refused(auditor.get("/v1/log/checkpoint"), 404, "no-checkpoint")
        sequence(office)
        key = VerifierKey.parse(auditor.get("/v1/log/key").text)
        head = office.login(RECIPIENT).get("/v1/log/checkpoint")
        signed = open_checkpoint(head.content, [key], origin=key.name)
        assert signed.checkpoint.size == len(auditor.read("/v1/history", limit=200)["items"])
        for path in ("checkpoint", "key", "tile/0/000.p/1"):
            refused(office.nobody.get(f"/v1/log/{path}"), 401, "unauthenticated")

    def test_tiles_come_by_their_path(
        self, office: Office, auditor: Door, document: dict[str, Any]
    ) -> None:
        sequence(office)
        hashes = auditor.get("/v1/log/tile/0/000.p/2")
        assert hashes.headers["content-type"] == "application/octet-stream"
        assert len(hashes.content) == 64
        bundle = auditor.get("/v1/log/tile/entries/000.p/1").content
        assert int.from_bytes(bundle[:2], "big") == len(bundle) - 2
        refused(office.login(CLERK).get("/v1/log/tile/0/000.p/2"), 403, "forbidden")

    @pytest.mark.parametrize(
        "path",
        ["0/000", "0/0", "entries/999", "0/000.p/256", "..%2f..%2fcheckpoint", "x", "0/000.p/2/"],
    )
    def test_what_is_no_tile_is_not_found(self, auditor: Door, path: str) -> None:
        refused(auditor.get(f"/v1/log/tile/{path}"), 404, "no-such-tile")
