import threading
from collections.abc import Callable

import pytest

from docflow.db import Database
from docflow.kernel.actor import Actor, Office
from docflow.kernel.errors import (
    ConflictError,
    DocflowError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
    UnauthenticatedError,
)
from docflow.kernel.ids import new_id
from docflow.people.tables import people, units
from docflow.people.views import Page
from tests.conftest import rows
from tests.service.people_office import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OUTSIDER,
    SPECIALIST,
    SYSTEM,
    SampleOffice,
)

BAD_TEXT = ["", "  ", "a\x00b", "dòng\nmới", "\ud800", "x" * 301]


@pytest.fixture
def office(database: Database) -> SampleOffice:
    return SampleOffice.make(database)


@pytest.fixture
def embedded(sqlite: Database) -> SampleOffice:
    """For what has nothing to do with the database: SQLite is enough."""
    return SampleOffice.make(sqlite)


def all_of(page: Callable[[str | None], Page[object]]) -> list[object]:
    found: list[object] = []
    cursor = None
    while True:
        got = page(cursor)
        found += got.items
        cursor = got.next_cursor
        if cursor is None:
            return found
        assert len(got.items) == 2


class TestUnits:
    def test_a_unit_is_created_below_another_with_its_entry(self, office: SampleOffice) -> None:
        parent = office.unit_id("VP-TC")
        unit = office.directory.create_unit(
            office.admin, code="VP-TC-KH", name="Tổ Kế hoạch", parent_id=parent
        )
        assert office.directory.unit(office.actor(CLERK), unit.id) == unit
        assert (unit.parent_id, unit.version) == (parent, 1)
        assert office.actions(unit.id) == ["unit.created"]

    def test_every_unit_is_listed_once_over_the_pages(self, office: SampleOffice) -> None:
        actor = office.actor(SPECIALIST)
        found = all_of(lambda c: office.directory.list_units(actor, cursor=c, limit=2))  # type: ignore[arg-type, return-value]
        assert len(found) == len(set(map(str, found))) == rows(office.database, units)

    def test_a_unit_is_renamed_and_moved(self, office: SampleOffice) -> None:
        unit_id, parent = office.unit_id("VP-VT"), office.unit_id("VP-TH")
        moved = office.directory.change_unit(
            office.admin, unit_id, version=1, name="Văn thư", parent_id=parent
        )
        assert (moved.name, moved.parent_id, moved.version) == ("Văn thư", parent, 2)
        assert office.actions(unit_id) == ["unit.created", "unit.changed"]

    def test_setting_what_is_there_already_writes_nothing(self, office: SampleOffice) -> None:
        unit_id = office.unit_id("VP-VT")
        same = office.directory.change_unit(
            office.admin, unit_id, parent_id=office.unit_id("VP-HC")
        )
        assert same.version == 1
        assert office.actions(unit_id) == ["unit.created"]

    @pytest.mark.parametrize("below", ["VP-HC", "VP-VT"])
    def test_a_unit_does_not_lie_below_itself(self, office: SampleOffice, below: str) -> None:
        with pytest.raises(ConflictError) as caught:
            office.directory.change_unit(
                office.admin, office.unit_id("VP-HC"), parent_id=office.unit_id(below)
            )
        assert caught.value.code == "unit-circle"

    def test_two_moves_at_once_make_no_circle(self, office: SampleOffice) -> None:
        first, second = office.unit_id("VP-TC"), office.unit_id("VP-KT")
        admin = office.admin
        top = office.unit_id("VP")
        refused: list[str] = []
        start = threading.Barrier(2)

        def move(unit_id: str, parent_id: str) -> None:
            start.wait()
            try:
                office.directory.change_unit(admin, unit_id, parent_id=parent_id)
            except DocflowError as error:
                refused.append(error.code)

        rounds = 6
        for _ in range(rounds):
            pairs = ((first, second), (second, first))
            threads = [threading.Thread(target=move, args=pair) for pair in pairs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for unit_id in (first, second):
                office.directory.change_unit(admin, unit_id, parent_id=top)
        assert refused == ["unit-circle"] * rounds

    def test_the_top_stays_the_top_and_alone(self, office: SampleOffice) -> None:
        with pytest.raises(ConflictError) as caught:
            office.directory.create_unit(office.admin, code="X", name="X", parent_id=None)
        assert caught.value.code == "second-root"
        with pytest.raises(ConflictError):
            office.directory.change_unit(
                office.admin, office.unit_id("VP"), parent_id=office.unit_id("VP-TC")
            )

    @pytest.mark.parametrize(
        "parent_id", ["01a201fb-5432-720a-aacc-6a730b119cd1", "no id", "", "a\x00b", "\ud800"]
    )
    def test_the_parent_exists(self, embedded: SampleOffice, parent_id: str) -> None:
        with pytest.raises(NotFoundError):
            embedded.directory.create_unit(embedded.admin, code="X", name="X", parent_id=parent_id)

    def test_a_code_is_taken_once(self, office: SampleOffice) -> None:
        with pytest.raises(ConflictError) as caught:
            office.directory.create_unit(
                office.admin, code="VP-TC", name="X", parent_id=office.unit_id("VP")
            )
        assert caught.value.code == "code-taken"

    @pytest.mark.parametrize("name", BAD_TEXT)
    def test_a_bad_name_is_named(self, embedded: SampleOffice, name: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            embedded.directory.create_unit(
                embedded.admin, code="X", name=name, parent_id=embedded.unit_id("VP")
            )
        assert caught.value.fields[0].pointer == "/name"

    def test_a_stale_version_is_refused(self, office: SampleOffice) -> None:
        unit_id = office.unit_id("VP-VT")
        office.directory.change_unit(office.admin, unit_id, name="Một")
        with pytest.raises(StaleVersionError):
            office.directory.change_unit(office.admin, unit_id, name="Hai", version=1)

    @pytest.mark.parametrize(("cursor", "limit"), [("x", 5), (None, 0), (None, 201), (None, -1)])
    def test_a_wrong_page_is_refused(
        self, embedded: SampleOffice, cursor: str | None, limit: int
    ) -> None:
        with pytest.raises(InvalidInputError):
            embedded.directory.list_units(embedded.admin, cursor=cursor, limit=limit)


class TestHeads:
    @pytest.mark.parametrize(
        ("unit", "heads"),
        [
            ("VP-TC", {"lan.vt"}),  # its own
            ("VP-VT", {"huong.dt"}),  # no head: the head of the unit above
            ("VP-KT", {"son.nh", "mai.bt"}),  # no head anywhere above: the leaders
            ("VP", {"son.nh", "mai.bt"}),
        ],
    )
    def test_who_acts_as_head(self, office: SampleOffice, unit: str, heads: set[str]) -> None:
        with office.database.read() as connection:
            found = office.directory.unit_heads(connection, office.unit_id(unit))
        assert found == {office.person_id(login) for login in heads}

    def test_a_head_who_left_is_no_head(self, office: SampleOffice) -> None:
        office.directory.deactivate_person(office.admin, office.person_id("lan.vt"))
        with office.database.read() as connection:
            found = office.directory.unit_heads(connection, office.unit_id("VP-TC"))
        assert found == {office.person_id("son.nh"), office.person_id("mai.bt")}


class TestPeople:
    def test_a_person_is_created_with_offices_in_one_entry(self, office: SampleOffice) -> None:
        held = [Office(office.unit_id("VP-TC"), "head"), Office(office.unit_id("VP-KT"), "head")]
        person = office.directory.create_person(
            office.admin, login="moi.nv", name="Người Mới", held=[*held, held[0]]
        )
        assert set(person.offices) == set(held)
        assert office.actions(person.id) == ["person.created"]
        assert office.directory.person(office.admin, person.id) == person

    def test_a_login_is_taken_once(self, office: SampleOffice) -> None:
        with pytest.raises(ConflictError) as caught:
            office.directory.create_person(office.admin, login=CLERK, name="X")
        assert caught.value.code == "login-taken"

    @pytest.mark.parametrize("login", ["", "Hoa", "a b", "-a", "đa", "a\x00", "x" * 65])
    def test_a_bad_login_is_named(self, embedded: SampleOffice, login: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            embedded.directory.create_person(embedded.admin, login=login, name="X")
        assert caught.value.fields[0].pointer == "/login"

    def test_an_unknown_kind_is_refused(self, embedded: SampleOffice) -> None:
        with pytest.raises(InvalidInputError):
            embedded.directory.create_person(embedded.admin, login="a", name="X", kind="robot")

    def test_everybody_is_listed_once_over_the_pages(self, office: SampleOffice) -> None:
        actor = office.actor(SPECIALIST)
        found = all_of(lambda c: office.directory.list_people(actor, cursor=c, limit=2))  # type: ignore[arg-type, return-value]
        assert len(found) == len(set(map(str, found))) == rows(office.database, people)

    def test_the_list_is_filtered(self, office: SampleOffice) -> None:
        def logins(**filters: object) -> set[str]:
            page = office.directory.list_people(office.admin, limit=200, **filters)  # type: ignore[arg-type]
            return {person.login for person in page.items}

        assert logins(unit_id=office.unit_id("VP-TC"), role="head") == {"lan.vt"}
        assert logins(role="auditor") == {AUDITOR}
        assert SYSTEM in logins(kind="system")
        assert CLERK not in logins(kind="system")
        assert logins(active=False) == set()

    @pytest.mark.parametrize("filters", [{"role": "king"}, {"kind": "x"}, {"unit_id": "a\x00"}])
    def test_a_filter_that_can_match_nothing_is_refused(
        self, office: SampleOffice, filters: dict[str, str]
    ) -> None:
        with pytest.raises(InvalidInputError):
            office.directory.list_people(office.admin, **filters)  # type: ignore[arg-type]

    def test_a_name_is_changed_and_kept_out_of_the_leaf(self, office: SampleOffice) -> None:
        person_id = office.person_id(CLERK)
        changed = office.directory.rename_person(office.admin, person_id, "Tên Khác", version=1)
        assert (changed.name, changed.version) == ("Tên Khác", 2)
        with office.database.read() as connection:
            leaves = connection.exec_driver_sql("SELECT leaf FROM history_entries").scalars().all()
        assert not any("Tên Khác" in leaf or CLERK in leaf for leaf in leaves)

    def test_who_is_deactivated_is_out_at_once_with_sessions_and_keys(
        self, office: SampleOffice
    ) -> None:
        admin, person_id = office.admin, office.person_id(CLERK)
        session = office.token(CLERK)
        made = office.keys.create(
            admin, name="khóa", scopes=["documents:read"], person_id=person_id
        )
        office.directory.deactivate_person(admin, person_id)
        for token in (session, made.token):
            with pytest.raises(UnauthenticatedError):
                office.authenticator.authenticate(token)
        assert office.keys.get(admin, made.key.id).revoked_at is not None
        assert office.actions(made.key.id) == ["api_key.created", "api_key.revoked"]
        office.directory.activate_person(admin, person_id)
        for token in (session, made.token):
            with pytest.raises(UnauthenticatedError):
                office.authenticator.authenticate(token)
        assert office.actions(person_id) == [
            "person.created",
            "person.deactivated",
            "person.activated",
        ]


class TestOffices:
    def test_an_office_is_granted_and_revoked_and_counts_with_the_next_request(
        self, office: SampleOffice
    ) -> None:
        admin, person_id, unit_id = office.admin, office.person_id(HEAD), office.unit_id("VP-TC")
        token = office.token(HEAD)
        before = office.authenticator.authenticate(token).offices
        office.directory.grant_office(admin, person_id, unit_id=unit_id, role="clerk")
        assert Office(unit_id, "clerk") in office.authenticator.authenticate(token).offices
        office.directory.revoke_office(admin, person_id, unit_id=unit_id, role="clerk")
        assert office.authenticator.authenticate(token).offices == before
        assert office.actions(person_id) == [
            "person.created",
            "person.office-granted",
            "person.office-revoked",
        ]

    def test_granting_what_is_held_and_revoking_what_is_not_change_nothing(
        self, office: SampleOffice
    ) -> None:
        admin, person_id = office.admin, office.person_id(HEAD)
        office.directory.grant_office(
            admin, person_id, unit_id=office.unit_id("VP-TH"), role="head"
        )
        office.directory.revoke_office(
            admin, person_id, unit_id=office.unit_id("VP-TC"), role="head"
        )
        assert office.actions(person_id) == ["person.created"]

    @pytest.mark.parametrize("role", ["clerk", "specialist", "head", "leader", "auditor"])
    def test_an_administrator_holds_no_other_office(
        self, embedded: SampleOffice, role: str
    ) -> None:
        with pytest.raises(ConflictError) as caught:
            embedded.directory.grant_office(
                embedded.admin,
                embedded.person_id(ADMINISTRATOR),
                unit_id=embedded.unit_id("VP"),
                role=role,
            )
        assert caught.value.code == "separation-of-duties"

    @pytest.mark.parametrize("login", [CLERK, SPECIALIST, HEAD, LEADER, AUDITOR])
    def test_who_holds_an_office_does_not_become_administrator(
        self, embedded: SampleOffice, login: str
    ) -> None:
        with pytest.raises(ConflictError) as caught:
            embedded.directory.grant_office(
                embedded.admin,
                embedded.person_id(login),
                unit_id=embedded.unit_id("VP"),
                role="administrator",
            )
        assert caught.value.code == "separation-of-duties"

    def test_nor_at_the_start(self, office: SampleOffice) -> None:
        top = office.unit_id("VP")
        with pytest.raises(ConflictError):
            office.directory.create_person(
                office.admin,
                login="moi.nv",
                name="X",
                held=[Office(top, "clerk"), Office(top, "administrator")],
            )

    def test_nor_by_two_grants_at_once(self, office: SampleOffice) -> None:
        admin, unit_id = office.admin, office.unit_id("VP")
        person = office.directory.create_person(admin, login="moi.nv", name="X")
        refused: list[str] = []

        def grant(role: str) -> None:
            try:
                office.directory.grant_office(admin, person.id, unit_id=unit_id, role=role)
            except DocflowError as error:
                refused.append(error.code)

        threads = [
            threading.Thread(target=grant, args=(role,)) for role in ("clerk", "administrator")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused == ["separation-of-duties"]
        assert len(office.directory.person(admin, person.id).offices) == 1

    @pytest.mark.parametrize(
        ("login", "unit", "role"),
        [
            (CLERK, "VP", "king"),
            (CLERK, "VP", ""),
            (CLERK, "VP", "integrator"),
            (SYSTEM, "VP", "clerk"),
            (SYSTEM, "VP", "administrator"),
            (CLERK, "VP-TC", "auditor"),
        ],
    )
    def test_an_office_that_does_not_fit_is_refused(
        self, embedded: SampleOffice, login: str, unit: str, role: str
    ) -> None:
        with pytest.raises(InvalidInputError):
            embedded.directory.grant_office(
                embedded.admin, embedded.person_id(login), unit_id=embedded.unit_id(unit), role=role
            )

    def test_the_last_administrator_stays(self, office: SampleOffice) -> None:
        admin = office.admin
        attempts: list[Callable[[], object]] = [
            lambda: office.directory.deactivate_person(admin, admin.id),
            lambda: office.directory.revoke_office(
                admin, admin.id, unit_id=office.unit_id("VP"), role="administrator"
            ),
        ]
        for attempt in attempts:
            with pytest.raises(ConflictError) as caught:
                attempt()
            assert caught.value.code == "last-administrator"
        second = office.directory.create_person(
            admin,
            login="moi.qt",
            name="Quản trị",
            held=[Office(office.unit_id("VP"), "administrator")],
        )
        assert not office.directory.deactivate_person(admin, admin.id).active
        assert second.active


class TestWhoMay:
    @pytest.mark.parametrize("login", [CLERK, SPECIALIST, HEAD, LEADER, AUDITOR, OUTSIDER])
    def test_only_administrators_change_the_directory(
        self, embedded: SampleOffice, login: str
    ) -> None:
        actor, admin = embedded.actor(login), embedded.person_id(ADMINISTRATOR)
        top = embedded.unit_id("VP")
        attempts: list[Callable[[], object]] = [
            lambda: embedded.directory.create_unit(actor, code="X", name="X", parent_id=top),
            lambda: embedded.directory.change_unit(actor, top, name="X"),
            lambda: embedded.directory.create_person(actor, login="x", name="X"),
            lambda: embedded.directory.rename_person(actor, admin, "X"),
            lambda: embedded.directory.deactivate_person(actor, admin),
            lambda: embedded.directory.activate_person(actor, admin),
            lambda: embedded.directory.grant_office(actor, actor.id, unit_id=top, role="leader"),
            lambda: embedded.directory.revoke_office(
                actor, admin, unit_id=top, role="administrator"
            ),
        ]
        for attempt in attempts:
            with pytest.raises(ForbiddenError) as caught:
                attempt()
            assert caught.value.rule == "directory:manage"
            assert caught.value.satisfied_by
        recorded = embedded.actions(actor.id).count("person.refused")
        assert recorded == (len(attempts) if actor.kind == "person" else 0)
        assert embedded.actions(top) == ["unit.created"]

    def test_recipients_do_not_read_the_directory(self, embedded: SampleOffice) -> None:
        actor = embedded.actor(OUTSIDER)
        for attempt in (
            lambda: embedded.directory.list_units(actor),
            lambda: embedded.directory.list_people(actor),
            lambda: embedded.directory.person(actor, embedded.person_id(CLERK)),
            lambda: embedded.directory.unit(actor, embedded.unit_id("VP")),
            lambda: embedded.recipients.list(actor),
        ):
            with pytest.raises(ForbiddenError):
                attempt()


class TestRecipients:
    def add(self, office: SampleOffice, actor: Actor, **changed: object) -> str:
        values: dict[str, object] = {
            "code": "MOI",
            "name": "Nơi nhận mới",
            "kind": "organisation",
            "external": True,
            **changed,
        }
        return office.recipients.add(actor, **values).id  # type: ignore[arg-type]

    @pytest.mark.parametrize("login", [CLERK, ADMINISTRATOR])
    def test_a_clerk_or_an_administrator_adds_one(self, office: SampleOffice, login: str) -> None:
        actor = office.actor(login)
        recipient_id = self.add(office, actor)
        assert office.recipients.get(actor, recipient_id).code == "MOI"
        assert office.actions(recipient_id) == ["recipient.created"]

    @pytest.mark.parametrize("login", [SPECIALIST, HEAD, LEADER, AUDITOR, OUTSIDER])
    def test_nobody_else_does(self, embedded: SampleOffice, login: str) -> None:
        actor = embedded.actor(login)
        with pytest.raises(ForbiddenError) as caught:
            self.add(embedded, actor)
        assert caught.value.rule == "recipient:add"

    def test_only_an_administrator_changes_one(self, office: SampleOffice) -> None:
        recipient_id = office.recipient_id("STC")
        with pytest.raises(ForbiddenError):
            office.recipients.change(office.actor(CLERK), recipient_id, name="X")
        changed = office.recipients.change(office.admin, recipient_id, name="Sở", version=1)
        assert (changed.name, changed.version) == ("Sở", 2)
        with pytest.raises(StaleVersionError):
            office.recipients.change(office.admin, recipient_id, name="Y", version=1)

    def test_one_that_is_deactivated_is_out_at_once(self, office: SampleOffice) -> None:
        token = office.token(OUTSIDER)
        recipient_id = office.recipient_id("X-TANHOA")
        office.recipients.change(office.admin, recipient_id, active=False)
        with pytest.raises(UnauthenticatedError):
            office.authenticator.authenticate(token)
        inactive = office.recipients.list(office.admin, active=False).items
        assert [recipient.id for recipient in inactive] == [recipient_id]

    @pytest.mark.parametrize(
        ("changed", "pointer"),
        [
            ({"kind": "robot"}, "/kind"),
            ({"person_id": "clerk"}, "/external"),
            ({"unit_id": "unit"}, "/external"),
            ({"external": False, "kind": "person", "unit_id": "unit"}, "/unit_id"),
            ({"external": False, "person_id": "clerk"}, "/person_id"),
            ({"code": "mã sai"}, "/code"),
            ({"name": ""}, "/name"),
        ],
    )
    def test_one_that_does_not_fit_together_is_refused(
        self, embedded: SampleOffice, changed: dict[str, object], pointer: str
    ) -> None:
        ids = {"clerk": embedded.person_id(CLERK), "unit": embedded.unit_id("VP-TC")}
        values = {key: ids.get(str(value), value) for key, value in changed.items()}
        with pytest.raises(InvalidInputError) as caught:
            self.add(embedded, embedded.admin, **values)
        assert caught.value.fields[0].pointer == pointer

    def test_its_links_exist(self, office: SampleOffice) -> None:
        with pytest.raises(NotFoundError):
            self.add(office, office.admin, external=False, unit_id=new_id())
        with pytest.raises(NotFoundError):
            self.add(office, office.admin, external=False, kind="person", person_id=new_id())

    def test_a_code_is_taken_once(self, office: SampleOffice) -> None:
        with pytest.raises(ConflictError) as caught:
            self.add(office, office.admin, code="STC")
        assert caught.value.code == "code-taken"

    def test_they_are_listed_and_filtered(self, office: SampleOffice) -> None:
        actor = office.actor(SPECIALIST)
        inside = office.recipients.list(actor, external=False).items
        assert {recipient.code for recipient in inside} == {"NB-TC", "NB-SON"}
        assert [r.code for r in office.recipients.list(actor, code="STC").items] == ["STC"]
        found = all_of(lambda c: office.recipients.list(actor, cursor=c, limit=2))  # type: ignore[arg-type, return-value]
        assert len(found) == 10
