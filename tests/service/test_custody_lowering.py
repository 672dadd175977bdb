"""Lowering a classification takes two people who may; the document is then what it was lowered to."""

from datetime import timedelta

import pytest

from docflow.custody import lowering, notices
from docflow.documents import reclassify
from docflow.documents.queries import show
from docflow.kernel.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tests.custody_support import (
    LEADER,
    MARKER,
    OTHER_LEADER,
    OUTSIDER,
    SPECIALIST,
    UNCLEARED_CLERK,
    Keeping,
)
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, HEAD

WHY = "Đã hết thời hạn bảo mật"


def ask(keeping: Keeping, document: str, login: str = SPECIALIST, to: str = "internal") -> str:
    return lowering.ask(keeping.custody, keeping.actor(login), document, to=to, reason=WHY)


def approve(keeping: Keeping, login: str, request: str) -> None:
    lowering.approve(keeping.custody, keeping.actor(login), request, "Đồng ý")


def refuse(keeping: Keeping, login: str, request: str) -> None:
    lowering.refuse(keeping.custody, keeping.actor(login), request, "Chưa được")


@pytest.mark.parametrize(
    ("asker", "decider"),
    [(SPECIALIST, HEAD), (SPECIALIST, LEADER), (HEAD, LEADER), (LEADER, OTHER_LEADER)],
)
def test_two_people_lower_a_document(keeping: Keeping, asker: str, decider: str) -> None:
    document = keeping.confidential()
    assert not keeping.reads(UNCLEARED_CLERK, document)
    request = ask(keeping, document, asker)
    assert keeping.instance.row(document)["classification"] == "confidential"
    approve(keeping, decider, request)
    row = keeping.instance.row(document)
    assert (row["classification"], row["subject"]) == ("internal", MARKER)
    assert keeping.reads(UNCLEARED_CLERK, document)
    shown = show(keeping.instance.services.desk, keeping.actor(UNCLEARED_CLERK), document)
    assert shown.row["subject"] == MARKER
    told = [action for action, _ in keeping.history(document) if "lowering" in action]
    assert told == ["document.lowering-asked", "document.lowering-approved"]
    assert keeping.shown(asker, request, "lowering").state == "approved"
    found = notices.find(keeping.instance.database, keeping.actor(asker))
    assert "lowering-approved" in {notice.kind for notice in found}


def test_a_refused_document_stays_as_it_is_and_who_asked_is_told(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = ask(keeping, document)
    refuse(keeping, HEAD, request)
    assert keeping.instance.row(document)["classification"] == "confidential"
    shown = keeping.shown(SPECIALIST, request, "lowering")
    assert (shown.state, shown.decision_reason) == ("refused", "Chưa được")
    found = notices.find(keeping.instance.database, keeping.actor(SPECIALIST))
    assert [notice.kind for notice in found] == ["lowering-refused"]


@pytest.mark.parametrize("login", [SPECIALIST, HEAD, LEADER])
def test_nobody_lowers_alone(keeping: Keeping, login: str) -> None:
    request = ask(keeping, keeping.confidential(), login)
    for act in (approve, refuse):
        with pytest.raises(ForbiddenError) as caught:
            act(keeping, login, request)
        assert caught.value.rule == "second-person"
    assert keeping.history(keeping.ids[login])[-1][0] == "person.refused"


def test_a_head_does_not_decide_what_their_leader_asked(keeping: Keeping) -> None:
    request = ask(keeping, keeping.confidential(), LEADER)
    with pytest.raises(ForbiddenError) as caught:
        approve(keeping, HEAD, request)
    assert caught.value.rule == "second-person"


@pytest.mark.parametrize(
    ("login", "kind"),
    [(CLERK, ForbiddenError), (AUDITOR, ForbiddenError), (UNCLEARED_CLERK, NotFoundError),
     (OUTSIDER, NotFoundError), (ADMINISTRATOR, NotFoundError)],
)  # fmt: skip
def test_others_neither_ask_nor_decide(keeping: Keeping, login: str, kind: type[Exception]) -> None:
    document = keeping.confidential()
    with pytest.raises(kind):
        ask(keeping, document, login)
    request = ask(keeping, document)
    with pytest.raises(kind):
        approve(keeping, login, request)


@pytest.mark.parametrize(
    ("to", "code"),
    [("confidential", "not-lower"), ("secret", "not-lower"), ("intern", "unknown-classification")],
)
def test_a_level_is_one_that_is_lower(keeping: Keeping, to: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ask(keeping, keeping.confidential(), to=to)
    assert caught.value.code == code
    assert caught.value.fields[0].pointer == "/to"


def test_one_lowering_is_asked_for_at_a_time(keeping: Keeping) -> None:
    document = keeping.confidential()
    ask(keeping, document)
    with pytest.raises(ConflictError) as caught:
        ask(keeping, document, HEAD)
    assert caught.value.code == "lowering-open"
    keeping.clock.advance(timedelta(hours=72))
    ask(keeping, document, HEAD)


def test_what_changed_since_it_was_asked_for_is_not_lowered(keeping: Keeping) -> None:
    desk = keeping.instance.services.desk
    document = keeping.instance.draft()
    request = ask(keeping, document, to="public")
    version = keeping.instance.row(document)["version"]
    reclassify.raise_classification(
        desk, keeping.actor(SPECIALIST), document, "confidential", reason="vì", if_version=version
    )
    with pytest.raises(ConflictError) as caught:
        approve(keeping, HEAD, request)
    assert caught.value.code == "request-outdated"
    assert keeping.instance.row(document)["classification"] == "confidential"
    refuse(keeping, HEAD, request)


def test_the_same_decision_again_lowers_nothing_twice(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = ask(keeping, document)
    approve(keeping, HEAD, request)
    before = keeping.history(document)
    approve(keeping, HEAD, request)
    assert keeping.history(document) == before
