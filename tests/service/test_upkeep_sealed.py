"""The sweeper and the scan on sealed files: nothing is opened, everything is held to its digests."""

import os
from datetime import timedelta

import pytest

from docflow.documents import change
from docflow.kernel.clock import ManualClock
from docflow.upkeep.scan import Scanned
from tests.office_support import AUDITOR, CLERK, HEAD, LEADER, SPECIALIST, Instance
from tests.service.test_sealed_documents import run_reseal


@pytest.fixture
def office(instance: Instance) -> Instance:
    instance.clear(SPECIALIST, HEAD, LEADER, CLERK, AUDITOR)
    return instance


def scan(office: Instance) -> Scanned:
    return office.services.upkeep.scanner.run_on(anew=True)


def test_a_sealed_document_is_whole_and_damage_to_it_is_found(office: Instance) -> None:
    document = office.to_signed(office.sealed_draft())
    done = scan(office)
    assert (done.found, done.finished) == (0, True)
    assert done.objects >= 3
    row = office.rows("files", document_id=document, form="signed")[0]
    path = office.folder / "store" / row["storage_key"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    assert scan(office).found == 2
    assert {finding["kind"] for finding in office.rows("storage_findings")} == {"damaged"}


def test_what_was_sealed_anew_is_swept_and_the_new_object_stays(
    office: Instance, clock: ManualClock
) -> None:
    document = office.draft()
    old = office.rows("files", document_id=document)[0]["storage_key"]
    changes = {"classification": "confidential"}
    version = office.row(document)["version"]
    desk, author = office.services.desk, office.actor(SPECIALIST)
    change.edit(desk, author, document, changes, if_version=version)
    run_reseal(office, document)
    new = office.rows("files", document_id=document)[0]["storage_key"]
    assert old != new
    assert scan(office).found == 0
    for path in (office.folder / "store" / "files").rglob("*"):
        os.utime(path, (clock.now().timestamp(),) * 2)
    for _ in range(3):
        clock.advance(timedelta(hours=25))
        office.services.upkeep.sweeper.run()
    assert office.services.store.size(old) is None
    assert office.services.store.size(new) is not None
    assert scan(office).found == 0
