"""Reading history: who sees which entries, in which order, with which details, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from docflow.audit import queries
from docflow.audit.queries import Filters
from docflow.db import Database
from docflow.db.tables import history_entries
from docflow.documents import change
from docflow.kernel.actor import Actor, Office
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ForbiddenError, InvalidInputError, NotFoundError
from docflow.kernel.ids import new_id
from tests.audit_support import Log, outlaw
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_HEAD,
    OTHER_SPECIALIST,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
    Instance,
)

ANY_AUDITOR = Actor("someone", "person", offices=(Office("nowhere", "auditor"),))


def of_document(office: Instance, login: str, document: str, **page: Any) -> list[dict[str, Any]]:
    options = {"after": None, "limit": 100} | page
    return queries.of_document(office.services.desk, office.actor(login), document, **options)


def everything(
    database: Database, actor: Actor = ANY_AUDITOR, before: str | None = None, **filters: Any
) -> list[dict[str, Any]]:
    limit = filters.pop("limit", 100)
    return queries.everything(database, actor, Filters(**filters), before=before, limit=limit)


class TestOfDocument:
    def test_it_tells_what_happened_in_order(self, any_instance: Instance) -> None:
        office = any_instance
        document = office.draft()
        change.edit(
            office.services.desk,
            office.actor(SPECIALIST),
            document,
            {"subject": "Quy chế mới"},
            if_version=1,
        )
        office.services.sequencer.run()
        office.fire(SPECIALIST, document, "submit")
        office.fire(HEAD, document, "return", reason="Sai thể thức")
        found = of_document(office, SPECIALIST, document)
        assert [(row["seq"], row["action"]) for row in found] == [
            (1, "document.posted"),
            (2, "document.edited"),
            (3, "document.fired"),
            (4, "document.fired"),
        ]
        first, second, third, last = found
        assert first["subject"] == {"kind": "document", "id": document}
        assert first["data"]["state"] == "draft"
        assert second["details"] == {"subject": "Quy chế mới"}
        assert second["index"] == first["index"] + 1
        assert (third["index"], last["index"]) == (None, None)
        assert last["details"] == {"asked": {"reason": "Sai thể thức"}}
        assert last["data"]["to"] == "draft"
        assert last["actor"]["id"] == office.actor(HEAD).id
        assert last["actor"]["name"] == office.actor(HEAD).name
        assert last["at"] == office.services.clock.now()
        assert all(row["intact"] and not row["details_withheld"] for row in found)

    def test_it_comes_in_pages(self, instance: Instance) -> None:
        document = instance.to_approved(instance.draft())
        whole = of_document(instance, CLERK, document)
        paged: list[dict[str, Any]] = []
        while page := of_document(
            instance, CLERK, document, after=paged[-1]["id"] if paged else None, limit=1
        ):
            paged += page
        assert paged == whole
        assert len(whole) == 3

    def test_a_cursor_of_another_document_is_refused(self, instance: Instance) -> None:
        document, other = instance.draft(), instance.draft()
        foreign = of_document(instance, CLERK, other)[0]["id"]
        for after in (foreign, new_id(), "x"):
            with pytest.raises(InvalidInputError) as caught:
                of_document(instance, CLERK, document, after=after)
            assert caught.value.code == "bad-cursor"

    def test_whoever_may_read_the_document_may_read_its_history(self, instance: Instance) -> None:
        document = instance.draft()
        for login in (SPECIALIST, HEAD, CLERK, LEADER, AUDITOR):
            assert of_document(instance, login, document)[0]["details"]
        for login in (ADMINISTRATOR, OTHER_SPECIALIST, OTHER_HEAD, RECIPIENT, SYSTEM):
            with pytest.raises(NotFoundError):
                of_document(instance, login, document)
        with pytest.raises(NotFoundError):
            of_document(instance, CLERK, new_id())

    def test_a_key_that_may_not_read_documents_sees_no_details(self, instance: Instance) -> None:
        document = instance.draft()
        (entry,) = queries.of_document(
            instance.services.desk,
            with_key(instance, CLERK, ["history:read"]),
            document,
            after=None,
            limit=9,
        )
        assert (entry["details"], entry["details_withheld"]) == (None, True)
        assert entry["data"]["state"] == "draft"
        with pytest.raises(ForbiddenError) as caught:
            queries.of_document(
                instance.services.desk,
                with_key(instance, CLERK, ["documents:read"]),
                document,
                after=None,
                limit=9,
            )
        assert caught.value.rule == "key-scope"

    def test_a_spoilt_entry_is_shown_as_such_and_hides_no_other(self, instance: Instance) -> None:
        document = instance.to_approved(instance.draft())
        with outlaw(instance.database) as connection:
            connection.execute(
                sa.update(history_entries)
                .where(history_entries.c.subject_seq == 2)
                .where(history_entries.c.subject_id == document)
                .values(leaf="[1")
            )
        first, spoilt, last = of_document(instance, CLERK, document)
        assert (first["intact"], spoilt["intact"], last["intact"]) == (True, False, True)
        assert spoilt["data"] == {}


def with_key(instance: Instance, login: str, scopes: list[str]) -> Actor:
    admin, owner = instance.actor(ADMINISTRATOR), instance.actor(login)
    made = instance.services.keys.create(admin, name="k", person_id=owner.id, scopes=scopes)
    return instance.services.authenticator.authenticate(made.token)


class TestEverything:
    def test_it_is_for_auditors(self, instance: Instance) -> None:
        assert everything(instance.database, instance.actor(AUDITOR))
        for login in (CLERK, HEAD, LEADER, SPECIALIST, ADMINISTRATOR, RECIPIENT, SYSTEM):
            with pytest.raises(ForbiddenError) as caught:
                everything(instance.database, instance.actor(login))
            assert caught.value.rule in ("history:read", "key-scope")

    def test_it_is_newest_first_and_narrows(self, any_instance: Instance) -> None:
        office, clock = any_instance, any_instance.services.clock
        assert isinstance(clock, ManualClock)
        start = clock.now()
        clock.advance(timedelta(hours=1))
        document = office.incoming()
        clock.advance(timedelta(hours=1))
        office.fire(CLERK, document, "register")
        clock.advance(timedelta(hours=1))
        office.services.directory.rename_person(
            office.actor(ADMINISTRATOR), office.actor(HEAD).id, "Tên Mới"
        )
        auditor = office.actor(AUDITOR)

        def actions(**filters: Any) -> list[str]:
            return [row["action"] for row in everything(office.database, auditor, **filters)]

        newest = ["person.changed", "document.fired", "document.posted"]
        assert actions()[:3] == newest
        assert actions(at_from=start + timedelta(minutes=1)) == newest
        assert actions(action="document") == newest[1:]
        assert actions(action="document.fired") == ["document.fired"]
        assert actions(action="document.f") == []
        assert actions(action="doc") == []
        assert actions(action="document_") == []
        assert actions(subject_kind="document") == newest[1:]
        assert actions(subject_kind="document", action="person") == []
        assert actions(subject_kind="document", subject_id=document) == newest[1:]
        assert actions(subject_id=new_id()) == []
        assert actions(actor_id=office.actor(CLERK).id) == newest[1:]
        assert actions(actor_id=office.actor(CLERK).id, action="document.posted") == newest[2:]
        hour = timedelta(hours=1)
        assert actions(at_from=start + hour, at_before=start + 2 * hour) == ["document.posted"]
        assert actions(at_before=start + hour, action="document") == []

    def test_details_of_documents_are_for_those_who_may_read_them(self, instance: Instance) -> None:
        """An auditor of another house sees that it happened, not what it was about."""
        document = instance.draft()
        (told,) = everything(instance.database, instance.actor(AUDITOR), subject_id=document)
        assert told["details"]["subject"] == "Ban hành Quy chế"
        (hidden,) = everything(instance.database, ANY_AUDITOR, subject_id=document)
        assert (hidden["details"], hidden["details_withheld"]) == (None, True)
        assert hidden["data"] == told["data"]
        (person,) = everything(instance.database, ANY_AUDITOR, subject_id=instance.actor(HEAD).id)
        assert person["details"]["login"] == HEAD

    def test_actors_are_named(self, instance: Instance) -> None:
        document = instance.to_released(instance.draft())
        delivery = instance.rows("deliveries", document_id=document)[0]
        from docflow.release import inbox

        recipient = instance.actor(RECIPIENT)
        inbox.file_to_download(instance.services.desk, recipient, delivery["id"], None)
        found = everything(instance.database, subject_id=document)
        named = {row["actor"]["kind"]: row["actor"]["name"] for row in found}
        assert named["service"] == "docflow"
        assert named["recipient"] == recipient.name
        assert named["person"]


@pytest.fixture
def log(database: Database, tmp_path: Any, clock: ManualClock) -> Log:
    return Log(database, tmp_path, clock)


FILTERS: list[dict[str, Any]] = [
    {},
    {"action": "unit"},
    {"action": "unit.changed"},
    {"subject_kind": "unit"},
    {"actor_id": "service"},
    {"actor_id": "service", "action": "unit.changed"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=[str(f) for f in FILTERS])
def test_pages_are_the_whole_cut_in_pieces(log: Log, filters: dict[str, Any]) -> None:
    """Several entries of one instant, and of several instants, none twice and none left out."""
    for _ in range(4):
        subjects = log.add(5)
        for subject in subjects[:3]:
            log.change(subject)
        log.clock.advance(timedelta(seconds=1))
    whole = everything(log.database, **filters)
    paged: list[dict[str, Any]] = []
    while page := everything(
        log.database, before=paged[-1]["id"] if paged else None, limit=3, **filters
    ):
        assert len(page) <= 3
        paged += page
    assert [row["id"] for row in paged] == [row["id"] for row in whole]
    keys = [(row["at"], row["id"]) for row in whole]
    assert keys == sorted(keys, reverse=True)
    assert len(whole) == {"unit.changed": 12}.get(str(filters.get("action")), 32)


def test_a_cursor_that_is_none_is_refused(log: Log) -> None:
    log.add()
    for before in ("x", new_id(), ""):
        with pytest.raises(InvalidInputError) as caught:
            everything(log.database, before=before)
        assert caught.value.code == "bad-cursor"


PLANS: list[dict[str, Any]] = [
    *FILTERS,
    {"subject_kind": "unit", "subject_id": "x"},
    {"subject_id": "x"},
    {"at_from": datetime(2026, 1, 1, tzinfo=UTC), "at_before": datetime(2027, 1, 1, tzinfo=UTC)},
]


@pytest.mark.parametrize("filters", PLANS, ids=[",".join(f) for f in PLANS])
def test_whatever_it_is_narrowed_to_it_walks_an_index(
    sqlite: Database, tmp_path: Any, clock: ManualClock, filters: dict[str, Any]
) -> None:
    """SQLite tells how it would run each statement: no scan of history, no sorting of it."""
    log = Log(sqlite, tmp_path, clock)
    log.change(log.add(20)[0])
    seen: list[tuple[str, Any]] = []

    def remember(_c: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        if "history_entries" in sql:
            seen.append((sql, parameters))

    sa.event.listen(sqlite.engine, "before_cursor_execute", remember)
    everything(sqlite, limit=5, **filters)
    sa.event.remove(sqlite.engine, "before_cursor_execute", remember)
    assert seen
    with sqlite.read() as connection:
        for sql, parameters in seen:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
            steps = [str(row[3]) for row in plan]
            reads = [step for step in steps if " history_entries" in step]
            assert reads, steps
            assert all("USING" in step and "INDEX" in step for step in reads), steps
            if "subject_id" in filters:
                assert any("subject_id=?" in step or "(id=?)" in step for step in reads), steps
