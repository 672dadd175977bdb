"""The fault table of a card that signs a PDF and an annex that is none: each write, failed before or after.

As `test_card_faults`: whatever dies when, each file is signed once by the card, all or none, and one
container is released. The second person's table has a signature file of another beside the annex.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.release import card_sessions
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.outside.fetching import FetchError
from docflow.signing.report import PASSED
from tests.card_support import Card, answer_session, give
from tests.container_support import JOINT, TABLE, container_office, pki_office, with_annexes
from tests.crash.test_card_faults import answer, enrolled
from tests.crash.test_release_faults import Crash, Fault, _faulty, _run, _run_through_fault
from tests.levels_support import card_of
from tests.office_support import CLERK, HEAD, LEADER, Instance
from tests.pki_support import LivePki
from tests.sealed_support import stored

# two files are staged, one PDF is prepared (an annex stays as it is stored), and both are signed
_LAST = {
    "card": {"store": 3, "commit": 2},
    "answer": {"commit": 1},
    "embed": {"store": 2, "commit": 2},
}
_SECOND = {"card": {"store": 1, "commit": 2}, "embed": {"store": 2, "commit": 2}}
# at B-LT `embed`, cold, asks for a sample, about three certificates, and for one token for each file
_OUTSIDE = {"card": {"request": 1}, "embed": {"request": 6}}
_BOTH = (Crash, UnavailableError)


def table(
    last: dict[str, dict[str, int]], errors: tuple[type[BaseException], ...] = _BOTH
) -> list[object]:
    """Every write and request of each phase, and one more that is not reached."""
    return [
        pytest.param(phase, where, nth, persisted, error,
                     id=f"{phase}-{where}{nth}-{'after' if persisted else 'before'}-{error.__name__}")
        for phase, writes in last.items()
        for where, most in writes.items()
        for nth in range(1, most + 2)
        for persisted in (False, True)
        for error in errors
    ]  # fmt: skip


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = container_office(tmp_path, prepared, clock)
    yield made
    made.close()


def through(
    office: Instance, document: str, trigger: str, card: Card, phase: str, fault: Fault
) -> bool:
    """Carry a transition with the card, with the fault in one phase; tell whether it was reached."""
    session_id = str(office.fire(LEADER, document, trigger).job_id)
    none = Fault("nowhere", 1, False, Crash)
    _run_through_fault(office, session_id, fault if phase == "card" else none)
    leader = office.actor(LEADER)
    given = answer(office, office.services.studio, session_id, card)
    if phase == "answer":
        studio = _faulty(office, fault)
        try:
            card_sessions.answer(studio, leader, session_id, given)
        except (Crash, UnavailableError):
            pass
        finally:
            studio.desk.database.dispose()
    card_sessions.answer(office.services.studio, leader, session_id, given)
    embed = session_id.replace("card-", "embed-")
    _run_through_fault(office, embed, fault if phase == "embed" else none)
    assert card_sessions.show(office.services.studio, leader, session_id).state == "done"
    return fault.fired


def verify(office: Instance, document: str, persons: int = 1) -> None:
    """Each file signed once by each person, and one whole release."""
    signed = office.rows("files", document_id=document, form="signed", current=True)
    assert sorted(row["role"] for row in signed) == ["annex", "main"]
    uses = office.rows("certificate_uses", document_id=document)
    assert len(uses) == 2 * persons
    assert {row["sha256"] for row in signed} <= {use["sha256"] for use in uses}
    actions = office.actions(document)
    assert [actions.count(f"document.{one}") for one in ("prepared", "session-answered")] == [1, 1]
    assert actions.count("document.signed") == persons
    office.run(office.fire(CLERK, document, "release"))
    row = office.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("released", None, None)
    (container,) = [
        one for one in office.rows("files", document_id=document)
        if one["media_type"] == CONTAINER_TYPE
    ]  # fmt: skip
    copy = office.folder / "copy.asice"
    copy.write_bytes(stored(office, container))
    report = office.services.studio.verifier.report(copy, now=office.services.clock.now())
    assert report.indication == PASSED
    copy.unlink()
    assert office.findings() == ()


@pytest.mark.parametrize(("phase", "where", "nth", "persisted", "error"), table(_LAST))
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    office: Instance, phase: str, where: str, nth: int, persisted: bool, error: type[BaseException]
) -> None:
    card = enrolled(office)
    document = office.to_approved(with_annexes(office, TABLE))
    fault = Fault(where, nth, persisted, error)
    assert through(office, document, "sign", card, phase, fault) == (nth <= _LAST[phase][where])
    verify(office, document)


@pytest.mark.parametrize(("phase", "where", "nth", "persisted", "error"), table(_SECOND, (Crash,)))
def test_a_fault_at_any_write_of_the_second_person_changes_nothing_in_the_end(
    office: Instance, phase: str, where: str, nth: int, persisted: bool, error: type[BaseException]
) -> None:
    card = enrolled(office)
    document = office.to_approved(with_annexes(office, TABLE, workflow=JOINT))
    office.run(office.fire(HEAD, document, "sign_as_head"))
    fault = Fault(where, nth, persisted, error)
    reached = through(office, document, "countersign_as_leader", card, phase, fault)
    assert reached == (nth <= _SECOND[phase][where])
    verify(office, document, persons=2)


@pytest.mark.parametrize(
    ("phase", "where", "nth", "persisted", "error"), table(_OUTSIDE, (Crash, FetchError))
)
def test_a_fault_at_any_step_to_a_higher_level_changes_nothing_in_the_end(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki, phase: str, where: str,
    nth: int, persisted: bool, error: type[BaseException],
) -> None:  # fmt: skip
    office = pki_office(tmp_path, prepared, clock, pki)
    try:
        card = give(office, card_of(pki))
        document = office.to_approved(with_annexes(office, TABLE))
        fault = Fault(where, nth, persisted, error)
        reached = through(office, document, "sign", card, phase, fault)
        assert reached == (nth <= _OUTSIDE[phase][where])
        steps = office.rows("signature_steps", document_id=document, step="signed")
        assert sorted(one["evidence"]["level"] for one in steps) == ["B-LT", "B-LT"]
        verify(office, document)
    finally:
        office.close()


def test_a_crash_between_two_time_stamps_leaves_no_file_signed(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = pki_office(tmp_path, prepared, clock, pki)
    try:
        card = give(office, card_of(pki))
        document = office.to_approved(with_annexes(office, TABLE))
        session_id = str(office.fire(LEADER, document, "sign").job_id)
        office.run_job(session_id)
        embed = answer_session(office, session_id, card)
        studio = _faulty(office, Fault("request", 6, True, Crash))  # the PDF has its stamp by then
        with pytest.raises(Crash):
            _run(office, studio, embed, {})
        studio.desk.database.dispose()
        assert not office.rows("signature_steps", document_id=document, step="signed")
        assert not office.rows("files", document_id=document, form="signed")
        assert not office.rows("certificate_uses", document_id=document)
        office.run_job(embed)
        verify(office, document)
    finally:
        office.close()
