from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from docflow.db import Database, Draft
from docflow.kernel.actor import SERVICE, Office
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnauthenticatedError
from docflow.people.authenticate import Authenticator
from docflow.people.tables import accounts, people, recipients
from docflow.people.tokens import new_token
from tests.service.people_office import (
    CLERK,
    HEAD,
    LEADER,
    OUTSIDER,
    SPECIALIST,
    SYSTEM,
    SampleOffice,
    sample_seed,
)


@pytest.fixture
def office(database: Database) -> SampleOffice:
    return SampleOffice.make(database)


@pytest.fixture
def embedded(sqlite: Database) -> SampleOffice:
    """For what has nothing to do with the database: SQLite is enough."""
    return SampleOffice.make(sqlite)


def code_of(office: SampleOffice, token: str) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        office.authenticator.authenticate(token)
    assert not token or token not in f"{caught.value!r} {caught.value} {caught.value.extra}"
    return caught.value.code


def test_an_actor_brings_offices_the_tree_below_them_and_inboxes(office: SampleOffice) -> None:
    actor = office.actor(LEADER)
    top = office.unit_id("VP")
    codes = ["VP", "VP-TH", "VP-TC", "VP-NC", "VP-KT", "VP-HC", "VP-VT"]
    assert actor.kind == "person"
    assert actor.id == office.person_id(LEADER)
    assert actor.offices == (Office(top, "leader"),)
    assert actor.unit_tree == ((top, frozenset(map(office.unit_id, codes))),)
    assert actor.scopes is None
    assert actor.recipient_ids == {office.recipient_id("NB-SON")}


def test_two_offices_bring_two_trees(office: SampleOffice) -> None:
    actor = office.actor("tuan.va")
    held = {office.unit_id("VP-KT"), office.unit_id("VP-NC")}
    assert {held_office.unit_id for held_office in actor.offices} == held
    assert dict(actor.unit_tree) == {unit_id: frozenset({unit_id}) for unit_id in held}


def test_the_head_of_a_unit_receives_for_it_and_a_specialist_does_not(
    office: SampleOffice,
) -> None:
    assert office.actor("lan.vt").recipient_ids == {office.recipient_id("NB-TC")}
    assert office.actor("thuy.pt").recipient_ids == frozenset()


def test_who_stands_above_a_unit_does_not_receive_for_it(office: SampleOffice) -> None:
    assert office.actor(CLERK).recipient_ids == frozenset()


def test_a_recipient_brings_itself_and_no_office(office: SampleOffice) -> None:
    actor = office.actor(OUTSIDER)
    assert (actor.kind, actor.offices, actor.unit_tree) == ("recipient", (), ())
    assert actor.id == office.recipient_id("X-TANHOA")
    assert actor.recipient_ids == {actor.id}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "dfs_",
        "dfs_" + "a" * 43,
        "dfk_" + "a" * 43,
        "dfx_" + "a" * 43,
        "dfs_" + "a" * 44,
        "dfs_" + "ă" * 43,
        "dfs_" + "\ud800" * 43,
        "dfs_" + "a" * 43 + "\n",
        "\x00",
        "x" * 100_000,
    ],
)
def test_what_is_no_token_of_ours_is_invalid(embedded: SampleOffice, token: str) -> None:
    assert code_of(embedded, token) == "invalid-token"


def test_a_session_token_is_no_key_and_a_key_no_session(office: SampleOffice) -> None:
    assert code_of(office, "dfk_" + office.token(CLERK)[4:]) == "invalid-token"


def test_a_session_expires(office: SampleOffice, clock: ManualClock) -> None:
    token = office.token(CLERK)
    clock.advance(timedelta(hours=9) - timedelta(microseconds=1))
    office.authenticator.authenticate(token)
    clock.advance(timedelta(microseconds=1))
    assert code_of(office, token) == "session-expired"


def test_logging_out_ends_the_session_in_every_process_at_once(office: SampleOffice) -> None:
    token, other = office.token(CLERK), office.token(CLERK)
    elsewhere = Authenticator(office.database, sample_seed().classification)
    elsewhere.authenticate(token)
    office.accounts.logout(token)
    with pytest.raises(UnauthenticatedError):
        elsewhere.authenticate(token)
    assert code_of(office, token) == "invalid-token"
    office.authenticator.authenticate(other)


@pytest.mark.parametrize("token", ["", "dfs_" + "a" * 43, "dfk_" + "a" * 43, "\ud800"])
def test_logging_out_what_is_no_session_is_no_error(embedded: SampleOffice, token: str) -> None:
    embedded.accounts.logout(token)


@pytest.mark.parametrize(
    ("table", "login"), [(accounts, CLERK), (people, CLERK), (recipients, OUTSIDER)]
)
def test_a_session_that_outlived_its_account_or_owner_is_no_use(
    office: SampleOffice, table: sa.Table, login: str
) -> None:
    """Deactivating ends sessions; one opened in that very moment must not get in either."""
    token = office.token(login)
    column = table.c.code if table is recipients else table.c.login
    value = "X-TANHOA" if table is recipients else login
    with office.database.unit_of_work(SERVICE) as uow:
        found = uow.connection.execute(sa.select(table).where(column == value))
        row = {str(name): item for name, item in found.mappings().one().items()}
        uow.change(table, row, {"active": False}, Draft("test.deactivated", {}))
    assert code_of(office, token) == "invalid-token"


def test_a_moved_unit_counts_with_the_next_request_in_every_process(office: SampleOffice) -> None:
    token = office.token(HEAD)  # head of VP-TH
    elsewhere = Authenticator(office.database, sample_seed().classification)
    moved = office.unit_id("VP-TC")
    assert moved not in dict(elsewhere.authenticate(token).unit_tree)[office.unit_id("VP-TH")]
    office.directory.change_unit(office.admin, moved, parent_id=office.unit_id("VP-TH"))
    assert moved in dict(elsewhere.authenticate(token).unit_tree)[office.unit_id("VP-TH")]


def test_a_new_unit_counts_with_the_next_request(office: SampleOffice) -> None:
    token = office.token(HEAD)
    office.authenticator.authenticate(token)
    top = office.unit_id("VP-TH")
    unit = office.directory.create_unit(office.admin, code="MOI", name="Mới", parent_id=top)
    assert unit.id in dict(office.authenticator.authenticate(token).unit_tree)[top]


def test_it_takes_two_queries_the_first_time_and_one_from_then_on(office: SampleOffice) -> None:
    token = office.token(SPECIALIST)
    office.authenticator.authenticate(token)
    statements: list[str] = []

    def count(_c: sa.Connection, _cur: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    event.listen(office.database.engine, "before_cursor_execute", count)
    office.authenticator.authenticate(token)
    assert len(statements) == 1
    Authenticator(office.database, sample_seed().classification).authenticate(token)
    assert len(statements) == 3


def test_a_person_without_office_gets_in_and_brings_nothing(office: SampleOffice) -> None:
    person = office.directory.create_person(office.admin, login="moi.nv", name="Người Mới")
    office.accounts.create(office.admin, password="mật khẩu đầu tiên", person_id=person.id)
    token = office.accounts.login("moi.nv", "mật khẩu đầu tiên").token
    actor = office.authenticator.authenticate(token)
    assert (actor.offices, actor.unit_tree, actor.recipient_ids) == ((), (), frozenset())


def test_offices_and_inboxes_do_not_multiply_each_other(office: SampleOffice) -> None:
    admin, person_id = office.admin, office.person_id("lan.vt")
    for unit in ("VP-KT", "VP-NC"):
        office.directory.grant_office(
            admin, person_id, unit_id=office.unit_id(unit), role="specialist"
        )
    office.recipients.add(
        admin, code="NB-LAN", name="Bà Lan", kind="person", external=False, person_id=person_id
    )
    actor = office.actor("lan.vt")
    assert len(actor.offices) == 3
    assert actor.recipient_ids == {office.recipient_id("NB-TC"), office.recipient_id("NB-LAN")}


def test_neither_tokens_nor_passwords_are_anywhere_in_the_database(office: SampleOffice) -> None:
    secrets = [office.token(CLERK), office.token(OUTSIDER)]
    made = office.keys.create(
        office.admin, name="x", scopes=["inbox:read"], person_id=office.person_id(SYSTEM)
    )
    office.keys.revoke(office.admin, made.key.id)
    wrong, new = "mật khẩu gõ nhầm", "mật khẩu hoàn toàn mới"
    with pytest.raises(UnauthenticatedError) as caught:
        office.accounts.login(CLERK, wrong)
    with pytest.raises(UnauthenticatedError):
        office.accounts.login(wrong, wrong)  # typed into the wrong box
    old = f"mật khẩu của {CLERK}"
    office.accounts.change_password(office.actor(CLERK), old, new)
    office.accounts.reset_password(office.admin, office.account_id(CLERK), new + " hơn")
    stored = office.everything()
    assert "api_key.revoked" in stored
    for secret in (*secrets, made.token, wrong, new, old):
        assert secret not in stored
        assert secret[4:] not in stored
        assert secret not in f"{caught.value!r} {caught.value} {made!r}"


def test_tokens_are_never_the_same() -> None:
    assert len({new_token("session") for _ in range(1000)}) == 1000
