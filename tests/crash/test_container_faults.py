"""The fault table of a release in a container: each write × failed before or after it persisted.

As `test_release_faults`, with an annex that is no PDF: whatever dies when, there is one container in the
end, delivered once, and it verifies.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.report import PASSED
from tests.container_support import TABLE, container_office, with_annexes
from tests.crash.test_release_faults import Crash, Fault, _run_through_fault
from tests.office_support import CLERK, LEADER, Instance
from tests.sealed_support import stored

# the person's job writes two staged and two signed objects; the release a sealed PDF and a container
_LAST = {"sign": {"store": 4, "commit": 3}, "release": {"store": 2, "commit": 5}}
_FAULTS = [
    pytest.param(kind, where, nth, persisted, error,
                 id=f"{kind}-{where}{nth}-{'after' if persisted else 'before'}-"
                 f"{'crash' if error is Crash else 'error'}")
    for kind, writes in _LAST.items()
    for where, last in writes.items()
    for nth in range(1, last + 2)
    for persisted in (False, True)
    for error in (Crash, UnavailableError)
]  # fmt: skip


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = container_office(tmp_path, prepared, clock)
    yield made
    made.close()


@pytest.mark.parametrize(("kind", "where", "nth", "persisted", "error"), _FAULTS)
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    office: Instance, kind: str, where: str, nth: int, persisted: bool, error: type[BaseException]
) -> None:
    document = office.to_approved(with_annexes(office, TABLE))
    fault = Fault(where, nth, persisted, error)
    reached = False
    for step, login, trigger in (("sign", LEADER, "sign"), ("release", CLERK, "release")):
        asked = office.fire(login, document, trigger)
        if step == kind:
            reached = _run_through_fault(office, str(asked.job_id), fault)
        else:
            office.run(asked)
    assert reached == (nth <= _LAST[kind][where])
    _verify(office, document)


def _verify(office: Instance, document: str) -> None:
    row = office.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("released", None, None)
    files = office.rows("files", document_id=document)
    assert sorted((f["form"], f["role"], f["current"]) for f in files) == [
        ("original", "annex", True), ("original", "main", True),
        ("released", "annex", True), ("released", "main", True),
        ("signed", "annex", True), ("signed", "main", True),
    ]  # fmt: skip
    (container,) = [f for f in files if f["media_type"] == CONTAINER_TYPE]
    copy = office.folder / "copy.asice"
    copy.write_bytes(stored(office, container))
    report = office.services.studio.verifier.report(copy, now=office.services.clock.now())
    assert report.indication == PASSED
    copy.unlink()
    assert len(office.rows("deliveries", document_id=document)) == 1
    actions = office.actions(document)
    assert actions[-10:] == [
        "document.signing-requested", "document.staged", "document.signed", "document.fired",
        "document.signing-requested", "document.staged", "document.sealed",
        "document.validated", "document.contained", "document.fired",
    ]  # fmt: skip
    assert office.findings() == ()
