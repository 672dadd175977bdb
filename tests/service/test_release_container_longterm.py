"""Releases in a container that stand for decades: made by the real jobs, renewed, judged then."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import OutsideUnavailableError
from docflow.release import archive, standing
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.manifest import ARCHIVE, MANIFEST, SIGNATURE, token
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.dispatch import verify_any
from tests.archive_support import openssl_stamped
from tests.container_support import TABLE, opened, openssl_verifies, pki_office, with_annexes
from tests.jobs_support import settled, started
from tests.office_support import ADMINISTRATOR, CLERK, LEADER, Instance
from tests.pki_support import START, LivePki
from tests.sealed_support import give, opener, plaintext, sealed_office, stored
from tests.verification_support import Maker

SAFE_TABLE = "Bảng số liệu_ quý 4_.csv"
Offices = Callable[..., Instance]


@pytest.fixture
def offices(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Offices]:
    """Make instances that seal at B-LTA with the living PKI."""
    made: list[Instance] = []

    def make(**options: Any) -> Instance:
        folder = tmp_path / f"office{len(made)}"
        folder.mkdir()
        options = {"seal": "B-LTA", "tsas": ("tsa-ending", "tsa-second")} | options
        made.append(pki_office(folder, prepared, clock, pki, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def released(office: Instance, **values: Any) -> str:
    document = office.to_approved(with_annexes(office, TABLE, **values))
    office.run(office.fire(LEADER, document, "sign"))
    office.run(office.fire(CLERK, document, "release"))
    return document


def container_of(office: Instance, document: str) -> dict[str, Any]:
    rows = office.rows("files", document_id=document, form="released", current=True)
    (found,) = [row for row in rows if row["media_type"] == CONTAINER_TYPE]
    return found


def stamps_of(office: Instance, file: dict[str, Any]) -> list[dict[str, Any]]:
    found = office.rows("archive_stamps", file_id=file["id"])
    return sorted(found, key=lambda row: row["number"])


def renew(office: Instance, file: dict[str, Any]) -> None:
    """Let the duty find what is due, and the job renew it."""
    (first,) = stamps_of(office, file)
    with started(office.services.engine):
        assert office.services.keeper.run() == 2  # the PDF's and the container's
        settled(office.services.engine, archive.job_of(first), "done")
        for stamp in office.rows("archive_stamps", number=1):
            settled(office.services.engine, archive.job_of(stamp), "done")


def test_a_release_at_b_lta_waits_for_what_is_away_and_each_part_is_good_for_openssl(
    offices: Offices, pki: LivePki, tmp_path: Path
) -> None:
    office = offices(tsas=("tsa",))
    document = office.to_approved(with_annexes(office, TABLE))
    office.run(office.fire(LEADER, document, "sign"))
    asked = office.fire(CLERK, document, "release")
    with pki.fails("/tsa/", "away"), pytest.raises(OutsideUnavailableError):
        office.run(asked)
    assert office.rows("files", document_id=document, form="released") == []
    office.run_job(str(asked.job_id))
    file = container_of(office, document)
    members, roots = opened(stored(office, file), tmp_path), pki.pem("root")
    assert list(members)[-4:] == [MANIFEST, SIGNATURE, ARCHIVE, token(1)]
    assert "successful" in openssl_verifies(members[SIGNATURE], members[MANIFEST], roots)
    assert "successful" in openssl_verifies(
        members[f"{SAFE_TABLE}.p7s"], members[SAFE_TABLE], roots
    )
    stamp, stamped = members[token(1)].read_bytes(), members[ARCHIVE].read_bytes()
    assert "OK" in openssl_stamped(tmp_path, stamp, stamped, roots)
    steps = office.rows("signature_steps", document_id=document)
    levels = sorted((one["step"], one["evidence"]["level"]) for one in steps
                    if one["step"] in {"signed", "sealed", "contained"})  # fmt: skip
    assert levels == [
        ("contained", "B-LTA"), ("sealed", "B-LTA"), ("signed", "B-LT"), ("signed", "B-LT"),
    ]  # fmt: skip
    assert [row["sha256"] for row in stamps_of(office, file)] == [file["sha256"]]
    assert office.findings() == ()


@pytest.mark.parametrize("person", ["B-LT", "B-B"])
def test_a_container_is_renewed_in_time_and_stands_for_decades(
    offices: Offices, clock: ManualClock, pki: LivePki, tmp_path: Path, person: str
) -> None:
    office = offices(person=person)
    document = released(office)
    file = container_of(office, document)
    clock.advance(timedelta(days=30))
    renew(office, file)
    old, new = stamps_of(office, file)
    assert (old["state"], new["state"], new["authority"]) == ("renewed", "current", "tsa-second")
    assert hashlib.sha256(stored(office, file)).hexdigest() == old["sha256"]  # it stays
    content = stored(office, new)
    assert hashlib.sha256(content).hexdigest() == new["sha256"]
    path = tmp_path / "renewed.asice"
    path.write_bytes(content)
    report = verify_any(path, pki.roots, now=START.replace(year=2038), own_roots=TrustRoots(()))
    assert (report.indication, report.signatures[0].level) == ("TOTAL-PASSED", "B-LTA")
    actions = [
        one["action"] for one in office.rows("history_entries", subject_id=document)
        if one["action"].startswith("document.archive")
    ]  # fmt: skip
    assert sorted(actions) == ["document.archive-due"] * 2 + ["document.archive-stamped"] * 2
    shown = standing.stamps(
        office.services.desk, office.actor(ADMINISTRATOR), state="current", after=None, limit=9
    )
    assert new["id"] in [row["id"] for row in shown]
    sent = standing.stamped_file(office.services.desk, office.actor(CLERK), new["id"])
    assert (sent["media_type"], sent["sha256"]) == (CONTAINER_TYPE, new["sha256"])
    assert standing.counts(office.services.keeper)["ending"] == 0
    assert office.findings() == ()


def test_a_strangers_signature_file_is_an_annex_like_others(offices: Offices, pki: LivePki) -> None:
    office = offices(tsas=("tsa",))
    sent_in = Maker(pki).cades(b"elsewhere", label="stranger")
    document = office.to_approved(with_annexes(office, ("hồ sơ.p7s", sent_in)))
    office.run(office.fire(LEADER, document, "sign"))
    office.run(office.fire(CLERK, document, "release"))
    assert len(stamps_of(office, container_of(office, document))) == 1


def test_a_damaged_container_is_not_renewed_and_the_stamp_says_so(
    offices: Offices, clock: ManualClock
) -> None:
    office = offices()
    file = container_of(office, released(office))
    path = next(office.folder.rglob(file["sha256"]))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    clock.advance(timedelta(days=30))
    (first,) = stamps_of(office, file)
    with started(office.services.engine):
        office.services.keeper.run()
        settled(office.services.engine, archive.job_of(first), "failed")
    (only,) = stamps_of(office, file)
    assert (only["state"], only["next_at"]) == ("failed", None)


def test_an_annex_signed_weeks_before_is_released_for_the_long_term(
    offices: Offices, clock: ManualClock, pki: LivePki, tmp_path: Path
) -> None:
    office = offices(tsas=("tsa",))
    document = office.to_approved(with_annexes(office, TABLE))
    office.run(office.fire(LEADER, document, "sign"))
    clock.advance(timedelta(days=60))
    office.run(office.fire(CLERK, document, "release"))
    assert office.row(document)["state"] == "released"
    assert stamps_of(office, container_of(office, document))[0]["stamped_at"] == clock.now()


def test_a_confidential_container_is_encrypted_as_ever_and_its_renewal_stays_sealed(
    offices: Offices, clock: ManualClock, tmp_path: Path
) -> None:
    office = offices(office_file=sealed_office(tmp_path))
    finance = opener(clock, "rsa")
    give(office, "STC", finance)
    document = released(office)
    file = container_of(office, document)
    delivered = office.rows("delivery_files", document_id=document)
    (sent,) = [row for row in delivered if row["name"].endswith(".asice.p7m")]
    assert plaintext(stored(office, sent), finance) == stored(office, file)
    clock.advance(timedelta(days=30))
    renew(office, file)
    _, new = stamps_of(office, file)
    assert opened(stored(office, new), tmp_path)[SAFE_TABLE].read_bytes() == TABLE[1]
    for path in (office.folder / "store").rglob("*"):
        assert not path.is_file() or TABLE[1][:200] not in path.read_bytes()
