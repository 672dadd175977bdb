"""A leader signs 200 documents in one act; the service dies in the middle, and goes on."""

import sys
import time

import pytest

from docflow.jobs.model import JobRun
from docflow.release import batches
from docflow.release.batches import MOST_DOCUMENTS, Wanted
from tests.crash.test_release_faults import Crash, Fault, _faulty, _run_through_fault
from tests.office_support import LEADER, Instance

pytestmark = pytest.mark.slow


def test_a_batch_of_200_is_signed_whole_though_the_service_dies_in_the_middle(
    instance: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [instance.to_approved(instance.draft()) for _ in range(MOST_DOCUMENTS)]
    services, leader = instance.services, instance.actor(LEADER)
    wanted = [Wanted(one, instance.row(one)["version"], "sign", None) for one in ids]
    batch = batches.authorise(services.studio, leader, wanted)

    def execution() -> JobRun:
        return JobRun(instance.job(f"{batches.KIND}-{batch}"), lambda _name, function: function())

    started = time.perf_counter()
    # each document takes two commits: dead when the 101st was fired, and nobody noted that it was
    studio = _faulty(instance, Fault("commit", MOST_DOCUMENTS + 1, True, Crash))
    with pytest.raises(Crash):
        batches.run(studio, services.authenticator, execution())
    studio.desk.database.dispose()
    states = [item["state"] for item in batches.show(services.studio, leader, batch).items]
    assert (states.count("signing"), states.count("waiting")) == (100, 100)
    batches.run(services.studio, services.authenticator, execution())
    fired = time.perf_counter() - started

    items = batches.show(services.studio, leader, batch).items
    assert {item["state"] for item in items} == {"signing"}
    started = time.perf_counter()
    for number, item in enumerate(items):
        if number == MOST_DOCUMENTS // 2:
            _run_through_fault(instance, item["job_id"], Fault("store", 2, True, Crash))
        else:
            instance.run_job(item["job_id"])
    signed = time.perf_counter() - started

    items = batches.show(services.studio, leader, batch).items
    assert {item["state"] for item in items} == {"signed"}
    uses = instance.rows("certificate_uses", role="person")
    assert sorted(use["document_id"] for use in uses) == sorted(ids)  # once for each
    files = instance.rows("files", form="signed")
    assert sorted(file["document_id"] for file in files) == sorted(ids)
    assert len({file["sha256"] for file in files}) == MOST_DOCUMENTS
    with capsys.disabled():
        sys.stdout.write(
            f"\n{MOST_DOCUMENTS} documents: fired in {fired:.1f} s, signed in {signed:.1f} s\n"
        )
