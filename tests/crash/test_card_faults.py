"""The fault table of a card's signature: each write × failed before or after it persisted.

Whatever dies when, the document ends with one number, one session that is done, one signature of the
card, and a whole history; see `test_release_faults` for how faults are injected.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docflow.documents import rows
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.release import card_sessions
from docflow.signing.finishing import evidence_apart
from docflow.signing.levels import Level
from docflow.signing.outside.fetching import FetchError
from docflow.signing.strict import validate_person_signed
from tests.card_support import Card, answer_session, give
from tests.crash.test_release_faults import Crash, Fault, _faulty, _run_through_fault
from tests.levels_support import card_of, office_at
from tests.office_support import CLERK, LEADER, Instance
from tests.pki_support import LivePki

_WRITES = {
    "card": [("store", 1), ("store", 2), ("commit", 1), ("commit", 2)],
    "answer": [("commit", 1)],
    "embed": [("store", 1), ("commit", 1), ("commit", 2)],
}
_FAULTS = [
    pytest.param(
        phase, where, nth, persisted, error,
        id=f"{phase}-{where}{nth}-{'after' if persisted else 'before'}-"
        f"{'crash' if error is Crash else 'error'}",
    )
    for phase, writes in _WRITES.items()
    for where, nth in writes
    for persisted in (False, True)
    for error in (Crash, UnavailableError)
]  # fmt: skip


def enrolled(instance: Instance) -> Card:
    """Give the leader a card."""
    now = instance.services.clock.now()
    return give(instance, Card.issue(instance.folder / "pki", "Nguyễn Hữu Sơn", now))


def answer(instance: Instance, studio: Any, session_id: str, card: Card) -> dict[str, str]:
    shown = card_sessions.show(studio, instance.actor(LEADER), session_id)
    return {item.file_id: card.sign_digest(item.offered.to_sign) for item in shown.files}


@pytest.mark.parametrize(("phase", "where", "nth", "persisted", "error"), _FAULTS)
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    instance: Instance,
    phase: str,
    where: str,
    nth: int,
    persisted: bool,
    error: type[BaseException],
) -> None:
    card = enrolled(instance)
    document = instance.to_approved(instance.draft())
    asked = instance.fire(LEADER, document, "sign")
    session_id = str(asked.job_id)
    fault = Fault(where, nth, persisted, error)
    none = Fault("nowhere", 1, False, error)
    _run_through_fault(instance, session_id, fault if phase == "card" else none)
    given = answer(instance, instance.services.studio, session_id, card)
    leader = instance.actor(LEADER)
    if phase == "answer":
        studio = _faulty(instance, fault)
        with pytest.raises((Crash, UnavailableError)):
            card_sessions.answer(studio, leader, session_id, given)
        studio.desk.database.dispose()
    card_sessions.answer(instance.services.studio, leader, session_id, given)
    embed = session_id.replace("card-", "embed-")
    _run_through_fault(instance, embed, fault if phase == "embed" else none)
    assert fault.fired
    verify(instance, document, session_id)
    instance.run(instance.fire(CLERK, document, "release"))
    assert instance.row(document)["state"] == "released"


# At B-LT `card` asks for a sample token. `embed`, cold, asks for another, then about the authority, the
# card and the authorities above both (one CRL of the root's), then for the token: each a "request".
_OUTSIDE: dict[str, list[tuple[str, int]]] = {
    "card": [("request", 1), ("store", 1), ("store", 2), ("commit", 1), ("commit", 2)],
    "embed": [*(("request", nth) for nth in range(1, 6)),
              ("store", 1), ("commit", 1), ("commit", 2)],
}  # fmt: skip
_LEVEL_FAULTS = [
    pytest.param(
        phase, where, nth, persisted, error,
        id=f"{phase}-{where}{nth}-{'after' if persisted else 'before'}-{error.__name__}",
    )
    for phase, steps in _OUTSIDE.items()
    for where, nth in steps
    for persisted in (False, True)
    for error in ((Crash, FetchError) if where == "request" else (Crash, UnavailableError))
]  # fmt: skip


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Instance]:
    """An instance whose leader signs with a card at B-LT."""
    made = office_at(tmp_path, prepared, clock, pki, person="level: B-LT")
    give(made, card_of(pki))
    yield made
    made.close()


@pytest.mark.parametrize(("phase", "where", "nth", "persisted", "error"), _LEVEL_FAULTS)
def test_a_fault_at_any_step_to_a_higher_level_changes_nothing_in_the_end(
    office: Instance, pki: LivePki, phase: str, where: str, nth: int, persisted: bool,
    error: type[BaseException],
) -> None:  # fmt: skip
    document = office.to_approved(office.draft())
    session_id = str(office.fire(LEADER, document, "sign").job_id)
    fault = Fault(where, nth, persisted, error)
    none = Fault("nowhere", 1, False, error)
    _run_through_fault(office, session_id, fault if phase == "card" else none)
    embed = answer_session(office, session_id, card_of(pki))
    _run_through_fault(office, embed, fault if phase == "embed" else none)
    assert fault.fired
    verify(office, document, session_id, level="B-LT")
    assert pki.asked("/tsa/") >= 1
    office.run(office.fire(CLERK, document, "release"))
    assert office.row(document)["state"] == "released"


def test_the_table_of_outside_steps_is_whole(office: Instance, pki: LivePki) -> None:
    document = office.to_approved(office.draft())
    session_id = str(office.fire(LEADER, document, "sign").job_id)
    counted = {}
    for phase in ("card", "embed"):
        fault = Fault("request", 99, False, Crash)
        job_id = session_id
        if phase == "embed":
            job_id = answer_session(office, session_id, card_of(pki))
        assert not _run_through_fault(office, job_id, fault)
        counted[phase] = fault.seen
    listed = {
        phase: max(nth for where, nth in steps if where == "request")
        for phase, steps in _OUTSIDE.items()
    }
    assert counted == listed


def verify(instance: Instance, document: str, session_id: str, level: Level = "B-B") -> None:
    row = instance.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("signed", None, None)
    assert [e["number"] for e in instance.rows("register_entries", document_id=document)] == [1]
    (session,) = instance.rows("signing_sessions", document_id=document)
    assert (session["id"], session["state"]) == (session_id, "done")
    (use,) = instance.rows("certificate_uses", document_id=document)
    (signed,) = [f for f in instance.rows("files", document_id=document) if f["form"] == "signed"]
    assert use["sha256"] == signed["sha256"]
    copy = instance.folder / "verify.pdf"
    with instance.services.store.open(signed["storage_key"]) as stored:
        copy.write_bytes(stored.read())
    validate_person_signed(
        copy,
        instance.services.studio.signers.own_roots,
        person=use["certificate_sha256"],
        now=instance.services.clock.now(),
        level=level,
        evidence_apart=evidence_apart(level),
        timestamp_roots=instance.services.desk.levels.longterm.timestamp_roots,
    )
    actions = instance.actions(document)
    assert actions == [
        "document.posted", "document.fired", "document.fired", "document.signing-requested",
        "document.staged", "document.prepared", "document.session-answered", "document.signed",
        "document.fired",
    ]  # fmt: skip


def test_an_answer_that_cannot_be_embedded_fails_visibly_and_is_retried(instance: Instance) -> None:
    from docflow.jobs.model import JobRun
    from docflow.release import failures

    card = enrolled(instance)
    document = instance.to_approved(instance.draft())
    session_id = str(instance.fire(LEADER, document, "sign").job_id)
    none = Fault("nowhere", 1, False, Crash)
    _run_through_fault(instance, session_id, none)
    leader = instance.actor(LEADER)
    given = answer(instance, instance.services.studio, session_id, card)
    card_sessions.answer(instance.services.studio, leader, session_id, given)
    job = JobRun(
        instance.job(session_id.replace("card-", "embed-")), lambda _name, function: function()
    )
    failures.on_failed(instance.services.desk, job, "Der Speicher ist weg.")
    failures.on_failed(instance.services.desk, job, "told twice")
    row = instance.row(document)
    assert (row["stage"], row["pending"]["error"]) == ("failed", "Der Speicher ist weg.")
    shown = card_sessions.show(instance.services.studio, leader, session_id)
    assert (shown.state, shown.error) == ("failed", "Der Speicher ist weg.")
    with instance.database.unit_of_work(SERVICE) as uow:  # what the operator's retry does to it
        failures._wait_again(uow, rows.lock(uow, document), job.job_id)
    _run_through_fault(instance, job.job_id, none)
    assert instance.row(document)["state"] == "signed"
    assert card_sessions.show(instance.services.studio, leader, session_id).state == "done"
