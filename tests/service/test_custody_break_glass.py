"""Break-glass access: two people, one document, for a time; and what nobody learns on the way."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from docflow.audit import queries
from docflow.audit.verify import verify_everything
from docflow.custody import breakglass, listing
from docflow.db import guard
from docflow.documents.queries import file_to_open, show
from docflow.kernel.errors import (
    ConflictError,
    DocflowError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from docflow.kernel.ids import new_id
from docflow.people.tables import clearances, openings
from tests.custody_support import (
    AUDITOR,
    CLERK,
    LEADER,
    OTHER_LEADER,
    OUTSIDER,
    REASON,
    SPECIALIST,
    UNCLEARED_CLERK,
    Keeping,
)
from tests.office_support import ADMINISTRATOR, HEAD, OTHER_HEAD

WHO = pytest.mark.parametrize("asker", [OUTSIDER, UNCLEARED_CLERK])


def code_of(error: pytest.ExceptionInfo[DocflowError]) -> str:
    return error.value.code


@WHO
def test_two_people_open_a_document_to_a_third_for_a_time(keeping: Keeping, asker: str) -> None:
    document = keeping.confidential()
    assert not keeping.reads(asker, document)
    request = keeping.ask(asker, document, hours=2)
    assert not keeping.reads(asker, document)
    keeping.approve(LEADER, request)
    assert keeping.reads(asker, document)

    desk, actor = keeping.instance.services.desk, keeping.actor(asker)
    shown = show(desk, actor, document)
    assert file_to_open(desk, actor, document, shown.files[0]["id"])
    assert queries.of_document(desk, actor, document, after=None, limit=10)
    assert not [item for item in shown.available if item.allowed]

    keeping.clock.advance(timedelta(hours=2) - timedelta(microseconds=1))
    assert keeping.reads(asker, document)
    keeping.clock.advance(timedelta(microseconds=1))
    assert not keeping.reads(asker, document)
    assert keeping.shown(asker, request).state == "ended"


def test_nothing_else_is_opened(keeping: Keeping) -> None:
    document, other = keeping.confidential(), keeping.confidential()
    keeping.opened(OUTSIDER, document)
    assert not keeping.reads(OUTSIDER, other)
    assert not keeping.reads(UNCLEARED_CLERK, document)


def test_a_symbol_means_the_newest_document_that_has_it(keeping: Keeping) -> None:
    document = keeping.instance.to_approved(keeping.confidential())
    symbol = keeping.instance.row(document)["symbol"]
    request = keeping.ask(OUTSIDER, f" {symbol} ")
    assert keeping.row(request)["document_id"] == document


def blank(keeping: Keeping, login: str, request: str) -> object:
    """A request as shown, without what differs between any two."""
    shown = keeping.shown(login, request)
    names = {"id": "", "asked_for": "", "asked_at": None, "expires_at": None}
    return dataclasses.replace(shown, **names)  # type: ignore[arg-type]


@pytest.mark.parametrize("decided", ["", "refused"])
def test_who_asks_cannot_tell_a_document_from_none(keeping: Keeping, decided: str) -> None:
    document, plain = keeping.confidential(), keeping.instance.draft()
    requests = [keeping.ask(OUTSIDER, named) for named in (document, plain, new_id(), "9/KHÔNG-CÓ")]
    if decided:
        for request in requests[:2]:
            keeping.refuse(LEADER, request)
    assert keeping.row(requests[0])["document_id"] == document
    for state in ("open", "expired"):
        seen = [blank(keeping, OUTSIDER, request) for request in requests]
        assert all(one == seen[0] for one in seen)
        listed = listing.find(keeping.custody, keeping.actor(OUTSIDER), "break-glass", state=state)
        assert {one.id for one in listed} == set(requests)
        assert {one.document_id for one in listed} == {None}
        with pytest.raises(ConflictError) as ending:
            breakglass.end(keeping.custody, keeping.actor(OUTSIDER), requests[0])
        with pytest.raises(ConflictError) as ending_nothing:
            breakglass.end(keeping.custody, keeping.actor(OUTSIDER), requests[2])
        assert ending.value.detail == ending_nothing.value.detail
        keeping.clock.advance(timedelta(hours=72))
    refused = listing.find(keeping.custody, keeping.actor(OUTSIDER), "break-glass", state="refused")
    assert refused == []


def test_a_refusal_frees_no_place_before_the_request_would_have_expired(keeping: Keeping) -> None:
    document = keeping.confidential()
    custody = dataclasses.replace(keeping.custody, open_requests=2)
    actor = keeping.actor(OUTSIDER)
    for _ in range(2):
        request = breakglass.ask(custody, actor, document=document, reason=REASON)
        keeping.refuse(LEADER, request)
    with pytest.raises(ConflictError) as caught:
        breakglass.ask(custody, actor, document=document, reason=REASON)
    assert code_of(caught) == "too-many-requests"
    keeping.clock.advance(timedelta(hours=72))
    breakglass.ask(custody, keeping.actor(OUTSIDER), document=document, reason=REASON)


def test_who_may_read_the_document_needs_no_break_glass(keeping: Keeping) -> None:
    document = keeping.confidential()
    for login in (SPECIALIST, CLERK, LEADER, AUDITOR):
        with pytest.raises(ConflictError) as caught:
            keeping.ask(login, document)
        assert code_of(caught) == "break-glass-needless"


def test_administrators_systems_keys_and_recipients_cannot_ask(keeping: Keeping) -> None:
    document = keeping.confidential()
    instance = keeping.instance
    key = instance.services.keys.create(
        keeping.actor(ADMINISTRATOR),
        name="test",
        person_id=keeping.ids[OUTSIDER],
        scopes=["documents:read", "history:read"],
    )
    with_key = instance.services.authenticator.authenticate(key.token)
    actors = [keeping.actor(ADMINISTRATOR), instance.actor("cong-dich-vu-cong"), with_key]
    for actor in [*actors, keeping.actor("stc")]:
        with pytest.raises(ForbiddenError):
            breakglass.ask(keeping.custody, actor, document=document, reason=REASON)
    assert keeping.history(keeping.ids[ADMINISTRATOR])[-1][0] == "person.refused"
    assert instance.rows("custody_requests") == []


def test_an_approval_counts_for_an_api_key_only_with_its_scope(keeping: Keeping) -> None:
    document = keeping.confidential()
    keeping.opened(OUTSIDER, document)
    services = keeping.instance.services
    for scope, reads in (("documents:read", True), ("directory:read", False)):
        key = services.keys.create(
            keeping.actor(ADMINISTRATOR),
            name="test",
            person_id=keeping.ids[OUTSIDER],
            scopes=[scope],
        )
        actor = services.authenticator.authenticate(key.token)
        assert actor.granted == {document}
        if reads:
            show(services.desk, actor, document)
        else:
            with pytest.raises(ForbiddenError):
                show(services.desk, actor, document)


@pytest.mark.parametrize("hours", [0, -1, 25, 10**30])
def test_an_access_is_not_longer_than_the_office_allows(keeping: Keeping, hours: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        keeping.ask(OUTSIDER, "1/QĐ", hours)
    assert code_of(caught) == "break-glass-hours"


def test_a_reason_is_needed_at_both_ends(keeping: Keeping) -> None:
    document = keeping.confidential()
    with pytest.raises(InvalidInputError):
        breakglass.ask(keeping.custody, keeping.actor(OUTSIDER), document=document, reason=" ")
    request = keeping.ask(OUTSIDER, document)
    for act in (breakglass.approve, breakglass.refuse):
        with pytest.raises(InvalidInputError):
            act(keeping.custody, keeping.actor(LEADER), request, " ")


# -- who decides -------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [CLERK, HEAD, SPECIALIST, AUDITOR])
def test_who_knows_the_document_and_is_no_leader_is_refused_and_recorded(
    keeping: Keeping, login: str
) -> None:
    request = keeping.ask(OUTSIDER, keeping.confidential())
    for act in (keeping.approve, keeping.refuse):
        with pytest.raises(ForbiddenError):
            act(login, request)
        assert keeping.history(keeping.ids[login])[-1][0] == "person.refused"


@pytest.mark.parametrize("login", [OTHER_HEAD, UNCLEARED_CLERK, "tuan.va", ADMINISTRATOR])
def test_who_does_not_know_the_document_is_told_of_no_request(keeping: Keeping, login: str) -> None:
    request = keeping.ask(OUTSIDER, keeping.confidential())
    for wanted in (request, new_id()):
        with pytest.raises(NotFoundError) as caught:
            keeping.approve(login, wanted)
        assert code_of(caught) == "request-not-found"


def test_a_leader_without_clearance_neither_sees_nor_decides(keeping: Keeping) -> None:
    request = keeping.ask(OUTSIDER, keeping.confidential())
    admin = keeping.actor(ADMINISTRATOR)
    keeping.instance.services.clearances.revoke(admin, keeping.ids[OTHER_LEADER])
    with pytest.raises(NotFoundError):
        keeping.approve(OTHER_LEADER, request)
    with pytest.raises(NotFoundError):
        keeping.shown(OTHER_LEADER, request)


def test_a_document_opened_to_a_leader_does_not_make_them_decide(keeping: Keeping) -> None:
    """Their own clearance and reason count, not what two others lent them."""
    document = keeping.confidential()
    admin = keeping.actor(ADMINISTRATOR)
    keeping.instance.services.clearances.revoke(admin, keeping.ids[OTHER_LEADER])
    keeping.opened(OTHER_LEADER, document)
    assert keeping.reads(OTHER_LEADER, document)
    request = keeping.ask(OUTSIDER, document)
    with pytest.raises(ForbiddenError):
        keeping.approve(OTHER_LEADER, request)


def test_nobody_decides_on_what_they_asked_for(keeping: Keeping) -> None:
    document = keeping.confidential()
    services = keeping.instance.services
    admin = keeping.actor(ADMINISTRATOR)
    services.clearances.revoke(admin, keeping.ids[OTHER_LEADER])
    requests = [keeping.ask(OTHER_LEADER, named) for named in (document, new_id())]
    services.clearances.grant(
        admin,
        keeping.ids[OTHER_LEADER],
        level="confidential",
        expires_at=keeping.clock.now() + timedelta(days=1),
        reason="vì",
    )
    for request in requests:
        for act in (keeping.approve, keeping.refuse):
            with pytest.raises(ForbiddenError) as caught:
                act(OTHER_LEADER, request)
            assert caught.value.rule == "second-person"


def test_who_stands_below_who_asked_does_not_decide(keeping: Keeping) -> None:
    """A leader of a unit may not be made to open a document by the leader of the whole."""
    services = keeping.instance.services
    admin = keeping.actor(ADMINISTRATOR)
    unit = next(row for row in keeping.instance.rows("units") if row["code"] == "VP-TH")
    services.directory.grant_office(
        admin, keeping.ids["huong.dt"], unit_id=unit["id"], role="leader"
    )
    services.clearances.grant(
        admin, keeping.ids["huong.dt"], level="confidential", reason="vì",
        expires_at=keeping.clock.now() + timedelta(days=1),
    )  # fmt: skip
    services.clearances.revoke(admin, keeping.ids[OTHER_LEADER])
    document = keeping.confidential()
    request = keeping.ask(OTHER_LEADER, document)
    with pytest.raises(ForbiddenError) as caught:
        keeping.approve("huong.dt", request)
    assert caught.value.rule == "second-person"
    keeping.approve("huong.dt", keeping.ask(OUTSIDER, document))  # who is not above them
    keeping.approve(LEADER, request)  # an equal


def test_a_request_is_decided_once_and_the_same_again_changes_nothing(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.opened(OUTSIDER, document)
    before = keeping.row(request), keeping.history(document)
    keeping.approve(LEADER, request)
    assert (keeping.row(request), keeping.history(document)) == before
    for login, act in ((LEADER, keeping.refuse), (OTHER_LEADER, keeping.approve)):
        with pytest.raises(ConflictError) as caught:
            act(login, request)
        assert code_of(caught) == "already-decided"


def test_what_was_not_decided_in_time_is_over(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.ask(OUTSIDER, document)
    keeping.clock.advance(timedelta(hours=72))
    assert keeping.shown(LEADER, request).state == "expired"
    for act in (keeping.approve, keeping.refuse):
        with pytest.raises(ConflictError) as caught:
            act(LEADER, request)
        assert code_of(caught) == "request-expired"
    assert not keeping.reads(OUTSIDER, document)


def test_nothing_is_opened_to_who_left_or_became_administrator(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.ask(OUTSIDER, document)
    keeping.instance.services.directory.deactivate_person(
        keeping.actor(ADMINISTRATOR), keeping.ids[OUTSIDER]
    )
    with pytest.raises(ConflictError) as caught:
        keeping.approve(LEADER, request)
    assert code_of(caught) == "asker-left"
    keeping.refuse(LEADER, request)


# -- the end of it, and what is told -----------------------------------------------------------------


@pytest.mark.parametrize("login", [OUTSIDER, LEADER, OTHER_LEADER])
def test_an_access_can_be_ended_early(keeping: Keeping, login: str) -> None:
    document = keeping.confidential()
    request = keeping.opened(OUTSIDER, document)
    for _ in range(2):
        breakglass.end(keeping.custody, keeping.actor(login), request)
        assert not keeping.reads(OUTSIDER, document)
    assert keeping.shown(OUTSIDER, request).state == "ended"
    assert [action for action, _ in keeping.history(document)][-1] == "document.break-glass-ended"


@pytest.mark.parametrize(("login", "kind"), [(HEAD, ForbiddenError), ("tuan.va", NotFoundError)])
def test_others_end_nothing(keeping: Keeping, login: str, kind: type[DocflowError]) -> None:
    document = keeping.confidential()
    request = keeping.opened(OUTSIDER, document)
    with pytest.raises(kind):
        breakglass.end(keeping.custody, keeping.actor(login), request)
    assert keeping.reads(OUTSIDER, document)


def test_every_step_is_history_of_the_document_and_of_the_request(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.opened(OUTSIDER, document)
    keeping.refuse(LEADER, keeping.ask(UNCLEARED_CLERK, document))
    desk, auditor = keeping.instance.services.desk, keeping.actor(AUDITOR)
    entries = queries.of_document(desk, auditor, document, after=None, limit=50)
    told = [(item["action"], item["details"]) for item in entries]
    assert [entry for entry in told if "break-glass" in entry[0]] == [
        ("document.break-glass-asked", {"reason": REASON}),
        ("document.break-glass-approved", {"reason": "Đã gọi điện xác minh"}),
        ("document.break-glass-asked", {"reason": REASON}),
        ("document.break-glass-refused", {"reason": "Không cần thiết"}),
    ]
    steps = keeping.history(request)
    assert steps == [("custody_request.asked", None), ("custody_request.approved", None)]
    nothing = keeping.ask(OUTSIDER, new_id())
    found = queries.everything(
        keeping.instance.database,
        auditor,
        queries.Filters(action="custody_request"),
        before=None,
        limit=20,
    )
    assert {entry["subject"]["id"] for entry in found} >= {request, nothing}


def test_auditors_see_all_requests_and_words_only_of_what_they_may_read(keeping: Keeping) -> None:
    document = keeping.confidential()
    requests = [keeping.opened(OUTSIDER, document), keeping.ask(OUTSIDER, "9/KHÔNG-CÓ")]
    shown = [keeping.shown(AUDITOR, request) for request in requests]
    assert [one.reason for one in shown] == [REASON, REASON]
    assert [one.document_id for one in shown] == [document, None]
    admin = keeping.actor(ADMINISTRATOR)
    keeping.instance.services.clearances.revoke(admin, keeping.ids[AUDITOR])
    withheld = keeping.shown(AUDITOR, requests[0])
    assert (withheld.withheld, withheld.reason, withheld.asked_for) == (True, None, None)
    assert (withheld.state, withheld.decision_reason) == ("approved", None)
    assert keeping.shown(AUDITOR, requests[1]).reason == REASON


def test_requests_are_paged_newest_first_and_filtered_by_state(keeping: Keeping) -> None:
    document = keeping.confidential()
    first, second, third = (keeping.ask(OUTSIDER, document) for _ in range(3))
    keeping.approve(LEADER, second)
    keeping.refuse(LEADER, third)
    leader = keeping.actor(LEADER)

    def ids(**narrowed: str) -> list[str]:
        found = listing.find(keeping.custody, leader, "break-glass", limit=2, **narrowed)  # type: ignore[arg-type]
        return [one.id for one in found]

    assert ids() == [third, second]
    assert ids(before=second) == [first]
    assert (ids(state="open"), ids(state="approved")) == ([first], [second])
    assert (ids(state="refused"), ids(state="ended"), ids(state="expired")) == ([third], [], [])
    keeping.clock.advance(timedelta(hours=72))
    assert (ids(state="expired"), ids(state="ended")) == ([first], [second])


def test_two_who_decide_at_once_decide_once(keeping: Keeping) -> None:
    document = keeping.confidential()
    request = keeping.ask(OUTSIDER, document)
    actors = {"approved": keeping.actor(LEADER), "refused": keeping.actor(OTHER_LEADER)}
    acts = {"approved": breakglass.approve, "refused": breakglass.refuse}
    together = threading.Barrier(2)

    def decide(decision: str) -> str:
        together.wait()
        try:
            acts[decision](keeping.custody, actors[decision], request, REASON)
        except ConflictError as refusal:
            return refusal.code
        return decision

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(decide, acts))
    decided = keeping.row(request)["decision"]
    assert outcomes == ["already-decided", decided]
    assert keeping.reads(OUTSIDER, document) == (decided == "approved")


def test_the_history_of_it_all_verifies(keeping: Keeping) -> None:
    document = keeping.confidential()
    breakglass.end(keeping.custody, keeping.actor(LEADER), keeping.opened(OUTSIDER, document))
    keeping.refuse(LEADER, keeping.ask(OUTSIDER, document))
    keeping.ask(OUTSIDER, new_id())
    services = keeping.instance.services
    services.sequencer.run()
    report = verify_everything(services.database, services.store, services.log_key.verifier)
    assert report.ok, report


def test_an_access_or_a_clearance_that_someone_wrote_past_the_service_shows(
    keeping: Keeping,
) -> None:
    document = keeping.confidential()
    keeping.opened(OUTSIDER, document, hours=1)
    later = keeping.clock.now() + timedelta(days=300)
    services = keeping.instance.services
    of = clearances.c.person_id
    with services.database.engine.begin() as connection:
        for statement in (
            sa.update(openings).values(until=later),
            sa.update(clearances).values(expires_at=later).where(of == keeping.ids[HEAD]),
            sa.delete(clearances).where(of == keeping.ids[CLERK]),
        ):
            connection.execute(statement, execution_options={guard.TOKEN: True})
    services.sequencer.run()
    report = verify_everything(services.database, services.store, services.log_key.verifier)
    assert sorted((one.check, one.subject) for one in report.findings) == sorted(
        [
            ("opening", f"document {document}"),
            ("clearance", f"person {keeping.ids[HEAD]}"),
            ("clearance", f"person {keeping.ids[CLERK]}"),
        ]
    )
