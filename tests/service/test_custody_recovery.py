"""The recovery copy is released only to who asked, by two people, for a time; each use is recorded."""

import dataclasses
from datetime import timedelta

import pytest

from docflow.custody import notices, recovery
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError, NotFoundError
from docflow.people.openers import Openers
from docflow.signing.certificates import EncryptionCertificate
from tests.custody_support import (
    LEADER,
    OTHER_LEADER,
    OUTSIDER,
    SPECIALIST,
    UNCLEARED_CLERK,
    Keeping,
)
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, HEAD, Instance
from tests.sealed_support import give, opener, plaintext, stored


def ask(keeping: Keeping, document: str, login: str = CLERK) -> str:
    return recovery.ask(keeping.custody, keeping.actor(login), document, reason="Mất khóa")


def approve(keeping: Keeping, login: str, request: str) -> None:
    recovery.approve(keeping.custody, keeping.actor(login), request, "Đồng ý")


def use(keeping: Keeping, document: str, request: str, login: str = CLERK) -> None:
    actor = keeping.actor(login)
    with keeping.instance.database.unit_of_work(actor) as uow:
        assert recovery.require_approved(uow, actor, request)[0] == document


def test_two_people_release_it_to_who_asked_for_a_time(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = ask(keeping, document)
    with pytest.raises(ConflictError) as caught:
        use(keeping, document, request)
    assert caught.value.code == "not-approved"
    approve(keeping, LEADER, request)
    for _ in range(2):
        use(keeping, document, request)
    actions = [action for action, _ in keeping.history(document)]
    assert [action for action in actions if "recovery" in action] == [
        "document.recovery-asked",
        "document.recovery-approved",
    ]
    steps = [action for action, _ in keeping.history(request)]
    assert steps[-2:] == ["custody_request.used"] * 2
    found = notices.find(keeping.instance.database, keeping.actor(SPECIALIST))
    assert [notice.kind for notice in found] == ["recovery-opened"]
    keeping.clock.advance(timedelta(hours=24))
    with pytest.raises(ForbiddenError) as over:
        use(keeping, document, request)
    assert over.value.code == "recovery-over"


def test_it_is_for_who_asked_only(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = ask(keeping, document)
    approve(keeping, LEADER, request)
    for login in (HEAD, LEADER, OTHER_LEADER):
        with pytest.raises(NotFoundError) as caught:
            use(keeping, document, request, login)
        assert caught.value.code == "recovery-not-found"


def test_who_is_cleared_no_more_gets_nothing(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = ask(keeping, document)
    approve(keeping, LEADER, request)
    keeping.instance.services.clearances.revoke(keeping.actor(ADMINISTRATOR), keeping.ids[CLERK])
    with pytest.raises(NotFoundError):
        use(keeping, document, request)


@pytest.mark.parametrize("login", [CLERK, HEAD, LEADER])
def test_nobody_releases_it_alone(keeping: Keeping, login: str) -> None:
    request = ask(keeping, keeping.confidential(), login)
    with pytest.raises(ForbiddenError) as caught:
        approve(keeping, login, request)
    assert caught.value.rule == "second-person"


@pytest.mark.parametrize(
    ("login", "kind"),
    [(SPECIALIST, ForbiddenError), (AUDITOR, ForbiddenError), (UNCLEARED_CLERK, NotFoundError),
     (OUTSIDER, NotFoundError)],
)  # fmt: skip
def test_others_neither_ask_nor_decide(keeping: Keeping, login: str, kind: type[Exception]) -> None:
    document = keeping.confidential()
    with pytest.raises(kind):
        ask(keeping, document, login)
    with pytest.raises(kind):
        approve(keeping, login, ask(keeping, document))


def test_a_refusal_is_told_and_releases_nothing(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = ask(keeping, document)
    recovery.refuse(keeping.custody, keeping.actor(LEADER), request, "Không")
    with pytest.raises(ConflictError):
        use(keeping, document, request)
    found = notices.find(keeping.instance.database, keeping.actor(CLERK))
    assert [notice.kind for notice in found] == ["recovery-refused"]


def test_the_file_that_two_people_released_is_the_one_the_escrow_opens(
    sealed: Instance, clock: ManualClock
) -> None:
    escrow = opener(clock, which=7)
    openers = Openers(recovery=EncryptionCertificate(escrow.certificate))
    desk = dataclasses.replace(sealed.services.desk, openers=openers)
    studio = dataclasses.replace(sealed.services.studio, desk=desk)
    sealed.services = dataclasses.replace(sealed.services, studio=studio)
    give(sealed, "STC", opener(clock))
    document = sealed.to_released(sealed.draft())
    custody, clerk = sealed.services.custody, sealed.actor(CLERK)
    request = recovery.ask(custody, clerk, document, reason="Mất khóa")
    with pytest.raises(ConflictError):
        sealed.services.recoveries.file_to_download(clerk, request)
    recovery.approve(custody, sealed.actor(LEADER), request, "Đồng ý")
    row = sealed.services.recoveries.file_to_download(clerk, request)
    assert plaintext(stored(sealed, row), escrow).startswith(b"%PDF")
    (given,) = [
        entry for entry in sealed.rows("history_entries", subject_id=document)
        if entry["action"] == "document.recovered"
    ]  # fmt: skip
    assert request in given["leaf"]
