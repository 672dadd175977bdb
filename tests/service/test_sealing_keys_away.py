"""Keys of confidential items that are away: whatever unseals waits, says why, and goes on by itself."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docflow.audit.verify import verify_everything
from docflow.documents import reclassify
from docflow.documents.create import NewDocument
from docflow.jobs.model import Job
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import OutsideUnavailableError
from docflow.release import failures
from tests.jobs_support import settled, started, until
from tests.levels_support import Offices
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    LEADER,
    SPECIALIST,
    Instance,
    copy_instance,
)
from tests.pki_support import LivePki
from tests.sealed_support import give, opener, sealed_office
from tests.service.test_conversion import scripted
from tests.unit.storage.test_sealing_token import LABEL, module, pin_file, tokens
from tests.verification_support import Maker

__all__ = ["pin_file", "tokens"]  # fixtures

DRAFT = NewDocument(
    subject="Phương án", type_code="QĐ", direction="outgoing", recipients=["STC"]
)  # fmt: skip


@dataclass
class House:
    """An office, and where its keys are."""

    office: Instance
    keys: Path

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the keys away for a while: the token's, or all that is mounted."""
        away = self.keys.with_name("away")
        self.keys.rename(away)
        self.keys.mkdir()  # what is left of a folder that is not mounted
        try:
            yield
        finally:
            self.keys.rmdir()
            away.rename(self.keys)


def mounted_keys(folder: Path) -> Path:
    """Make a folder with the keys of both levels, as the environment would mount it."""
    keys = folder / "mounted"
    keys.mkdir()
    for level in ("internal", "confidential"):
        (keys / f"VPUB.{level}.v1").write_bytes(level[0].encode() * 32)
        (keys / f"VPUB.{level}.v1").chmod(0o600)
    return keys


@pytest.fixture(params=["pkcs11", "mounted"])
def house(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path, clock: ManualClock
) -> Iterator[House]:
    """An office whose documents are sealed, with keys of a token or of a mounted folder."""
    folder = tmp_path / "var"
    copy_instance(prepared, folder)
    settings: dict[str, Any] = {"key_provider": request.param}
    if request.param == "pkcs11":
        keys = request.getfixturevalue("tokens")
        pin = request.getfixturevalue("pin_file")
        settings |= {"key_pkcs11_module": module(), "key_pkcs11_token": LABEL}
        settings |= {"key_pkcs11_pin_file": pin}
    else:
        keys = mounted_keys(tmp_path)
        settings |= {"key_mounted_folder": keys}
    office = Instance(
        folder, f"sqlite:///{folder / 'docflow.sqlite3'}", clock,
        office_file=sealed_office(tmp_path), input_policy="clean", job_attempts=2, **settings,
    )  # fmt: skip
    yield House(office, keys)
    office.close()


def waits_and_goes_on(house: House, job_id: str, shows: Callable[[], str | None]) -> Job:
    """Run a job without the keys for more tries than other failures get, then with them."""
    engine = house.office.services.engine
    with house.away(), started(engine):
        until(lambda: engine.get(job_id).attempts >= 4, "four tries")
        assert engine.get(job_id).state in {"retrying", "queued", "running"}
        told = shows()
        assert told is not None
        assert "until it" in told
        assert "Confidential items" in told or "confidential items" in told
    with started(engine) as again:
        done = settled(again, job_id, "done")
    assert done.error is None
    return done


def pending_of(office: Instance, document: str) -> str | None:
    row = office.row(document)
    assert (row["stage"], row["pending"]["failed"]) == ("waiting", False)
    return str(row["pending"]["error"])


def is_whole(office: Instance) -> None:
    services = office.services
    services.sequencer.run()
    report = verify_everything(
        services.database, services.store, services.log_key.verifier,
        contents=True, vault=services.desk.vault,
    )  # fmt: skip
    assert report.findings == ()


def test_a_personal_signature_and_a_release_wait_and_are_then_made(
    house: House, clock: ManualClock
) -> None:
    office = house.office
    give(office, "STC", opener(clock))
    document = office.to_approved(office.draft())
    job_id = str(office.fire(LEADER, document, "sign").job_id)
    waits_and_goes_on(house, job_id, lambda: pending_of(office, document))
    assert office.row(document)["state"] == "signed"
    job_id = str(office.fire(CLERK, document, "release").job_id)
    waits_and_goes_on(house, job_id, lambda: pending_of(office, document))
    assert office.row(document)["state"] == "released"
    told = office.rows("history_entries", subject_id=document)
    assert [row["action"] for row in told].count("document.job-waiting") == 2  # once each
    is_whole(office)


def test_encryption_for_recipients_waits_when_the_keys_go_after_the_seal(
    house: House, clock: ManualClock
) -> None:
    office = house.office
    give(office, "STC", opener(clock))
    document = office.to_signed(office.draft())
    outcome = office.fire(CLERK, document, "release")
    gone: list[AbstractContextManager[None]] = []

    class Steps(dict[str, Any]):
        """Remembers steps, and takes the keys away once the files are sealed."""

        def __setitem__(self, name: str, value: Any) -> None:
            super().__setitem__(name, value)
            if name == "sealed" and not gone:
                gone.append(house.away())
                gone[0].__enter__()

    done = Steps()
    with pytest.raises(OutsideUnavailableError) as away:
        office.run(outcome, done)
    assert away.value.code == "key-provider-unavailable"
    assert "sealed" in done
    assert "encrypted" not in done
    gone[0].__exit__(None, None, None)
    office.run(outcome, done)
    assert office.row(document)["state"] == "released"


def test_a_conversion_waits_and_the_file_says_for_what(house: House) -> None:
    office = house.office
    document = office._post(SPECIALIST, DRAFT, scripted(), "phương án.pdf")
    (job,) = (row for row in office.rows("jobs", subject_id=document) if row["kind"] == "convert")

    def problem() -> str | None:
        (file,) = office.rows("files", document_id=document)
        assert file["conversion"] == "pending"
        return file["conversion_problem"]  # type: ignore[no-any-return]

    waits_and_goes_on(house, job["id"], problem)
    files = office.rows("files", document_id=document)
    assert sorted((f["conversion"] or "", f["conversion_problem"]) for f in files) == [
        ("", None), ("done", None),
    ]  # fmt: skip
    is_whole(office)


def test_the_verification_of_what_came_in_waits(house: House, pki: LivePki) -> None:
    office = house.office
    new = NewDocument(
        subject="Công văn", type_code="CV", direction="incoming", issuer="Sở Tài chính",
        classification="internal",
    )  # fmt: skip
    document = office._post(CLERK, new, Maker(pki).pdf("B-B"))
    (job,) = (row for row in office.rows("jobs", subject_id=document) if row["kind"] == "arrival")
    waits_and_goes_on(house, job["id"], lambda: office.job(job["id"]).error)
    (check,) = office.rows("signature_checks", document_id=document)
    assert check["indication"] is not None
    assert check["sub_indication"] != "POLICY_PROCESSING_ERROR"


def test_a_job_that_waited_too_long_fails_visibly_and_is_retried(house: House) -> None:
    office = house.office
    engine = office.services.engine
    document = office.to_approved(office.draft())
    job_id = str(office.fire(LEADER, document, "sign").job_id)
    with house.away(), started(engine):
        engine._running._patient_attempts = 2  # type: ignore[union-attr]
        failed = settled(engine, job_id, "failed")
    assert failed.attempts == 2
    row = office.row(document)
    assert (row["stage"], row["pending"]["failed"]) == ("failed", True)
    assert row["pending"]["error"] == failed.error  # told, although no details could be sealed
    with started(engine):
        failures.retry(office.services.desk, engine, office.actor(ADMINISTRATOR), job_id)
        settled(engine, job_id, "done")
    assert office.row(document)["state"] == "signed"
    is_whole(office)


@pytest.fixture
def ending(tmp_path: Path, offices: Offices, clock: ManualClock) -> tuple[House, str, str]:
    """An office with a released sealed document whose time stamp ends soon: the stamp and its job."""
    keys = mounted_keys(tmp_path)
    office = offices(
        tsas=("tsa-ending", "tsa-second"), office_file=sealed_office(tmp_path), job_attempts=2,
        key_provider="mounted", key_mounted_folder=keys,
    )  # fmt: skip
    give(office, "STC", opener(clock))
    document = office.to_released(office.draft())
    clock.advance(timedelta(days=60))
    assert office.services.keeper.run() == 1
    (stamp,) = office.rows("archive_stamps")
    return House(office, keys), document, f"archive-{stamp['id']}"


def test_the_renewal_of_an_archive_time_stamp_waits(ending: tuple[House, str, str]) -> None:
    house, _, job_id = ending
    waits_and_goes_on(house, job_id, lambda: house.office.job(job_id).error)
    states = {row["number"]: row["state"] for row in house.office.rows("archive_stamps")}
    assert states == {1: "renewed", 2: "current"}
    is_whole(house.office)


def test_a_renewal_that_waited_too_long_says_so_and_is_begun_again(
    ending: tuple[House, str, str], clock: ManualClock
) -> None:
    house, document, job_id = ending
    office, engine = house.office, house.office.services.engine
    with house.away(), started(engine):
        engine._running._patient_attempts = 2  # type: ignore[union-attr]
        settled(engine, job_id, "failed")
    (stamp,) = office.rows("archive_stamps")
    assert stamp["state"] == "failed"
    assert stamp["next_at"] is not None
    assert "Confidential items" in stamp["error"]
    told = [row["action"] for row in office.rows("history_entries", subject_id=document)]
    assert told.count("document.archive-failed") == 1
    clock.advance(timedelta(days=2))
    with started(engine):
        office.services.keeper.run()
        settled(engine, job_id, "done")
    is_whole(office)


def test_what_is_classified_anew_is_sealed_anew_when_the_keys_are_back(house: House) -> None:
    office = house.office
    document = office.draft(classification="public")
    version = office.row(document)["version"]
    reclassify.raise_classification(
        office.services.desk, office.actor(SPECIALIST), document, "internal",
        reason="Có số liệu.", if_version=version,
    )  # fmt: skip
    (job,) = (row for row in office.rows("jobs", subject_id=document) if row["kind"] == "reseal")
    waits_and_goes_on(house, job["id"], lambda: office.job(job["id"]).error)
    is_whole(office)
