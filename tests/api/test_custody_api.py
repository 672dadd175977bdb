"""Clearances, acts of two people and notices over HTTP: who may, and what is told."""

from typing import Any

import pytest

from tests.api_support import NO_ID, Door, Office, answered, if_match, once, refused
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    RECIPIENT,
    SPECIALIST,
)

OUTSIDER = "thuy.pt"  # a specialist of another unit, not cleared
UNCLEARED_CLERK = "linh.pn"
WHY = {"reason": "Đã xác minh"}
UNTIL = "2027-03-01T00:00:00Z"
CLEARED = {"level": "confidential", "expires_at": UNTIL, "reason": "Thụ lý hồ sơ mật"}


def confidential(office: Office) -> str:
    return str(office.draft(classification="confidential", subject="Phương án bảo vệ")["id"])


def ask(door: Door, document: str, **more: Any) -> dict[str, Any]:
    body = {"document": document, "reason": "Cháy trụ sở", **more}
    return answered(door.post("/v1/break-glass", body), 201)  # type: ignore[no-any-return]


# -- clearances --------------------------------------------------------------------------------------


def test_a_clearance_opens_what_one_has_a_reason_to_know(any_office: Office) -> None:
    admin, clerk = any_office.login(ADMINISTRATOR), any_office.login(UNCLEARED_CLERK)
    document = confidential(any_office)
    refused(clerk.get(f"/v1/documents/{document}"), 404, "not-found")
    person = any_office.person(UNCLEARED_CLERK)
    url = f"/v1/people/{person['id']}/clearance"
    refused(admin.get(url), 404, "no-clearance")
    refused(admin.put(url, CLEARED), 428, "version-required")
    granted = admin.put(url, CLEARED, headers=if_match(person["version"]))
    version = answered(granted, 200)["version"]
    assert granted.headers["ETag"] == f'"{version}"'
    clearance = clerk.read("/v1/me")["clearance"]
    assert (clearance["level"], clearance["expires_at"]) == ("confidential", UNTIL)
    assert clerk.read(url) == clearance
    assert clerk.read(f"/v1/documents/{document}")["subject"] == "Phương án bảo vệ"
    refused(admin.delete(url, version - 1), 412, "stale-version")
    assert answered(admin.delete(url, version), 200)["clearance"] is None
    refused(clerk.get(f"/v1/documents/{document}"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"level": "secret"}, "clearance-level"),
        ({"level": "internal"}, "clearance-level"),
        ({"expires_at": "2031-12-01T00:00:00Z"}, "clearance-expiry"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "clearance-expiry"),
        ({"expires_at": "2027-01-01T00:00:00"}, "invalid-input"),
        ({"reason": ""}, "invalid-input"),
    ],
)
def test_a_wrong_clearance_is_refused(
    shared_office: Office, asking: Door, body: dict[str, str], code: str
) -> None:
    person = shared_office.person(OUTSIDER)
    url = f"/v1/people/{person['id']}/clearance"
    answer = asking.put(url, CLEARED | body, headers=if_match(person["version"]))
    refused(answer, 422, code)


@pytest.mark.parametrize("login", [CLERK, HEAD, LEADER, AUDITOR, RECIPIENT])
def test_only_administrators_grant_and_never_to_themselves(
    shared_office: Office, login: str
) -> None:
    person = shared_office.person(OUTSIDER)
    url = f"/v1/people/{person['id']}/clearance"
    door = shared_office.login(login)
    refused(door.put(url, CLEARED, headers=if_match(person["version"])), 403, "forbidden")
    own = shared_office.person(ADMINISTRATOR)
    url = f"/v1/people/{own['id']}/clearance"
    admin = shared_office.login(ADMINISTRATOR)
    answer = admin.put(url, CLEARED, headers=if_match(own["version"]))
    assert refused(answer, 403, "forbidden")["rule"] == "not-oneself"


def test_clearances_of_others_are_for_administrators_and_auditors(shared_office: Office) -> None:
    clerk = shared_office.person(CLERK)["id"]
    for login, sees in ((AUDITOR, True), (ADMINISTRATOR, True), (CLERK, True), (HEAD, False)):
        door = shared_office.login(login)
        assert (door.read(f"/v1/people/{clerk}")["clearance"] is not None) == sees
        answer = door.get(f"/v1/people/{clerk}/clearance")
        assert answer.status_code == (200 if sees else 403)


# -- break-glass -------------------------------------------------------------------------------------


def test_break_glass_from_the_request_to_the_end(any_office: Office) -> None:
    office = any_office
    document = confidential(office)
    outsider, leader = office.login(OUTSIDER), office.login(LEADER)
    body = {"document": document, "reason": "Cháy trụ sở", "hours": 3}
    asked = outsider.post("/v1/break-glass", body, headers=once("k1"))
    request = answered(asked, 201)
    again = answered(outsider.post("/v1/break-glass", body, headers=once("k1")), 201)
    assert again == request
    url = f"/v1/break-glass/{request['id']}"
    assert asked.headers["Location"] == url
    assert (request["state"], request["document_id"]) == ("open", None)
    refused(outsider.get(f"/v1/documents/{document}"), 404, "not-found")
    refused(outsider.post(f"{url}/approval", WHY), 403, "forbidden")

    (waiting,) = leader.read("/v1/break-glass", state="open")["items"]
    assert (waiting["id"], waiting["document_id"]) == (request["id"], document)
    assert waiting["reason"] == "Cháy trụ sở"
    assert leader.read("/v1/me")["unseen_notices"] == 1
    approved = answered(leader.post(f"{url}/approval", WHY), 200)
    assert approved["state"] == "approved"
    assert answered(leader.post(f"{url}/approval", WHY), 200) == approved
    refused(leader.post(f"{url}/refusal", WHY), 409, "already-decided")

    opened = outsider.read(f"/v1/documents/{document}")
    assert opened["subject"] == "Phương án bảo vệ"
    file = opened["files"][0]["id"]
    got = outsider.get(f"/v1/documents/{document}/files/{file}/content")
    assert got.content[:5] == b"%PDF-"
    history = outsider.read(f"/v1/documents/{document}/history")["items"]
    reader = office.person(OUTSIDER)["id"]
    reads = [
        (entry["data"]["by"], entry["data"]["what"])
        for entry in history
        if entry["action"] == "document.read" and entry["actor"]["id"] == reader
    ]
    assert reads == [("break-glass", what) for what in ("page", "file", "history")]
    changed = outsider.patch(f"/v1/documents/{document}", {"urgency": "urgent"}, opened["version"])
    refused(changed, 403, "forbidden")

    (notice,) = office.login(SPECIALIST).read("/v1/notices")["items"]
    assert (notice["kind"], notice["document_id"]) == ("break-glass-opened", document)
    seen = answered(office.login(SPECIALIST).post(f"/v1/notices/{notice['id']}/seen"), 200)
    assert seen["seen_at"] is not None
    assert office.login(SPECIALIST).read("/v1/me")["unseen_notices"] == 0

    assert answered(outsider.post(f"{url}/end"), 200)["state"] == "ended"
    refused(outsider.get(f"/v1/documents/{document}"), 404, "not-found")
    assert office.login(AUDITOR).read(url)["state"] == "ended"


def test_an_unknown_document_is_answered_like_a_known_one(office: Office) -> None:
    outsider = office.login(OUTSIDER)
    known, unknown = ask(outsider, confidential(office)), ask(outsider, NO_ID)
    differing = ("id", "asked_for", "asked_at", "expires_at")
    assert {name: value for name, value in known.items() if name not in differing} == {
        name: value for name, value in unknown.items() if name not in differing
    }
    answers = []
    for request in (known, unknown):
        url = f"/v1/break-glass/{request['id']}"
        for act in ("approval", "refusal"):
            answer = outsider.post(f"{url}/{act}", WHY)
            answers.append((answer.status_code, answer.json()["detail"]))
        answers.append((outsider.post(f"{url}/end").status_code, ""))
    assert answers[:3] == answers[3:]


def test_requests_of_others_are_none(office: Office) -> None:
    request = ask(office.login(OUTSIDER), confidential(office))
    for login in (UNCLEARED_CLERK, SPECIALIST, HEAD, ADMINISTRATOR, RECIPIENT):
        door = office.login(login)
        refused(door.get(f"/v1/break-glass/{request['id']}"), 404, "request-not-found")
        assert door.read("/v1/break-glass")["items"] == []
    refused(office.login(LEADER).get(f"/v1/lowerings/{request['id']}"), 404, "request-not-found")


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "vì"},
        {"document": "", "reason": "vì"},
        {"document": NO_ID, "reason": ""},
        {"document": NO_ID, "reason": "vì", "hours": 0},
        {"document": NO_ID, "reason": "vì", "hours": 1.5},
        {"document": NO_ID, "reason": "vì", "until": UNTIL},
    ],
)
def test_a_wrong_request_is_refused(shared_office: Office, body: dict[str, Any]) -> None:
    refused(shared_office.login(OUTSIDER).post("/v1/break-glass", body), 422, "invalid-input")


def test_administrators_and_recipients_cannot_ask(shared_office: Office) -> None:
    for login in (ADMINISTRATOR, RECIPIENT):
        body = {"document": NO_ID, "reason": "vì"}
        refused(shared_office.login(login).post("/v1/break-glass", body), 403, "forbidden")


def test_requests_are_paged(office: Office) -> None:
    outsider = office.login(OUTSIDER)
    made = [ask(outsider, NO_ID)["id"] for _ in range(3)]
    first = outsider.get("/v1/break-glass", limit=2)
    page = answered(first, 200)
    assert [item["id"] for item in page["items"]] == made[:0:-1]
    assert 'rel="next"' in first.headers["Link"]
    rest = outsider.read("/v1/break-glass", limit=2, cursor=page["next_cursor"])
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == ([made[0]], None)


# -- lowering and recovery ---------------------------------------------------------------------------


def test_a_document_is_lowered_by_two_people(any_office: Office) -> None:
    office = any_office
    document = confidential(office)
    author, head = office.login(SPECIALIST), office.login(HEAD)
    url = f"/v1/documents/{document}/lowerings"
    body = {"to": "internal", "reason": "Hết thời hạn"}
    refused(author.post(url, body | {"to": "secret"}), 422, "not-lower")
    refused(office.login(CLERK).post(url, body), 403, "forbidden")
    refused(office.login(UNCLEARED_CLERK).post(url, body), 404, "not-found")
    request = answered(author.post(url, body), 201)
    assert request["data"] == {"from": "confidential", "to": "internal"}
    refused(head.post(url, body), 409, "lowering-open")
    approval = f"/v1/lowerings/{request['id']}/approval"
    refused(author.post(approval, WHY), 403, "forbidden")
    assert [item["id"] for item in head.read("/v1/lowerings")["items"]] == [request["id"]]
    assert answered(head.post(approval, WHY), 200)["state"] == "approved"
    shown = office.login(UNCLEARED_CLERK).read(f"/v1/documents/{document}")
    assert (shown["classification"], shown["subject"]) == ("internal", "Phương án bảo vệ")


def test_a_recovery_is_asked_for_and_decided_by_two(office: Office) -> None:
    document = confidential(office)
    clerk, leader = office.login(CLERK), office.login(LEADER)
    url = f"/v1/documents/{document}/recoveries"
    refused(office.login(SPECIALIST).post(url, WHY), 403, "forbidden")
    request = answered(clerk.post(url, WHY), 201)
    own = f"/v1/recoveries/{request['id']}"
    refused(clerk.post(f"{own}/approval", WHY), 403, "forbidden")
    assert answered(leader.post(f"{own}/refusal", WHY), 200)["state"] == "refused"
    assert clerk.read(own)["decision_reason"] == WHY["reason"]
    assert clerk.read("/v1/recoveries", state="refused")["items"][0]["id"] == request["id"]


def test_notices_of_others_are_none(office: Office) -> None:
    ask(office.login(OUTSIDER), confidential(office))
    (notice,) = office.login(LEADER).read("/v1/notices", unseen=True)["items"]
    answer = office.login(CLERK).post(f"/v1/notices/{notice['id']}/seen")
    refused(answer, 404, "notice-not-found")
    refused(office.login(RECIPIENT).get("/v1/notices"), 403, "forbidden")
