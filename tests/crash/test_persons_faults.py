"""The fault table of the second of two persons who sign one file, with a key of the service or a card.

See `test_release_faults` for how faults are injected.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.release import card_sessions
from docflow.signing.strict import Expected, validate_release
from tests.crash.test_card_faults import answer, enrolled
from tests.crash.test_release_faults import Crash, Fault, _run_through_fault
from tests.office_support import CLERK, HEAD, LEADER, Instance
from tests.persons_support import (
    HEAD_FIRST,
    LEADER_FIRST,
    approved,
    persons_office,
    sign_all,
    stored,
)


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = persons_office(tmp_path, prepared, clock)
    yield made
    made.close()


# the second person writes one object (nothing is stamped) and commits three times
_FAULTS = [
    pytest.param(where, nth, persisted, error, id=f"{where}{nth}-{'after' if persisted else 'before'}-"
                 f"{'crash' if error is Crash else 'error'}")
    for where, nth in [("store", 1), ("commit", 1), ("commit", 2), ("commit", 3)]
    for persisted in (False, True)
    for error in (Crash, UnavailableError)
]  # fmt: skip


@pytest.mark.parametrize(("where", "nth", "persisted", "error"), _FAULTS)
def test_a_fault_at_any_write_of_the_second_person_changes_nothing_in_the_end(
    office: Instance, where: str, nth: int, persisted: bool, error: type[BaseException]
) -> None:
    document = approved(office, "outgoing-joint")
    sign_all(office, document, HEAD_FIRST[:1])
    asked = office.fire(LEADER, document, "countersign_as_leader")
    assert _run_through_fault(office, str(asked.job_id), Fault(where, nth, persisted, error))
    verify(office, document, [HEAD, LEADER])


def verify(office: Instance, document: str, signers: list[str]) -> None:
    """One signature of each on the one current file, and then one release."""
    row = office.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("signed", None, None)
    files = office.rows("files", document_id=document)
    assert sorted((f["form"], f["current"]) for f in files) == [
        ("original", True), ("signed", False), ("signed", True),
    ]  # fmt: skip
    uses = office.rows("certificate_uses", document_id=document)
    assert len(uses) == len(signers)
    office.run(office.fire(CLERK, document, "release"))
    path = stored(office, document, "released", office.folder)
    now, known = office.services.clock.now(), office.services.studio.signers
    of = {use["sha256"]: use["certificate_sha256"] for use in uses}
    in_order = sorted((f for f in files if f["form"] == "signed"), key=lambda f: f["current"])
    first, second = (of[file["sha256"]] for file in in_order)
    validate_release(
        path, known.own_roots, person=first, seal=known.seal(now).sha256, now=now,
        others=[Expected(second)],
    )  # fmt: skip
    entries = office.rows("history_entries", subject_id=document)
    actions = office.actions(document)
    assert actions.count("document.signed") == len(signers)
    assert row["history_seq"] + 5 == len(entries)  # the five of the release


_CARD_FAULTS = [
    pytest.param(phase, where, nth, persisted,
                 id=f"{phase}-{where}{nth}-{'after' if persisted else 'before'}")
    for phase, where, nth in [
        ("card", "store", 1), ("card", "commit", 1), ("card", "commit", 2),
        ("embed", "store", 1), ("embed", "commit", 1), ("embed", "commit", 2),
    ]
    for persisted in (False, True)
]  # fmt: skip


@pytest.mark.parametrize(("phase", "where", "nth", "persisted"), _CARD_FAULTS)
def test_a_fault_at_any_write_of_the_second_persons_card_changes_nothing_in_the_end(
    office: Instance, phase: str, where: str, nth: int, persisted: bool
) -> None:
    card = enrolled(office)
    document = approved(office, "outgoing-joint")
    sign_all(office, document, HEAD_FIRST[:1])
    session = str(office.fire(LEADER, document, "countersign_as_leader").job_id)
    fault, none = Fault(where, nth, persisted, Crash), Fault("nowhere", 1, False, Crash)
    _run_through_fault(office, session, fault if phase == "card" else none)
    studio = office.services.studio
    card_sessions.answer(
        studio, office.actor(LEADER), session, answer(office, studio, session, card)
    )
    embed = session.replace("card-", "embed-")
    _run_through_fault(office, embed, fault if phase == "embed" else none)
    assert fault.fired
    verify(office, document, [HEAD, LEADER])


def test_a_card_signs_first_and_a_key_of_the_service_second(office: Instance) -> None:
    card = enrolled(office)
    document = approved(office, "outgoing-joint")
    (_, trigger), second = LEADER_FIRST
    session = str(office.fire(LEADER, document, trigger).job_id)
    none = Fault("nowhere", 1, False, Crash)
    _run_through_fault(office, session, none)
    studio = office.services.studio
    card_sessions.answer(
        studio, office.actor(LEADER), session, answer(office, studio, session, card)
    )
    _run_through_fault(office, session.replace("card-", "embed-"), none)
    sign_all(office, document, [second])
    verify(office, document, [LEADER, HEAD])
