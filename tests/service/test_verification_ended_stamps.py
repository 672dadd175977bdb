"""A time stamp whose algorithm has ended still counts where a later one proves that it is older."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docflow.kernel.clock import ManualClock
from docflow.release import archive
from docflow.signing.archive import renew
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.pades import seal, sign_person
from docflow.signing.report import VerificationReport
from docflow.signing.verifying.dispatch import verify_any
from tests.container_support import TABLE, pki_office, with_annexes
from tests.jobs_support import settled, started
from tests.levels_support import longterm
from tests.office_support import CLERK, LEADER
from tests.pki_support import START, LivePki
from tests.sealed_support import stored
from tests.unit.signing.forge import make_pdf

ENDED = datetime(2030, 1, 1, tzinfo=UTC)
"""A year after RSA of less than 3,000 bits ends by the shipped policy."""


@pytest.fixture
def weak_pki(tmp_path: Path) -> Iterator[LivePki]:
    """A PKI of which the first time-stamp authority has a key that ends in 2029."""
    key = rsa.generate_private_key(65_537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pki = LivePki(tmp_path / "pki", keys={"tsa": pem})
    pki.now = lambda: START
    yield pki
    pki.stop()


def judged(path: Path, pki: LivePki) -> dict[str, tuple[str, str | None]]:
    report: VerificationReport = verify_any(path, pki.roots, now=ENDED, own_roots=pki.roots)
    return {one.field: (one.indication, one.sub_indication) for one in report.signatures}


def test_an_archive_time_stamp_is_judged_when_the_next_one_proves_it(
    weak_pki: LivePki, tmp_path: Path
) -> None:
    pki, first = weak_pki, longterm(weak_pki, "tsa")
    names = [tmp_path / f"{name}.pdf" for name in "abcd"]
    names[0].write_bytes(make_pdf("Điều 1"))
    person, organisation = pki.identity("person", "person"), pki.identity("seal", "organisation")
    sign_person(names[0], names[1], person, now=START, level="B-T", longterm=first)
    seal(names[1], names[2], organisation, now=START, level="B-LTA", longterm=first)
    renew(names[2], names[3], longterm(pki, "tsa-second"), now=START)
    assert judged(names[3], pki) == dict.fromkeys(
        ("Person", "Seal", "Archive1", "Archive2"), ("TOTAL-PASSED", None)
    )
    alone = judged(names[2], pki)["Archive1"]
    assert alone == ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE")


def test_so_is_one_of_a_container(
    weak_pki: LivePki, tmp_path: Path, prepared: Path, clock: ManualClock
) -> None:
    folder = tmp_path / "office"
    folder.mkdir()
    office = pki_office(
        folder, prepared, clock, weak_pki, seal="B-LTA", tsas=("tsa", "tsa-second"),
    )  # fmt: skip
    try:
        document = office.to_approved(with_annexes(office, TABLE))
        office.run(office.fire(LEADER, document, "sign"))
        office.run(office.fire(CLERK, document, "release"))
        rows = office.rows("files", document_id=document, form="released", current=True)
        (file,) = [row for row in rows if row["media_type"] == CONTAINER_TYPE]
        path = tmp_path / "renewed.asice"
        clock.advance(datetime(2028, 12, 1, tzinfo=UTC) - START)
        with started(office.services.engine):
            office.services.keeper.run()
            (stamp,) = office.rows("archive_stamps", file_id=file["id"], number=1)
            settled(office.services.engine, archive.job_of(stamp), "done")
        (new,) = office.rows("archive_stamps", file_id=file["id"], number=2)
        path.write_bytes(stored(office, new))
    finally:
        office.close()
    found = judged(path, weak_pki)
    assert len(found) == 3
    assert set(found.values()) == {("TOTAL-PASSED", None)}
