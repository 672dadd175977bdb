"""The fault table of a confidential release: each write × failed before or after it persisted.

As `test_release_faults`, with a sealed document and two recipients: whatever dies when, each of them
ends up with exactly one encrypted file, which opens to exactly the released one.
"""

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from tests.crash.test_release_faults import Crash, Fault, _run_through_fault
from tests.envelope_support import Recipient
from tests.office_support import CLERK, Instance
from tests.sealed_support import give, opener, plaintext, stored

# one object and an entry for each recipient more than the release of an open document
_STEPS = [("store", n) for n in (1, 2, 3, 4)] + [("commit", n) for n in (1, 2, 3, 4, 5, 6, 7)]
_LAST = {"store": 3, "commit": 6}
_FAULTS = [
    pytest.param(where, nth, persisted, error, id=f"{where}{nth}-{'after' if persisted else 'before'}-"
                 f"{'crash' if error is Crash else 'error'}")
    for where, nth in _STEPS
    for persisted in (False, True)
    for error in (Crash, UnavailableError)
]  # fmt: skip


@pytest.fixture
def openers(sealed: Instance, clock: ManualClock) -> dict[str, Recipient]:
    everyone = {"STC": opener(clock, "rsa"), "SNV": opener(clock, "p256", 1)}
    for code, one in everyone.items():
        give(sealed, code, one)
    return everyone


@pytest.mark.parametrize(("where", "nth", "persisted", "error"), _FAULTS)
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    sealed: Instance,
    openers: dict[str, Recipient],
    where: str,
    nth: int,
    persisted: bool,
    error: type[BaseException],
) -> None:
    document = sealed.to_signed(sealed.draft(recipients=["STC", "SNV"]))
    release = sealed.fire(CLERK, document, "release")
    assert release.job_id is not None
    fault = Fault(where, nth, persisted, error)
    reached = _run_through_fault(sealed, release.job_id, fault)
    assert reached == (nth <= _LAST[where])
    _verify(sealed, document, openers)


def _verify(instance: Instance, document: str, openers: dict[str, Recipient]) -> None:
    row = instance.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("released", None, None)
    (released,) = [
        f for f in instance.rows("files", document_id=document) if f["form"] == "released"
    ]
    signed = stored(instance, released)
    deliveries = instance.rows("deliveries", document_id=document)
    assert len(deliveries) == len(openers)
    codes = {one["id"]: one["code"] for one in instance.rows("recipients")}
    for delivery in deliveries:
        (file,) = instance.rows("delivery_files", delivery_id=delivery["id"])
        assert file["recipient_id"] == delivery["recipient_id"]
        assert plaintext(stored(instance, file), openers[codes[delivery["recipient_id"]]]) == signed
    assert len(instance.rows("delivery_files", document_id=document)) == len(openers)
    actions = instance.actions(document)
    assert actions[-7:] == [
        "document.signing-requested", "document.staged", "document.sealed", "document.validated",
        "document.encrypted", "document.encrypted", "document.fired",
    ]  # fmt: skip
    assert instance.findings() == ()
