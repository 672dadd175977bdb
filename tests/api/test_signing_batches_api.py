"""A leader signs many documents in one act: one authorisation, one answer for each."""

from datetime import timedelta
from typing import Any

import pytest

from docflow.documents.fire import fire as documents_fire
from docflow.jobs.model import JobRun
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.release import batches
from tests.api_support import NO_ID, Office, answered, if_match
from tests.card_support import Card, enrol
from tests.office_support import ADMINISTRATOR, CLERK, LEADER, OTHER_SPECIALIST, SPECIALIST


def batch_of(office: Office, *document_ids: str, **more: Any) -> dict[str, Any]:
    leader = office.login(LEADER)
    listed = [
        {"id": one, "version": leader.read(f"/v1/documents/{one}")["version"]}
        for one in document_ids
    ]
    return {"documents": listed, **more}


def test_every_document_is_signed_and_answers_for_itself(office: Office) -> None:
    leader = office.login(LEADER)
    good = [office.approved() for _ in range(3)]
    draft = office.draft()["id"]
    body = batch_of(office, good[0], draft, *good[1:])
    body["documents"] += [{"id": NO_ID, "version": 1}, {"id": office.approved(), "version": 1}]
    made = leader.post("/v1/signing-batches", body)
    batch = answered(made, 202)
    assert made.headers["Location"] == f"/v1/signing-batches/{batch['id']}"
    assert (batch["counts"], batch["done"]) == ({"waiting": 6}, False)
    office.run_jobs()
    batch = leader.read(f"/v1/signing-batches/{batch['id']}")
    told = [(item["state"], item["code"]) for item in batch["items"]]
    assert told == [
        ("signed", None), ("refused", "not-from-this-state"), ("signed", None), ("signed", None),
        ("refused", "not-found"), ("refused", "stale-version"),
    ]  # fmt: skip
    assert batch["done"]
    for document_id in good:
        assert leader.read(f"/v1/documents/{document_id}")["state"] == "signed"
    (entry,) = list(office.instance.rows("history_entries", action="person.batch-authorised"))
    assert entry["actor_id"] == office.person(LEADER)["id"]


def test_a_batch_repeated_with_its_key_is_one_batch(office: Office) -> None:
    leader = office.login(LEADER)
    body = batch_of(office, office.approved())
    key = {"Idempotency-Key": "once"}
    first = answered(leader.post("/v1/signing-batches", body, headers=key), 202)
    again = answered(leader.post("/v1/signing-batches", body, headers=key), 202)
    assert first["id"] == again["id"]
    office.run_jobs()
    assert leader.read(f"/v1/signing-batches/{first['id']}")["counts"] == {"signed": 1}


def test_a_batch_needs_a_recent_password_once(office: Office, clock: ManualClock) -> None:
    leader = office.login(LEADER)
    body = batch_of(office, office.approved(), office.approved())
    clock.advance(timedelta(minutes=16))
    refused = leader.post("/v1/signing-batches", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "step-up-required")
    from tests.office_support import password_of

    answered(leader.post("/v1/sessions/step-up", {"password": password_of(LEADER)}), 200)
    batch = answered(leader.post("/v1/signing-batches", body), 202)
    clock.advance(timedelta(minutes=30))  # the authorisation holds for the whole list
    office.run_jobs()
    assert leader.read(f"/v1/signing-batches/{batch['id']}")["counts"] == {"signed": 2}


def test_an_authorisation_does_not_last_for_ever(office: Office, clock: ManualClock) -> None:
    leader = office.login(LEADER)
    batch = answered(leader.post("/v1/signing-batches", batch_of(office, office.approved())), 202)
    clock.advance(timedelta(hours=2))
    office.run_jobs()
    (item,) = leader.read(f"/v1/signing-batches/{batch['id']}")["items"]
    assert (item["state"], item["code"]) == ("refused", "step-up-required")


def test_a_batch_that_dies_anywhere_goes_on_and_fires_nothing_twice(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = office.login(LEADER)
    ids = [office.approved() for _ in range(3)]
    batch = answered(leader.post("/v1/signing-batches", batch_of(office, *ids)), 202)
    services = office.services
    answer = batches._answer
    for survives in range(3):  # fired, and dead before that was noted; once for each document
        seen = 0

        def dies(*given: Any, survives: int = survives) -> None:
            nonlocal seen
            seen += 1
            raise UnavailableError("the process died here")

        monkeypatch.setattr(batches, "_answer", dies)
        with pytest.raises(UnavailableError):
            batches._fire_all(services.studio, services.authenticator, batch["id"], None)
        monkeypatch.setattr(batches, "_answer", answer)
        assert seen == 1
    batches._fire_all(services.studio, services.authenticator, batch["id"], None)
    counts = leader.read(f"/v1/signing-batches/{batch['id']}")["counts"]
    assert counts == {"signing": 3}
    office.run_jobs()
    assert leader.read(f"/v1/signing-batches/{batch['id']}")["counts"] == {"signed": 3}
    for one in ids:
        requested = office.instance.rows(
            "history_entries", subject_id=one, action="document.signing-requested"
        )
        assert len(requested) == 1


def test_only_personal_signatures_are_batched(office: Office) -> None:
    leader = office.login(LEADER)
    body = batch_of(office, office.approved(), trigger="return")
    batch = answered(leader.post("/v1/signing-batches", body), 202)
    office.run_jobs()
    (item,) = leader.read(f"/v1/signing-batches/{batch['id']}")["items"]
    assert (item["state"], item["code"]) == ("refused", "batch-not-signing")


def test_the_batch_of_somebody_without_the_right_is_refused_document_by_document(
    office: Office,
) -> None:
    author = office.login(SPECIALIST)
    batch = answered(author.post("/v1/signing-batches", batch_of(office, office.approved())), 202)
    office.run_jobs()
    (item,) = author.read(f"/v1/signing-batches/{batch['id']}")["items"]
    assert (item["state"], item["code"]) == ("refused", "role-required")
    assert office.login(LEADER).get(f"/v1/signing-batches/{batch['id']}").status_code == 404


def test_a_person_with_a_card_signs_the_sessions_of_a_batch(office: Office) -> None:
    leader = office.login(LEADER)
    card = Card.issue(office.instance.folder / "pki", "Sơn", office.services.clock.now())
    enrol(office.login(ADMINISTRATOR), leader, office.person(LEADER)["id"], card)
    ids = [office.approved(), office.approved()]
    batch = answered(leader.post("/v1/signing-batches", batch_of(office, *ids)), 202)
    office.run_jobs()
    batch = leader.read(f"/v1/signing-batches/{batch['id']}")
    assert batch["counts"] == {"signing": 2}
    for item in batch["items"]:
        session = leader.read(f"/v1/signing-sessions/{item['job_id']}")
        address = f"/v1/signing-sessions/{session['id']}/signature"
        answered(leader.put(address, card.answer(session)), 202)
    office.run_jobs()
    assert leader.read(f"/v1/signing-batches/{batch['id']}")["counts"] == {"signed": 2}


@pytest.mark.parametrize(
    "body",
    [
        {"documents": []},
        {"documents": [{"id": "a", "version": 1}] * 2},
        {"documents": [{"id": str(n), "version": 1} for n in range(201)]},
        {"documents": [{"id": "a", "version": 0}]},
        {"documents": [{"id": "a"}]},
        {},
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(shared_office: Office, body: Any) -> None:
    assert shared_office.login(LEADER).post("/v1/signing-batches", body).status_code == 422


def test_systems_and_recipients_have_no_batches(shared_office: Office) -> None:
    body = {"documents": [{"id": NO_ID, "version": 1}]}
    key = shared_office.key(LEADER, "documents:fire")
    assert key.post("/v1/signing-batches", body).status_code == 403
    assert shared_office.login("stc").post("/v1/signing-batches", body).status_code == 403


def test_a_failed_signing_shows_in_its_batch(office: Office) -> None:

    from docflow.release import failures

    leader = office.login(LEADER)
    document_id = office.approved()
    batch = answered(leader.post("/v1/signing-batches", batch_of(office, document_id)), 202)
    batches._fire_all(office.services.studio, office.services.authenticator, batch["id"], None)
    (item,) = leader.read(f"/v1/signing-batches/{batch['id']}")["items"]
    job = JobRun(office.services.engine.get(item["job_id"]), lambda _name, function: function())
    failures.on_failed(office.services.desk, job, "Mất khóa.")
    shown = leader.read(f"/v1/signing-batches/{batch['id']}")
    assert shown["counts"] == {"failed": 1}
    assert shown["items"][0]["detail"] == "Mất khóa."
    version = leader.read(f"/v1/documents/{document_id}")["version"]
    leader.post(
        f"/v1/documents/{document_id}/transitions",
        {"trigger": "return", "asked": {"reason": "Sửa lại."}},
        headers=if_match(version),
    )
    assert leader.read(f"/v1/signing-batches/{batch['id']}")["counts"] == {"superseded": 1}
    assert office.login(CLERK).get(f"/v1/signing-batches/{batch['id']}").status_code == 404


def test_a_batch_tells_nothing_of_documents_that_its_person_may_not_know(office: Office) -> None:
    document_id = office.approved()
    document = batch_of(office, document_id)
    answered(office.login(LEADER).post("/v1/signing-batches", document), 202)
    stranger = office.login(OTHER_SPECIALIST)
    assert stranger.get(f"/v1/documents/{document_id}").status_code == 404
    told = []
    for trigger in ("sign", "submit"):  # while it is signed by another, and by what signs nothing
        body = document | {"trigger": trigger}
        batch = answered(stranger.post("/v1/signing-batches", body), 202)
        office.run_jobs()
        (item,) = stranger.read(f"/v1/signing-batches/{batch['id']}")["items"]
        told.append((item["state"], item["code"], item["job_id"]))
    assert told == [("refused", "not-found", None)] * 2


def test_another_persons_signing_of_the_same_version_is_not_told_as_the_batchs_own(
    office: Office,
) -> None:
    author, leader = office.login(SPECIALIST), office.login(LEADER)
    document_id = office.approved()
    batch = answered(author.post("/v1/signing-batches", batch_of(office, document_id)), 202)
    leader.fire(document_id, "sign")
    office.run_jobs()
    assert leader.read(f"/v1/documents/{document_id}")["state"] == "signed"
    (item,) = author.read(f"/v1/signing-batches/{batch['id']}")["items"]
    assert (item["state"], item["job_id"]) == ("refused", None)


def test_what_is_away_for_one_document_does_not_stop_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, services = office.login(LEADER), office.services
    ids = [office.approved() for _ in range(3)]
    batch = answered(leader.post("/v1/signing-batches", batch_of(office, *ids)), 202)
    really = documents_fire

    def fire(desk: Any, actor: Any, document_id: str, *given: Any, **more: Any) -> Any:
        if document_id == ids[0]:
            raise UnavailableError("Its keys are away.", code="key-provider-unavailable")
        return really(desk, actor, document_id, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(batches, "fire", fire)
        with pytest.raises(UnavailableError):
            batches._fire_all(services.studio, services.authenticator, batch["id"], None)
    shown = leader.read(f"/v1/signing-batches/{batch['id']}")
    assert shown["counts"] == {"waiting": 1, "signing": 2}
    job = JobRun(services.engine.get(f"batch-{batch['id']}"), lambda _name, function: function())
    batches.on_failed(services.studio, job, "Its keys are away.")
    first = leader.read(f"/v1/signing-batches/{batch['id']}")["items"][0]
    assert (first["state"], first["code"]) == ("refused", "batch-failed")
    assert first["detail"] == "Its keys are away."


def test_a_session_is_not_shown_any_more_to_who_lost_the_document(office: Office) -> None:
    leader, administrator = office.login(LEADER), office.login(ADMINISTRATOR)
    person = office.person(LEADER)
    card = Card.issue(office.instance.folder / "pki", "Sơn", office.services.clock.now())
    enrol(administrator, leader, person["id"], card)
    document_id = office.approved()
    batch = answered(leader.post("/v1/signing-batches", batch_of(office, document_id)), 202)
    office.run_jobs()
    (item,) = leader.read(f"/v1/signing-batches/{batch['id']}")["items"]
    address = f"/v1/signing-sessions/{item['job_id']}"
    assert leader.read(address)["state"] == "ready"
    person = office.person(LEADER)
    for held in person["offices"]:
        gone = f"/v1/people/{person['id']}/offices/{held['unit_id']}/{held['role']}"
        person = answered(administrator.delete(gone, version=person["version"]), 200)
    assert leader.get(address).status_code == 404
    assert leader.delete(address).status_code == 404
