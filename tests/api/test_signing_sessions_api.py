"""A person signs with a card of their own: two steps over the API, one signature in the file."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from docflow.kernel.clock import ManualClock
from docflow.release import card_sessions
from docflow.signing.devpki import Algorithm
from tests.api_support import Door, Office, answered, if_match
from tests.card_support import Card, enrol
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, HEAD, LEADER, password_of


@pytest.fixture
def card(office: Office) -> Card:
    """An enrolled card of the leader."""
    card = Card.issue(office.instance.folder / "pki", "Nguyễn Hữu Sơn", office.services.clock.now())
    enrol(office.login(ADMINISTRATOR), office.login(LEADER), office.person(LEADER)["id"], card)
    return card


def ask(office: Office, document_id: str, **more: Any) -> dict[str, Any]:
    leader = office.login(LEADER)
    version = leader.read(f"/v1/documents/{document_id}")["version"]
    body = {"trigger": "sign", **more}
    address = f"/v1/documents/{document_id}/signing-sessions"
    return answered(leader.post(address, body, headers=if_match(version)), 202)  # type: ignore[no-any-return]


def ready(office: Office, document_id: str, **more: Any) -> dict[str, Any]:
    """Ask for a session and have it prepared."""
    asked = ask(office, document_id, **more)
    assert asked["state"] == "preparing"
    office.run_jobs()
    session = office.login(LEADER).read(f"/v1/signing-sessions/{asked['id']}")
    assert session["state"] == "ready", session
    return session  # type: ignore[no-any-return]


def put(office: Office, session: dict[str, Any], body: Any, door: Door | None = None) -> Any:
    door = door or office.login(LEADER)
    return door.put(f"/v1/signing-sessions/{session['id']}/signature", body)


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-3072"])
def test_a_card_signs_and_the_document_goes_its_way(office: Office, algorithm: Algorithm) -> None:
    now = office.services.clock.now()
    card = Card.issue(office.instance.folder / "pki", "Nguyễn Hữu Sơn", now, algorithm)
    leader = office.login(LEADER)
    certificate = enrol(office.login(ADMINISTRATOR), leader, office.person(LEADER)["id"], card)
    assert certificate["state"] == "enrolled"
    document_id = office.approved()
    session = ready(office, document_id)
    expected: dict[str, Any] = {"name": "ECDSA", "hash": "sha256", "salt_length": None}
    if algorithm != "ecdsa-p256":
        expected = {"name": "RSASSA-PSS", "hash": "sha256", "salt_length": 32}
    assert session["algorithm"] == expected
    assert session["certificate"]["sha256"] == certificate["sha256"]
    assert session["document"]["symbol"].endswith("/QĐ-VPUB")
    answered(put(office, session, card.answer(session)), 202)
    office.run_jobs()
    assert leader.read(f"/v1/signing-sessions/{session['id']}")["state"] == "done"
    assert leader.read(f"/v1/documents/{document_id}")["state"] == "signed"
    office.login(CLERK).fire(document_id, "release")
    office.run_jobs()
    assert leader.read(f"/v1/documents/{document_id}")["state"] == "released"
    uses = office.login(AUDITOR).read(f"/v1/certificates/{certificate['sha256']}/releases")["items"]
    assert [(use["role"], use["released"], use["deliveries"]) for use in uses] == [
        ("person", True, 2)
    ]


def test_every_file_of_a_document_is_signed(office: Office, card: Card) -> None:
    from tests.office_support import SPECIALIST

    draft = office.draft()
    author = office.login(SPECIALIST)
    headers = if_match(draft["version"]) | {
        "Content-Type": "application/pdf",
        "Content-Disposition": 'attachment; filename="annex.pdf"',
    }
    content = office.letter.read_bytes()
    address = f"/v1/documents/{draft['id']}/files"
    added = author.request("POST", address, content=content, headers=headers)
    assert added.status_code == 201, added.text
    author.fire(draft["id"], "submit")
    office.login(HEAD).fire(draft["id"], "approve")
    session = ready(office, draft["id"])
    assert [item["role"] for item in session["files"]] == ["main", "annex"]
    half = card.answer(session)
    half["signatures"].popitem()
    assert put(office, session, half).json()["code"] == "invalid-input"
    answered(put(office, session, card.answer(session)), 202)
    office.run_jobs()
    assert author.read(f"/v1/documents/{draft['id']}")["state"] == "signed"


def test_a_session_is_used_once_and_the_same_answer_again_is_fine(
    office: Office, card: Card
) -> None:
    session = ready(office, office.approved())
    answer = card.answer(session)
    answered(put(office, session, answer), 202)
    answered(put(office, session, answer), 202)
    other = card.answer(session)  # ECDSA: another signature over the same
    assert other != answer
    refused = put(office, session, other)
    assert (refused.status_code, refused.json()["code"]) == (409, "session-ended")
    office.run_jobs()
    answered(put(office, session, answer), 202)
    assert put(office, session, other).status_code == 409


def test_a_signature_that_does_not_verify_is_refused_and_nothing_kept(
    office: Office, card: Card
) -> None:
    session = ready(office, office.approved())
    thief = Card(ec.generate_private_key(ec.SECP256R1()), card.pem)
    item = session["files"][0]
    bad = {
        "another key": thief.answer(session),
        "the document's digest": {
            "signatures": {
                item["file_id"]: card.sign_digest(bytes.fromhex(item["document_digest"]))
            }
        },
        "no signature": {"signatures": {item["file_id"]: base64.b64encode(b"x" * 70).decode()}},
        "too long": {"signatures": {item["file_id"]: base64.b64encode(b"x" * 2000).decode()}},
    }
    for name, body in bad.items():
        refused = put(office, session, body)
        assert (refused.status_code, refused.json()["code"]) == (422, "signature-refused"), name
    not_text = {"signatures": {item["file_id"]: "é"}}
    assert put(office, session, not_text).json()["code"] == "invalid-input"
    answered(put(office, session, card.answer(session)), 202)


def test_nobody_else_learns_of_a_session(office: Office, card: Card) -> None:
    session = ready(office, office.approved())
    for login in (CLERK, HEAD, ADMINISTRATOR):
        door = office.login(login)
        assert door.get(f"/v1/signing-sessions/{session['id']}").status_code == 404
        assert put(office, session, card.answer(session), door).status_code == 404
        assert door.delete(f"/v1/signing-sessions/{session['id']}").status_code == 404
    leader = office.login(LEADER)
    for name in ("card-x-1", "nonsense", session["id"] + "0"):
        assert leader.get(f"/v1/signing-sessions/{name}").status_code == 404


def test_a_session_expires_and_the_document_can_be_signed_again(
    office: Office, card: Card, clock: ManualClock
) -> None:
    document_id = office.approved()
    session = ready(office, document_id)
    clock.advance(timedelta(minutes=16))
    assert put(office, session, card.answer(session)).json()["code"] == "session-ended"
    office.rest()
    card_sessions.sweep(office.services.studio)
    assert card_sessions.sweep(office.services.studio) == 0
    document = office.login(LEADER).read(f"/v1/documents/{document_id}")
    assert (document["stage"], document["pending"]["failed"]) == ("failed", True)
    again = ready(office, document_id)
    answered(put(office, again, card.answer(again)), 202)
    office.run_jobs()
    assert office.login(LEADER).read(f"/v1/documents/{document_id}")["state"] == "signed"


def test_a_session_can_be_given_up(office: Office, card: Card) -> None:
    document_id = office.approved()
    session = ready(office, document_id)
    leader = office.login(LEADER)
    blocked = leader.post(
        f"/v1/documents/{document_id}/transitions",
        {"trigger": "withdraw", "asked": {"reason": "x"}},
        headers=if_match(leader.read(f"/v1/documents/{document_id}")["version"]),
    )
    assert blocked.json()["code"] == "signing-in-progress"
    assert f"DELETE /v1/signing-sessions/{session['id']}" in blocked.json()["satisfied_by"]
    given_up = answered(leader.delete(f"/v1/signing-sessions/{session['id']}"), 200)
    assert given_up["state"] == "failed"
    assert leader.delete(f"/v1/signing-sessions/{session['id']}").status_code == 409
    assert put(office, session, card.answer(session)).json()["code"] == "session-ended"
    leader.fire(document_id, "withdraw", reason="Không ban hành nữa.")


def test_a_card_revoked_meanwhile_signs_nothing(office: Office, card: Card) -> None:
    leader = office.login(LEADER)
    document_id = office.approved()
    session = ready(office, document_id)
    person = office.person(LEADER)["id"]
    (certificate,) = leader.read(f"/v1/people/{person}/certificates")["items"]
    address = f"/v1/people/{person}/certificates/{certificate['id']}/revoke"
    answered(leader.post(address, {"reason": "Mất thẻ."}), 200)
    refused = put(office, session, card.answer(session))
    assert (refused.status_code, refused.json()["code"]) == (409, "certificate-revoked")
    seen = leader.read(f"/v1/signing-sessions/{session['id']}")
    assert seen["state"] == "failed"
    assert "was revoked" in seen["error"]
    assert leader.read(f"/v1/documents/{document_id}")["pending"]["failed"]


def test_a_session_whose_card_was_revoked_or_replaced_ends_by_itself(
    office: Office, card: Card
) -> None:
    leader, administrator = office.login(LEADER), office.login(ADMINISTRATOR)
    document_id = office.approved()
    session = ready(office, document_id)
    new = Card.issue(office.instance.folder / "pki", "Nguyễn Hữu Sơn", office.services.clock.now())
    enrol(administrator, leader, office.person(LEADER)["id"], new)
    person = office.person(LEADER)["id"]
    old = next(
        one
        for one in leader.read(f"/v1/people/{person}/certificates")["items"]
        if one["sha256"] == session["certificate"]["sha256"]
    )
    address = f"/v1/people/{person}/certificates/{old['id']}/revoke"
    answered(leader.post(address, {"reason": "Mất thẻ."}), 200)
    seen = leader.read(f"/v1/signing-sessions/{session['id']}")
    assert (seen["state"], "revoked or replaced" in seen["error"]) == ("failed", True)
    office.rest()
    assert card_sessions.sweep(office.services.studio) == 1
    assert card_sessions.sweep(office.services.studio) == 0
    again = ready(office, document_id)
    answered(put(office, again, new.answer(again)), 202)
    office.run_jobs()
    assert leader.read(f"/v1/documents/{document_id}")["state"] == "signed"


def test_without_a_card_there_is_no_session(office: Office) -> None:
    document_id = office.approved()
    leader = office.login(LEADER)
    version = leader.read(f"/v1/documents/{document_id}")["version"]
    address = f"/v1/documents/{document_id}/signing-sessions"
    refused = leader.post(address, {"trigger": "sign"}, headers=if_match(version))
    assert (refused.status_code, refused.json()["code"]) == (409, "no-card")
    assert leader.post(address, {"trigger": "sign"}).status_code == 428


def test_a_session_is_bound_to_the_version_that_was_seen(office: Office, card: Card) -> None:
    document_id = office.approved()
    leader = office.login(LEADER)
    address = f"/v1/documents/{document_id}/signing-sessions"
    assert leader.post(address, {"trigger": "sign"}, headers=if_match(1)).status_code == 412


def test_a_card_needs_no_recent_password(
    office: Office, card: Card, clock: ManualClock, tmp_path: Path
) -> None:
    clock.advance(timedelta(hours=2))
    session = ready(office, office.approved())
    answered(put(office, session, card.answer(session)), 202)


def test_the_whole_trip_on_both_databases(any_office: Office) -> None:
    office = any_office
    admin, leader = office.login(ADMINISTRATOR), office.login(LEADER)
    person = office.person(LEADER)["id"]
    granted = answered(
        admin.post(
            f"/v1/people/{person}/mandates",
            {
                "capacity": "TUQ", "title": "CHÁNH VĂN PHÒNG", "basis": "Giấy ủy quyền số 1",
                "unit_id": office.unit("VP")["id"], "valid_from": "2026-01-01T00:00:00Z",
                "valid_until": "2027-01-01T00:00:00Z",
            },
        ),
        201,
    )  # fmt: skip
    card = Card.issue(office.instance.folder / "pki", "Sơn", office.services.clock.now())
    certificate = enrol(admin, leader, person, card)
    alone, first, second = (office.approved() for _ in range(3))
    session = ready(office, alone, mandate=granted["id"])
    assert session["capacity"] == "TUQ. CHÁNH VĂN PHÒNG"
    answered(put(office, session, card.answer(session)), 202)
    listed = [
        {"id": one, "version": leader.read(f"/v1/documents/{one}")["version"]}
        for one in (first, second)
    ]
    batch = answered(leader.post("/v1/signing-batches", {"documents": listed}), 202)
    office.run_jobs()
    for item in leader.read(f"/v1/signing-batches/{batch['id']}")["items"]:
        waiting = leader.read(f"/v1/signing-sessions/{item['job_id']}")
        answered(put(office, waiting, card.answer(waiting)), 202)
    office.run_jobs()
    assert leader.read(f"/v1/signing-batches/{batch['id']}")["counts"] == {"signed": 2}
    address = f"/v1/certificates/{certificate['sha256']}/releases"
    uses = office.login(AUDITOR).read(address)["items"]
    assert uses[0]["document_id"] == alone
    assert {use["document_id"] for use in uses[1:]} == {first, second}  # in the order of signing
    answered(leader.post("/v1/sessions/step-up", {"password": password_of(LEADER)}), 200)
