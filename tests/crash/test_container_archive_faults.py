"""The fault table of a container for the long term: its release at B-LTA, and its renewal.

Each question to an authority or a responder and each write, failed before or after it was answered or
persisted: in the end there is one container with one archive time stamp, renewed once.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.release import archive
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.outside.fetching import FetchError
from docflow.signing.report import PASSED
from docflow.signing.verifying.dispatch import verify_any
from tests.container_support import TABLE, pki_office, with_annexes
from tests.crash.test_release_faults import Crash, Fault, _run_through_fault
from tests.office_support import CLERK, LEADER, Instance
from tests.pki_support import LivePki
from tests.sealed_support import stored

# The release, cold, asks for a sample token, about four certificates (one list of the root's), for two
# tokens of the PDF and two of the container; its writes are in the table of `test_container_faults`. The
# renewal asks for a sample of the authority that ends and of the next, about three, and for a token.
_LAST = {
    "release": {"request": 9},
    "renewal": {"request": 6, "store": 1, "commit": 1},
}
_FAULTS = [
    pytest.param(phase, where, nth, persisted, error,
                 id=f"{phase}-{where}{nth}-{'after' if persisted else 'before'}-{error.__name__}")
    for phase, writes in _LAST.items()
    for where, last in writes.items()
    for nth in range(1, last + 2)
    for persisted, error in (
        (False, FetchError if where == "request" else UnavailableError), (True, Crash)
    )
]  # fmt: skip


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Instance]:
    made = pki_office(
        tmp_path, prepared, clock, pki, seal="B-LTA", tsas=("tsa-ending", "tsa-second")
    )
    yield made
    made.close()


@pytest.mark.parametrize(("phase", "where", "nth", "persisted", "error"), _FAULTS)
def test_a_fault_at_any_step_changes_nothing_in_the_end(
    office: Instance, clock: ManualClock, phase: str, where: str, nth: int, persisted: bool,
    error: type[BaseException],
) -> None:  # fmt: skip
    document = office.to_approved(with_annexes(office, TABLE))
    office.run(office.fire(LEADER, document, "sign"))
    fault, none = Fault(where, nth, persisted, error), Fault("nowhere", 1, False, Crash)
    asked = str(office.fire(CLERK, document, "release").job_id)
    reached = _run_through_fault(office, asked, fault if phase == "release" else none)
    file = _released(office, document)
    if phase == "renewal":
        clock.advance(timedelta(days=30))
        assert office.services.keeper.run() == 2  # the PDF's and the container's
        (first,) = office.rows("archive_stamps", file_id=file["id"])
        reached = _run_through_fault(office, archive.job_of(first), fault)
        assert [one["state"] for one in _stamps(office, file)] == ["renewed", "current"]
        _judge(office, _stamps(office, file)[1])
    assert reached == (nth <= _LAST[phase][where])


def _released(office: Instance, document: str) -> dict[str, Any]:
    """Return the one container that was released, after a look at everything about it."""
    row = office.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("released", None, None)
    files = office.rows("files", document_id=document)
    (container,) = [one for one in files if one["media_type"] == CONTAINER_TYPE]
    (stamp,) = _stamps(office, container)
    assert (stamp["number"], stamp["state"]) == (1, "current")
    assert stamp["sha256"] == container["sha256"]
    _judge(office, container)
    assert len(office.rows("deliveries", document_id=document)) == 1
    assert office.actions(document).count("document.contained") == 1
    assert office.findings() == ()
    return container


def _stamps(office: Instance, file: dict[str, Any]) -> list[dict[str, Any]]:
    found = office.rows("archive_stamps", file_id=file["id"])
    return sorted(found, key=lambda row: row["number"])


def _judge(office: Instance, row: dict[str, Any]) -> None:
    copy = office.folder / "copy.asice"
    copy.write_bytes(stored(office, row))
    own = office.services.studio.signers.own_roots
    report = verify_any(copy, own, now=office.services.clock.now(), own_roots=own)
    assert (report.indication, report.signatures[0].level) == (PASSED, "B-LTA")
    copy.unlink()
