"""Notices: who is told, at once, and never more than they may know."""

from datetime import timedelta

import pytest

from docflow.custody import breakglass, notices
from docflow.custody.notices import TEXTS
from docflow.db import METADATA
from docflow.kernel.errors import ConflictError, ForbiddenError, NotFoundError
from docflow.kernel.ids import new_id
from tests.custody_support import (
    LEADER,
    MARKER,
    OTHER_LEADER,
    OUTSIDER,
    REASON,
    SPECIALIST,
    UNCLEARED_CLERK,
    Keeping,
)
from tests.office_support import ADMINISTRATOR, CLERK, HEAD


def told(keeping: Keeping, login: str) -> list[str]:
    found = notices.find(keeping.instance.database, keeping.actor(login))
    return [notice.kind for notice in found]


def test_the_owner_is_told_with_the_approval(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.ask(OUTSIDER, document)
    assert told(keeping, SPECIALIST) == told(keeping, HEAD) == []
    keeping.approve(LEADER, request)
    for login in (SPECIALIST, HEAD):  # its author, and the head of its unit
        (notice,) = notices.find(keeping.instance.database, keeping.actor(login))
        assert (notice.kind, notice.request_id) == ("break-glass-opened", request)
        assert (notice.document_id, notice.seen_at) == (document, None)
        assert notice.at == keeping.clock.now()
    assert told(keeping, OUTSIDER) == ["break-glass-approved"]
    assert told(keeping, CLERK) == []


def test_who_may_decide_is_told_of_the_request_and_nobody_else(keeping: Keeping) -> None:
    admin = keeping.actor(ADMINISTRATOR)
    keeping.instance.services.clearances.revoke(admin, keeping.ids[OTHER_LEADER])
    keeping.ask(OUTSIDER, keeping.confidential())
    keeping.ask(OUTSIDER, new_id())
    assert told(keeping, LEADER) == ["break-glass-asked"]
    for login in (OTHER_LEADER, OUTSIDER, HEAD, CLERK, SPECIALIST):
        assert told(keeping, login) == []


def test_a_refused_access_tells_nobody(keeping: Keeping) -> None:
    keeping.refuse(LEADER, keeping.ask(OUTSIDER, keeping.confidential()))
    assert told(keeping, OUTSIDER) == told(keeping, SPECIALIST) == []


def test_a_notice_names_the_document_only_while_it_may_be_read(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.opened(OUTSIDER, document)

    def named(login: str) -> list[str | None]:
        found = notices.find(keeping.instance.database, keeping.actor(login))
        return [notice.document_id for notice in found]

    assert (named(OUTSIDER), named(SPECIALIST)) == ([document], [document])
    breakglass.end(keeping.custody, keeping.actor(OUTSIDER), request)
    admin = keeping.actor(ADMINISTRATOR)
    keeping.instance.services.clearances.revoke(admin, keeping.ids[SPECIALIST])
    assert (named(OUTSIDER), named(SPECIALIST)) == ([None], [None])


def test_notices_are_rolled_back_with_what_they_tell_of(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.ask(OUTSIDER, document)
    admin = keeping.actor(ADMINISTRATOR)
    keeping.instance.services.directory.deactivate_person(admin, keeping.ids[OUTSIDER])
    with pytest.raises(ConflictError):
        keeping.approve(LEADER, request)
    assert told(keeping, SPECIALIST) == []


def test_notices_are_seen_once_counted_and_paged(keeping: Keeping) -> None:
    document = keeping.confidential()
    database = keeping.instance.database
    for _ in range(3):
        keeping.ask(UNCLEARED_CLERK, document)
    leader = keeping.actor(LEADER)
    assert notices.unseen(database, leader) == 3
    newest = notices.find(database, leader, limit=2)
    (last,) = notices.find(database, leader, before=newest[-1].id)
    assert last.id < newest[1].id < newest[0].id
    seen = notices.see(database, leader, last.id)
    assert seen.seen_at == keeping.clock.now()
    keeping.clock.advance(timedelta(minutes=1))
    assert notices.see(database, keeping.actor(LEADER), last.id) == seen
    assert notices.unseen(database, leader) == 2
    unseen = notices.find(database, leader, unseen=True)
    assert [notice.id for notice in unseen] == [notice.id for notice in newest]


def test_notices_of_others_are_none(keeping: Keeping) -> None:
    keeping.ask(OUTSIDER, keeping.confidential())
    (notice,) = notices.find(keeping.instance.database, keeping.actor(LEADER))
    with pytest.raises(NotFoundError) as caught:
        notices.see(keeping.instance.database, keeping.actor(OTHER_LEADER), notice.id + "x")
    assert caught.value.code == "notice-not-found"
    with pytest.raises(NotFoundError):
        notices.see(keeping.instance.database, keeping.actor(OUTSIDER), notice.id)


def test_recipients_and_systems_have_no_notices(keeping: Keeping) -> None:
    for actor in (keeping.actor("stc"), keeping.instance.actor("cong-dich-vu-cong")):
        with pytest.raises(ForbiddenError):
            notices.find(keeping.instance.database, actor)


def test_seen_notices_are_swept_and_unseen_ones_stay(keeping: Keeping) -> None:
    database = keeping.instance.database
    document = keeping.confidential()
    for _ in range(2):
        keeping.ask(OUTSIDER, document)
    first = notices.find(database, keeping.actor(LEADER))[-1]
    notices.see(database, keeping.actor(LEADER), first.id)
    duties = {name: act for name, _, act in keeping.instance.services.duties()}
    keeping.clock.advance(timedelta(days=90))
    duties["notice-sweep"]()
    assert len(told(keeping, LEADER)) == 2
    keeping.clock.advance(timedelta(microseconds=1))
    duties["notice-sweep"]()
    (left,) = notices.find(database, keeping.actor(LEADER))
    assert left.id != first.id


def test_no_notice_and_no_request_holds_content(keeping: Keeping) -> None:
    request = keeping.opened(OUTSIDER, keeping.confidential())
    keeping.ask(OUTSIDER, f"{MARKER} số 9")  # a name that tells more than it should
    tables = {name: keeping.instance.rows(name) for name in METADATA.tables}
    kept = repr({name: rows for name, rows in tables.items() if name != "login_attempts"})
    assert keeping.row(request)["words"].keys() == {"sealed"}
    for secret in (MARKER, REASON, "Đã gọi điện xác minh"):
        assert secret not in kept
    assert all(MARKER not in text for text in TEXTS.values())
