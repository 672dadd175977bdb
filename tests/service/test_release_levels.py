"""Releases at every level through the real jobs, with a living PKI; and what happens when it fails."""

from datetime import timedelta
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, OutsideUnavailableError
from docflow.signing.ades import levels_reached
from docflow.signing.outside.timestamps import TimestampAuthority
from docflow.signing.pades import sign_person
from tests.jobs_support import settled, started, until
from tests.levels_support import Offices, longterm
from tests.office_support import CLERK, LEADER, Instance
from tests.pki_support import Fault, LivePki
from tests.unit.signing.forge import make_pdf, run


def released(office: Instance, document_id: str, folder: Path) -> Path:
    """Return the released main file."""
    (row,) = office.rows("files", document_id=document_id, form="released")
    path = folder / "released.pdf"
    with office.services.store.open(row["storage_key"]) as file:
        path.write_bytes(file.read())
    return path


def test_a_release_is_b_lta_with_evidence_and_history_that_say_so(
    offices: Offices, tmp_path: Path, pki: LivePki, clock: ManualClock
) -> None:
    office = offices()
    document_id = office.to_released(office.draft())
    path = released(office, document_id, tmp_path)
    reached = levels_reached(path, pki.roots, now=clock.now())
    assert [(one.field, one.level) for one in reached] == [("Person", "B-LTA"), ("Seal", "B-LTA")]
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
    run("qpdf", "--check", path)
    steps = {row["step"]: row["evidence"] for row in office.rows("signature_steps")
             if row["document_id"] == document_id}  # fmt: skip
    assert steps["sealed"]["level"] == "B-LTA"
    assert steps["sealed"]["person_level"] == "B-T"
    assert steps["sealed"]["timestamp_authority"] == "tsa"
    assert steps["validated"]["level"] == "B-LTA"
    (entry,) = [
        one for one in office.rows("history_entries", subject_id=document_id)
        if one["action"] == "document.sealed"
    ]  # fmt: skip
    assert '"level":"B-LTA"' in entry["leaf"]


def test_a_level_that_the_workflow_leaves_out_is_the_organisations(
    offices: Offices, tmp_path: Path, pki: LivePki, clock: ManualClock
) -> None:
    office = offices(person="", seal="", signature_level="B-LTA")
    document_id = office.to_signed(office.draft())
    (signed,) = [row for row in office.rows("signature_steps") if row["step"] == "signed"]
    assert signed["evidence"]["level"] == "B-LT"  # the archive time stamp is the seal's
    office.run(office.fire(CLERK, document_id, "release"))
    path = released(office, document_id, tmp_path)
    found = levels_reached(path, pki.roots, now=clock.now())
    assert {one.level for one in found} == {"B-LTA"}


def test_while_every_authority_is_away_the_document_waits_says_why_and_is_then_signed(
    offices: Offices, pki: LivePki
) -> None:
    office = offices(tsas=("tsa", "tsa-second"))
    document_id = office.to_approved(office.draft())
    with pki.fails("/tsa/", "away"), started(office.services.engine):
        outcome = office.fire(LEADER, document_id, "sign")
        assert outcome.job_id is not None
        job_id = outcome.job_id
        # more tries than any other failure gets
        until(lambda: office.job(job_id).attempts >= 7, "seven tries")
        job = office.job(job_id)
        assert job.state in {"retrying", "running"}
        assert job.error is not None
        assert "tsa gave no usable time stamp: 127.0.0.1" in job.error
        assert "tsa-second gave no usable time stamp" in job.error
        if job.state == "retrying":
            assert job.next_at is not None
            assert job.next_at > job.updated_at
        row = office.row(document_id)
        assert (row["stage"], row["state"]) == ("waiting", "approved")
        assert row["pending"]["error"] == job.error
        assert not row["pending"]["failed"]
        told = [
            one["action"] for one in office.rows("history_entries", subject_id=document_id)
        ].count("document.job-waiting")
        assert told == 1  # however often it tries
        pki.mend("/tsa/")
        done = settled(office.services.engine, job_id, "done")
    assert done.next_at is None
    row = office.row(document_id)
    assert (row["stage"], row["state"], row["pending"]) == (None, "signed", None)


LIES: list[Fault] = [
    "other-imprint", "other-nonce", "other-time", "garbage", "refused", "cut", "endless",
    "redirect", "unauthorised",
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_an_authority_that_lies_is_passed_over_for_the_next(
    pki: LivePki, tmp_path: Path, lie: Fault
) -> None:
    signer = pki.identity("person", "person")
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    both = longterm(pki, "tsa", "tsa-second")
    with pki.fails("tsa/tsa", lie), pytest.raises(OutsideUnavailableError) as caught:
        # the second begins with the same letters, so both lie
        sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=pki.now(),
                    level="B-T", longterm=both)  # fmt: skip
    assert caught.value.code == "tsa-unavailable"
    pki.requests.clear()
    with pki.fails("tsa/tsa-second", lie):
        made = sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=pki.now(),
                           level="B-LT", longterm=longterm(pki, "tsa-second", "tsa"))  # fmt: skip
    assert made.authority == "tsa"
    assert pki.asked("tsa/tsa-second") == 1


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("not-a-tsa", "not one for time stamping alone"),
        ("stranger-tsa", "is not trusted"),
        ("tsa-revoked", "was revoked"),
    ],
)
def test_an_authority_with_a_wrong_certificate_is_not_believed(
    pki: LivePki, tmp_path: Path, label: str, why: str
) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    with pytest.raises(OutsideUnavailableError, match=why) as caught:
        sign_person(
            tmp_path / "a.pdf", tmp_path / "b.pdf", pki.identity("person", "person"),
            now=pki.now(), level="B-LT", longterm=longterm(pki, label),
        )  # fmt: skip
    assert caught.value.code == "tsa-unavailable"


def test_a_policy_that_was_not_asked_for_is_refused(pki: LivePki, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    choosy = TimestampAuthority("choosy", pki.tsa_url(), policies=frozenset({"1.2.3"}))
    with pytest.raises(OutsideUnavailableError, match=r"under the policy 1\.3\.6"):
        sign_person(
            tmp_path / "a.pdf", tmp_path / "b.pdf", pki.identity("person", "person"),
            now=pki.now(), level="B-T", longterm=longterm(pki, authorities=(choosy,)),
        )  # fmt: skip


def test_a_revoked_signer_fails_the_job_for_good(offices: Offices, pki: LivePki) -> None:
    office = offices(person="level: B-LT", signers={"person": "revoked"})
    document_id = office.to_approved(office.draft())
    with started(office.services.engine):
        outcome = office.fire(LEADER, document_id, "sign")
        job = settled(office.services.engine, outcome.job_id or "", "failed")
    assert (job.attempts, job.error) == (
        1, "The certificate of Đã bị thu hồi was revoked; it cannot sign."
    )  # fmt: skip
    row = office.row(document_id)
    assert (row["stage"], row["state"]) == ("failed", "approved")
    assert not office.rows("files", document_id=document_id, form="signed")


RESPONDERS: list[Fault] = ["away", "garbage", "other-certificate", "slow"]


@pytest.mark.parametrize("fault", RESPONDERS)
def test_without_ocsp_the_crl_tells_and_without_both_nobody_signs(
    pki: LivePki, tmp_path: Path, fault: Fault
) -> None:
    pki.slow_seconds = 1.5
    signer = pki.identity("person", "person")
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    with pki.fails("ocsp", fault):
        made = sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=pki.now(),
                           level="B-LT", longterm=longterm(pki))  # fmt: skip
        assert made.level == "B-LT"
        with pki.fails("crls/authority", "away"), pytest.raises(OutsideUnavailableError) as caught:
            sign_person(tmp_path / "a.pdf", tmp_path / "c.pdf", signer, now=pki.now(),
                        level="B-LT", longterm=longterm(pki))  # fmt: skip
    assert caught.value.code == "revocation-unavailable"
    (left,) = [one.level for one in levels_reached(tmp_path / "b.pdf", pki.roots, now=pki.now())]
    assert left == "B-LT"


def test_a_fallback_is_made_only_when_named_and_only_after_its_time(
    offices: Offices, pki: LivePki, clock: ManualClock, tmp_path: Path
) -> None:
    office = offices(seal=", level: B-LTA, fallback: B-T", signature_fallback_hours=4)
    document_id = office.to_signed(office.draft())
    with pki.fails("ocsp", "away"), pki.fails("crls/", "away"):
        outcome = office.fire(CLERK, document_id, "release")
        clock.advance(timedelta(hours=3))
        with pytest.raises(OutsideUnavailableError):
            office.run(outcome)
        clock.advance(timedelta(hours=1))
        office.run(outcome)
    path = released(office, document_id, tmp_path)
    assert [one.level for one in levels_reached(path, pki.roots, now=clock.now())] == ["B-T"] * 2
    (sealed,) = [row for row in office.rows("signature_steps") if row["step"] == "sealed"]
    assert sealed["evidence"]["level"] == "B-T"
    assert sealed["evidence"]["level_asked"] == "B-LTA"
    assert "cannot be told whether" in sealed["evidence"]["fell_back_because"]
    (entry,) = [
        one for one in office.rows("history_entries", subject_id=document_id)
        if one["action"] == "document.sealed"
    ]  # fmt: skip
    assert '"level":"B-T","level_asked":"B-LTA"' in entry["leaf"]


def test_a_level_that_nothing_is_configured_for_is_refused_when_asked_for(
    instance: Instance, tmp_path: Path
) -> None:
    with pytest.raises(ConflictError) as caught:
        instance.services.desk.levels.level("organisation", "B-LTA")
    assert caught.value.code == "level-unavailable"
