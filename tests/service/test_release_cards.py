"""People sign with cards at the levels that workflows ask for: the real jobs, with a living PKI."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyhanko.sign.ades.report import AdESPassed

from docflow.kernel.clock import ManualClock, parse_rfc3339
from docflow.kernel.errors import OutsideUnavailableError
from docflow.release import batches, card_sessions
from docflow.signing.ades import levels_reached
from docflow.signing.archive import renew, validate_renewed
from tests.card_support import answer_session, carry, give
from tests.jobs_support import settled, started, until
from tests.levels_support import Offices, card_of, longterm, offices_in
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance
from tests.persons_support import (
    HEAD_FIRST,
    SECOND_LEADER,
    THREE,
    approved,
    persons_at,
    sign_all,
    stored,
)
from tests.pki_support import LivePki
from tests.service.test_signing_levels import by_openssl, by_pyhanko
from tests.unit.signing.forge import run


@pytest.fixture
def offices(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Offices]:
    """Make instances whose leader has a card of the living PKI's person."""
    with offices_in(tmp_path, prepared, clock) as make:

        def with_card(pki: LivePki, label: str = "person", **options: Any) -> Instance:
            office = make(pki, **options)
            give(office, card_of(pki, label))
            return office

        yield with_card


def asked(office: Instance) -> tuple[str, str]:
    """Return a document that waits for the leader's card, and the session."""
    document_id = office.to_approved(office.draft())
    session_id = str(office.fire(LEADER, document_id, "sign").job_id)
    office.run_job(session_id)
    return document_id, session_id


def session_of(office: Instance, session_id: str) -> card_sessions.Shown:
    return card_sessions.show(office.services.studio, office.actor(LEADER), session_id)


def leaf(office: Instance, document_id: str, action: str = "document.signed") -> str:
    """Return what history says of the signature."""
    (entry,) = [
        one for one in office.rows("history_entries", subject_id=document_id)
        if one["action"] == action
    ]  # fmt: skip
    return str(entry["leaf"])


def evidence(office: Instance, document_id: str) -> dict[str, Any]:
    """Return what is kept of the card's signature."""
    (row,) = office.rows("signature_steps", document_id=document_id, step="signed")
    return row["evidence"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("level", "made"), [("B-T", "B-T"), ("B-LT", "B-LT"), ("B-LTA", "B-LT")])
def test_a_card_signs_at_the_level_of_the_workflow_and_the_release_is_b_lta(
    offices: Offices, either: LivePki, tmp_path: Path, clock: ManualClock, level: str, made: str
) -> None:
    # a workflow that names no level has the organisation's: B-LTA is the seal's, the person's is B-LT
    options = {"person": f"level: {level}"}
    if level == "B-LTA":
        options = {"person": "", "signature_level": "B-LTA"}
    office = offices(either, **options)
    document_id, session_id = asked(office)
    clock.advance(timedelta(minutes=10))
    office.run_job(answer_session(office, session_id, card_of(either)))
    signed = stored(office, document_id, "signed", tmp_path)
    (one,) = levels_reached(signed, either.roots, now=clock.now())
    assert (one.level, one.existed_at) == (made, clock.now())
    known = evidence(office, document_id)
    assert (known["level"], known["timestamp_authority"]) == (made, "tsa")
    assert parse_rfc3339(known["stamped_at"]) == clock.now()
    said = leaf(office, document_id)
    assert f'"level":"{made}"' in said
    assert f'"stamped_at":"{known["stamped_at"]}"' in said
    office.run(office.fire(CLERK, document_id, "release"))
    path = stored(office, document_id, "released", tmp_path)
    reached = levels_reached(path, either.roots, now=clock.now())
    assert [(one.field, one.level) for one in reached] == [("Person", "B-LTA"), ("Seal", "B-LTA")]
    assert by_pyhanko(either, path, "B-LTA") == [AdESPassed.OK] * 2
    by_openssl(either, path, tmp_path)
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
    run("qpdf", "--check", path)
    (row,) = office.rows("files", document_id=document_id, form="released")
    clock.advance(timedelta(days=1))
    renewed = renew(path, tmp_path / "new.pdf", longterm(either, "tsa-second"), now=clock.now())
    validate_renewed(
        tmp_path / "new.pdf", either.roots, either.roots, now=clock.now(),
        before=(row["sha256"], row["size"]), number=renewed.number,
    )  # fmt: skip


@pytest.mark.parametrize("away", ["/tsa/", "ocsp"])
def test_an_answered_session_outlasts_whatever_is_away_and_asks_no_card_again(
    offices: Offices, pki: LivePki, clock: ManualClock, away: str, tmp_path: Path
) -> None:
    office = offices(pki, person="level: B-LT")
    document_id, session_id = asked(office)
    pki.break_(away, "away")
    pki.break_("crls/", "away")
    with started(office.services.engine):
        embed = answer_session(office, session_id, card_of(pki))
        until(lambda: office.job(embed).attempts >= 7, "seven tries")
        clock.advance(timedelta(hours=20))  # far over the minutes that a card has
        assert card_sessions.sweep(office.services.studio) == 0
        row = office.row(document_id)
        assert (row["stage"], row["state"], row["pending"]["failed"]) == (
            "waiting", "approved", False
        )  # fmt: skip
        shown = session_of(office, session_id)
        assert shown.state == "answered"
        assert shown.error is not None
        assert "127.0.0.1" in shown.error
        assert shown.error == row["pending"]["error"]
        assert not office.rows("files", document_id=document_id, form="signed")
        pki.mend(away)
        pki.mend("crls/")
        settled(office.services.engine, embed, "done")
    assert session_of(office, session_id).state == "done"
    assert office.row(document_id)["state"] == "signed"
    assert parse_rfc3339(evidence(office, document_id)["stamped_at"]) == clock.now()
    path = stored(office, document_id, "signed", tmp_path)
    assert by_pyhanko(pki, path, "B-LT") == [AdESPassed.OK]


def test_nothing_lower_is_made_for_a_card_unless_the_workflow_names_it_and_its_time_has_passed(
    offices: Offices, pki: LivePki, clock: ManualClock, tmp_path: Path
) -> None:
    office = offices(pki, person="level: B-LT\n      fallback: B-T", signature_fallback_hours=4)
    document_id, session_id = asked(office)
    embed = answer_session(office, session_id, card_of(pki))
    with pki.fails("ocsp", "away"), pki.fails("crls/", "away"):
        clock.advance(timedelta(hours=3))
        with pytest.raises(OutsideUnavailableError):
            office.run_job(embed)
        clock.advance(timedelta(hours=1))
        office.run_job(embed)
    known = evidence(office, document_id)
    assert (known["level"], known["level_asked"]) == ("B-T", "B-LT")
    assert "cannot be told whether" in known["fell_back_because"]
    assert '"level":"B-T"' in leaf(office, document_id)
    assert '"level_asked":"B-LT"' in leaf(office, document_id)
    office.run(office.fire(CLERK, document_id, "release"))
    path = stored(office, document_id, "released", tmp_path)
    found = levels_reached(path, pki.roots, now=clock.now())
    assert [one.level for one in found] == ["B-LTA", "B-LTA"]


def test_without_a_fallback_a_card_waits_however_long(
    offices: Offices, pki: LivePki, clock: ManualClock
) -> None:
    office = offices(pki, person="level: B-T", signature_fallback_hours=1)
    document_id, session_id = asked(office)
    embed = answer_session(office, session_id, card_of(pki))
    with pki.fails("/tsa/", "away"):
        clock.advance(timedelta(days=3))
        with pytest.raises(OutsideUnavailableError):
            office.run_job(embed)
    assert not office.rows("signature_steps", document_id=document_id, step="signed")
    office.run_job(embed)
    assert evidence(office, document_id)["level"] == "B-T"


def test_a_session_is_prepared_while_every_authority_is_away(
    offices: Offices, pki: LivePki
) -> None:
    office = offices(pki, person="level: B-T")
    with pki.fails("/tsa/", "away"):
        document_id, session_id = asked(office)
    assert session_of(office, session_id).state == "ready"
    office.run_job(answer_session(office, session_id, card_of(pki)))
    assert evidence(office, document_id)["level"] == "B-T"


def test_a_stamp_that_does_not_fit_fails_the_job_and_the_next_request_has_room_for_it(
    offices: Offices, pki: LivePki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docflow.signing.longterm._LEAST_ROOM_BYTES", 16)
    office = offices(pki, person="level: B-T")
    with pki.fails("/tsa/", "away"):
        document_id, session_id = asked(office)
    with started(office.services.engine):
        embed = answer_session(office, session_id, card_of(pki))
        job = settled(office.services.engine, embed, "failed")
        assert job.attempts == 1
        assert "bytes more than the file has room for" in str(job.error)
        assert session_of(office, session_id).state == "failed"
        again = str(office.fire(LEADER, document_id, "sign").job_id)
        settled(office.services.engine, again, "done")
        settled(office.services.engine, answer_session(office, again, card_of(pki)), "done")
    assert evidence(office, document_id)["level"] == "B-T"


def test_a_card_that_its_authority_revoked_fails_the_session_for_good(
    offices: Offices, pki: LivePki, clock: ManualClock
) -> None:
    with pki.fails("ocsp", "away"), pki.fails("crls", "away"):  # nobody told when it was enrolled
        office = offices(pki, label="revoked", person="level: B-LT")
        document_id, session_id = asked(office)
    clock.advance(timedelta(minutes=2))
    with started(office.services.engine):
        embed = answer_session(office, session_id, card_of(pki, "revoked"))
        job = settled(office.services.engine, embed, "failed")
    assert (job.attempts, job.error) == (
        1, "The certificate of Đã bị thu hồi was revoked; it cannot sign."
    )  # fmt: skip
    assert session_of(office, session_id).state == "failed"
    row = office.row(document_id)
    assert (row["stage"], row["state"]) == ("failed", "approved")
    assert not office.rows("files", document_id=document_id, form="signed")


@pytest.mark.parametrize("level", ["B-T", "B-LT"])
def test_later_persons_cards_sign_at_the_level_too(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki, level: str
) -> None:
    office = persons_at(tmp_path, prepared, clock, pki, level)
    try:
        cards = {
            login: give(office, card_of(pki, label), login)
            for login, label in ((SECOND_LEADER, "person-second"), (HEAD, "person-third"))
        }
        document_id = approved(office, "outgoing-three")
        for login, trigger in THREE:  # the first with a key of the service
            clock.advance(timedelta(minutes=5))
            if login in cards:
                carry(office, document_id, trigger, cards[login], login)
            else:
                sign_all(office, document_id, [(login, trigger)])
        steps = office.rows("signature_steps", document_id=document_id, step="signed")
        assert {row["evidence"]["level"] for row in steps} == {level}
        office.run(office.fire(CLERK, document_id, "release"))
        path = stored(office, document_id, "released", tmp_path)
        reached = levels_reached(path, pki.roots, now=clock.now())
        names = ("Person", "Person2", "Person3", "Seal")
        assert [(one.field, one.level) for one in reached] == [(name, "B-LTA") for name in names]
        assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 4
        assert by_pyhanko(pki, path, "B-LTA") == [AdESPassed.OK] * 4
    finally:
        office.close()


def test_a_confidential_document_signed_by_a_card_at_b_lt_never_lies_in_the_clear(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = persons_at(tmp_path, prepared, clock, pki, "B-LT")
    try:
        card = give(office, card_of(pki, "person-third"), HEAD)
        office.clear(SPECIALIST, HEAD, LEADER)
        document_id = office.sealed_draft(workflow="outgoing-joint")
        office.fire(SPECIALIST, document_id, "submit")
        office.fire(HEAD, document_id, "approve")
        (_, first), (_, second) = HEAD_FIRST
        carry(office, document_id, first, card, HEAD)
        office.run(office.fire(LEADER, document_id, second))
        assert office.row(document_id)["state"] == "signed"
        made = office.rows("signature_steps", document_id=document_id)
        assert {row["step"] for row in made} == {"staged", "prepared", "signed"}
        for row in made:
            with office.services.store.open(row["storage_key"]) as file:
                assert b"%PDF" not in file.read()
    finally:
        office.close()


def test_a_batch_of_cards_is_signed_at_the_level_of_the_workflow(
    offices: Offices, pki: LivePki
) -> None:
    office = offices(pki, person="level: B-LT")
    studio, leader = office.services.studio, office.actor(LEADER)
    documents = [office.to_approved(office.draft()) for _ in range(3)]
    wanted = [batches.Wanted(one, office.row(one)["version"], "sign", None) for one in documents]
    batch_id = batches.authorise(studio, leader, wanted)

    def state() -> set[str]:
        return {item["state"] for item in batches.show(studio, leader, batch_id).items}

    with started(office.services.engine):
        settled(office.services.engine, f"batch-{batch_id}", "done")
        sessions = [item["job_id"] for item in batches.show(studio, leader, batch_id).items]
        for session_id in sessions:
            settled(office.services.engine, session_id, "done")
            answer_session(office, session_id, card_of(pki))
        until(lambda: state() == {"signed"}, "every document of the batch")
    for document_id in documents:
        assert evidence(office, document_id)["level"] == "B-LT"
