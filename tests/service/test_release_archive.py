"""Archive time stamps are renewed in time, at most once each, visibly; and ten years on all is proven."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from docflow.jobs.model import JobRun
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError
from docflow.release import archive, expiry, standing
from docflow.signing.ades import levels_reached
from docflow.signing.archive import renew, validate_renewed
from docflow.signing.pades import seal, sign_person
from docflow.signing.strict import validate_release
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from tests.jobs_support import settled, started
from tests.levels_support import Offices, longterm
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, LEADER, SPECIALIST, Instance
from tests.pki_support import LivePki
from tests.unit.signing.forge import make_pdf, run


def stamps(office: Instance) -> list[dict[str, Any]]:
    return sorted(office.rows("archive_stamps"), key=lambda row: row["number"])


def actions(office: Instance, document_id: str) -> list[str]:
    return [
        one["action"] for one in office.rows("history_entries", subject_id=document_id)
        if one["action"].startswith("document.archive")
    ]  # fmt: skip


def test_a_stamp_is_renewed_once_before_its_end_and_what_was_delivered_stays(
    offices: Offices, clock: ManualClock, pki: LivePki, tmp_path: Path
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"))
    document_id = office.to_released(office.draft())
    (first,) = stamps(office)
    assert (first["state"], first["authority"], first["number"]) == ("current", "tsa-ending", 1)
    assert first["until"] == datetime(2026, 6, 1, tzinfo=UTC)
    keeper = office.services.keeper
    assert keeper.run() == 0  # 91 days left, and 90 are the lead
    clock.advance(timedelta(days=30))
    with started(office.services.engine):
        assert keeper.run() == 1
        assert keeper.run() == 0
        settled(office.services.engine, f"archive-{first['id']}", "done")
    old, new = stamps(office)
    assert (old["state"], old["sha256"]) == ("renewed", first["sha256"])
    assert (new["state"], new["authority"], new["number"]) == ("current", "tsa-second", 2)
    assert new["until"] == datetime(2041, 1, 1, tzinfo=UTC)
    assert actions(office, document_id) == ["document.archive-due", "document.archive-stamped"]
    (released,) = office.rows("files", document_id=document_id, form="released")
    assert released["sha256"] == first["sha256"]
    with office.services.store.open(released["storage_key"]) as file:
        before = file.read()
    with office.services.store.open(new["storage_key"]) as file:
        after = file.read()
    assert after.startswith(before)
    path = tmp_path / "renewed.pdf"
    path.write_bytes(after)
    run("qpdf", "--check", path)
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
    assert keeper.run() == 0


@pytest.mark.parametrize("person", ["level: B-B", "level: B-T\n      fallback: B-B"])
def test_a_personal_signature_without_a_stamp_of_its_own_is_renewed_with_the_seal(
    offices: Offices, clock: ManualClock, pki: LivePki, tmp_path: Path, person: str
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"), person=person,
                     signature_fallback_hours=4)  # fmt: skip
    document_id = office.to_approved(office.draft())
    signing = office.fire(LEADER, document_id, "sign")
    if "fallback" in person:
        clock.advance(timedelta(hours=5))
        with pki.fails("/tsa/", "away"):
            office.run(signing)
    else:
        office.run(signing)
    signed = office.rows("signature_steps", document_id=document_id, step="signed")
    assert [one["evidence"]["level"] for one in signed] == ["B-B"]
    office.run(office.fire(CLERK, document_id, "release"))
    (first,) = stamps(office)
    clock.advance(timedelta(days=60))
    with started(office.services.engine):
        assert office.services.keeper.run() == 1
        settled(office.services.engine, f"archive-{first['id']}", "done")
    path = tmp_path / "renewed.pdf"
    with office.services.store.open(stamps(office)[-1]["storage_key"]) as file:
        path.write_bytes(file.read())
    later = datetime(2040, 1, 1, tzinfo=UTC)
    found = levels_reached(path, pki.roots, now=later, evidence_may_be_old=True)
    assert [one.level for one in found] == ["B-LTA"] * 2
    assert found[0].existed_at == first["stamped_at"]


def test_a_renewal_that_runs_twice_adds_one_time_stamp(
    offices: Offices, clock: ManualClock
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"))
    document_id = office.to_released(office.draft())
    clock.advance(timedelta(days=60))
    office.services.keeper.run()
    (first,) = stamps(office)
    job = office.job(f"archive-{first['id']}")
    for _ in range(2):  # as after a crash before the step's result was kept
        archive.run(office.services.studio, JobRun(job, lambda _name, function: function()))
    assert [row["number"] for row in stamps(office)] == [1, 2]
    assert actions(office, document_id).count("document.archive-stamped") == 1


def test_a_renewal_that_fails_is_shown_and_can_be_retried(
    offices: Offices, clock: ManualClock, pki: LivePki
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"), outside_patience_hours=0)
    document_id = office.to_released(office.draft())
    clock.advance(timedelta(days=60))
    (first,) = stamps(office)
    job_id = f"archive-{first['id']}"
    administrator = office.actor(ADMINISTRATOR)
    with started(office.services.engine):
        with pki.fails("/tsa/", "away"):
            office.services.keeper.run()
            settled(office.services.engine, job_id, "failed")
        (failed,) = standing.stamps(
            office.services.desk, administrator, state="failed", after=None, limit=10
        )
        assert "gave no usable time stamp" in failed["error"]
        found = standing.standing(office.services.keeper, administrator)
        assert (found.ending, found.due, found.failed) == (0, 0, 1)
        with office.database.unit_of_work(administrator) as uow:
            office.services.engine.retry(uow, job_id)
        settled(office.services.engine, job_id, "done")
    assert [row["state"] for row in stamps(office)] == ["renewed", "current"]
    assert actions(office, document_id) == [
        "document.archive-due", "document.archive-failed", "document.archive-stamped"
    ]  # fmt: skip


def test_an_authority_that_lasts_no_longer_is_no_help_and_the_renewal_says_so(
    offices: Offices, clock: ManualClock
) -> None:
    office = offices(tsas=("tsa-ending",), outside_patience_hours=0)
    office.to_released(office.draft())
    clock.advance(timedelta(days=60))
    (first,) = stamps(office)
    with started(office.services.engine):
        office.services.keeper.run()
        settled(office.services.engine, f"archive-{first['id']}", "failed")
    (only,) = stamps(office)
    assert only["state"] == "failed"
    assert "ends on 2026-06-01, no later than" in only["error"]


def test_a_renewal_that_failed_is_begun_again_by_itself_each_time_later_until_the_authority_is_back(
    offices: Offices, clock: ManualClock, pki: LivePki
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"), outside_patience_hours=0)
    document_id = office.to_released(office.draft())
    keeper, engine = office.services.keeper, office.services.engine
    clock.advance(timedelta(days=60))
    (first,) = stamps(office)
    job_id = archive.job_of(first)

    def waits_for() -> timedelta:
        settled(engine, job_id, "failed")
        (row,) = stamps(office)
        assert (row["state"], "gave no usable time stamp" in row["error"]) == ("failed", True)
        at: datetime = row["next_at"]
        return at - clock.now()

    with started(engine):
        with pki.fails("/tsa/", "away"):
            assert keeper.run() == 1
            assert waits_for() == timedelta(hours=6)
            assert keeper.run() == 0  # too early
            for tried, wait in enumerate((12, 24, 48), 1):
                clock.advance(timedelta(hours=wait / 2))
                assert keeper.run() == 1
                assert waits_for() == timedelta(hours=wait)
                assert stamps(office)[0]["attempts"] == tried + 1
        found = standing.standing(keeper, office.actor(ADMINISTRATOR))
        assert (found.due, found.failed, found.retrying) == (0, 1, 1)
        clock.advance(timedelta(hours=48))
        assert keeper.run() == 1
        settled(engine, job_id, "done")
    assert [row["state"] for row in stamps(office)] == ["renewed", "current"]
    assert stamps(office)[0]["next_at"] is None
    again = ["document.archive-retried", "document.archive-failed"]
    assert actions(office, document_id) == [
        "document.archive-due", "document.archive-failed", *again * 3,
        "document.archive-retried", "document.archive-stamped",
    ]  # fmt: skip
    assert office.findings() == ()


def test_what_time_cannot_heal_and_what_a_person_gave_up_is_left_to_a_person(
    offices: Offices, clock: ManualClock
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"))
    office.to_released(office.draft())
    keeper, engine = office.services.keeper, office.services.engine
    clock.advance(timedelta(days=60))
    (first,) = stamps(office)
    path = next(office.folder.rglob(first["sha256"]))  # the file is damaged where it is stored
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-200])
    with started(engine):
        keeper.run()
        settled(engine, archive.job_of(first), "failed")
    (row,) = stamps(office)
    assert (row["state"], row["attempts"], row["next_at"]) == ("failed", 1, None), row["error"]
    clock.advance(timedelta(days=30))
    assert keeper.run() == 0
    found = standing.standing(keeper, office.actor(ADMINISTRATOR))
    assert (found.failed, found.retrying) == (1, 0)


def test_a_renewal_that_a_person_gave_up_is_not_begun_again(
    offices: Offices, clock: ManualClock, pki: LivePki
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"), outside_patience_hours=0)
    office.to_released(office.draft())
    keeper, engine = office.services.keeper, office.services.engine
    clock.advance(timedelta(days=60))
    (first,) = stamps(office)
    with started(engine), pki.fails("/tsa/", "away"):
        keeper.run()
        settled(engine, archive.job_of(first), "failed")
    with office.database.unit_of_work(office.actor(ADMINISTRATOR)) as uow:
        engine.cancel(uow, archive.job_of(first))
    clock.advance(timedelta(hours=6))
    assert keeper.run() == 0
    (row,) = stamps(office)
    assert (row["state"], row["next_at"]) == ("failed", None)
    assert row["error"] == "Its renewal was given up by a person."
    assert office.findings() == ()


def test_the_next_try_comes_before_the_stamp_ends_and_there_is_none_after(
    offices: Offices,
) -> None:
    keeper = offices().services.keeper
    now = datetime(2026, 3, 2, tzinfo=UTC)

    def wait(attempts: int, left: timedelta) -> timedelta | None:
        at = keeper.next_try(attempts, now + left, now)
        return None if at is None else at - now

    hour, day = timedelta(hours=1), timedelta(days=1)
    assert [wait(one, 90 * day) for one in (1, 2, 5, 6, 99)] == [
        6 * hour, 12 * hour, 4 * day, 7 * day, 7 * day
    ]  # fmt: skip
    assert wait(9, 4 * day) == 2 * day
    assert wait(9, hour) == 6 * hour
    assert wait(9, timedelta(0)) is None


def test_an_algorithm_that_ends_makes_stamps_due(offices: Offices, clock: ManualClock) -> None:
    office = offices()
    office.to_released(office.draft())
    policy = shipped_policy().to_dict()
    policy["keys"] = [
        {"algorithm": "ecdsa", "bits": 256, "until": "2026-05-01"},
        *(one for one in policy["keys"] if one["algorithm"] != "ecdsa"),
    ]
    keeper = office.services.keeper
    assert keeper.run() == 0
    changed = dataclasses.replace(keeper, policy=AlgorithmPolicy.from_data(policy))
    assert changed.run() == 1
    assert stamps(office)[0]["state"] == "due"


def test_certificates_near_their_end_warn_at_60_30_and_7_days(
    offices: Offices, clock: ManualClock
) -> None:
    office = offices(signers={"seal": "expiring"})  # until 20 March, and it is 2 March
    desk = office.services.desk
    (first, second) = expiry.signers(desk)
    assert (first.name, first.days_left, first.warning) == ("Con dấu sắp hết hạn", 17, 30)
    assert (second.name, second.warning) == ("Nguyễn Hồng Sơn", None)
    for days, warning in ((-40, 60), (-45, None), (11, 7), (19, 0)):
        clock.advance(timedelta(days=days))
        assert expiry.signers(desk)[0].warning == warning, days
        clock.advance(timedelta(days=-days))


def test_who_may_see_how_signatures_stand(offices: Offices) -> None:
    office = offices()
    office.to_released(office.draft())
    keeper, desk = office.services.keeper, office.services.desk
    assert standing.standing(keeper, office.actor(ADMINISTRATOR)).levels[-1] == "B-LTA"
    with pytest.raises(ForbiddenError):
        standing.standing(keeper, office.actor(SPECIALIST))
    assert standing.standing(keeper, office.actor(AUDITOR)).due == 0
    (row,) = standing.stamps(desk, office.actor(AUDITOR), state=None, after=None, limit=10)
    assert standing.stamps(desk, office.actor(CLERK), state=None, after=None, limit=10) == [row]
    assert standing.stamped_file(desk, office.actor(CLERK), row["id"])["sha256"] == row["sha256"]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePki]:
    """The PKI of ten years ago; the tests' time is ten years after it."""
    server = LivePki(tmp_path_factory.mktemp("past"), years=-10)
    yield server
    server.stop()


def test_ten_years_on_with_every_authority_gone_both_signatures_are_proven(
    past: LivePki, tmp_path: Path
) -> None:
    signed = datetime(2016, 3, 2, 1, 30, tzinfo=UTC)
    past.now = lambda: signed
    person = past.identity("person", "person")
    organisation = past.identity("seal", "organisation")
    first = longterm(past, "tsa")
    (tmp_path / "a.pdf").write_bytes(make_pdf("Điều 1", pages=2))
    sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", person, now=signed, level="B-T",
                longterm=first)  # fmt: skip
    sealed = seal(tmp_path / "b.pdf", tmp_path / "c.pdf", organisation, now=signed, level="B-LTA",
                  longterm=first)  # fmt: skip
    validate_release(
        tmp_path / "c.pdf", past.roots, person=person.certificate, seal=organisation.certificate,
        now=signed, person_level="B-T", seal_level="B-LTA",
    )  # fmt: skip
    renewed = datetime(2021, 6, 1, tzinfo=UTC)  # signers' certificates are over, the TSA's not yet
    past.now = lambda: renewed
    made = renew(tmp_path / "c.pdf", tmp_path / "d.pdf", longterm(past, "tsa-second"), now=renewed)
    validate_renewed(tmp_path / "d.pdf", past.roots, past.roots, now=renewed,
                     before=(sealed.sha256, sealed.size_bytes), number=made.number)  # fmt: skip
    now = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    asked = len(past.requests)
    with past.fails("", "away"):
        found = levels_reached(tmp_path / "d.pdf", past.roots, now=now, evidence_may_be_old=True)
        lost = levels_reached(tmp_path / "c.pdf", past.roots, now=now, evidence_may_be_old=True)
    assert len(past.requests) == asked  # nothing was even asked
    assert [(one.level, one.existed_at) for one in found] == [("B-LTA", signed)] * 2
    assert [one.level for one in lost] == [None, None]  # not renewed in time: proves nothing
    past.now = lambda: now
    with pytest.raises(ConflictError) as caught:
        renew(tmp_path / "c.pdf", tmp_path / "e.pdf", longterm(past, "tsa-second"), now=now)
    assert caught.value.code == "archive-timestamp-lost"
