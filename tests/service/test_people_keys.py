from collections.abc import Callable
from datetime import timedelta

import pytest

from docflow.db import Database
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from docflow.kernel.ids import new_id
from docflow.people.keys import RECIPIENT_SCOPES
from docflow.people.vocabulary import Scope
from tests.service.people_office import (
    ADMINISTRATOR,
    CLERK,
    LEADER,
    OUTSIDER,
    SYSTEM,
    SampleOffice,
)


@pytest.fixture
def office(database: Database) -> SampleOffice:
    return SampleOffice.make(database)


@pytest.fixture
def embedded(sqlite: Database) -> SampleOffice:
    """For what has nothing to do with the database: SQLite is enough."""
    return SampleOffice.make(sqlite)


def test_a_key_acts_as_its_system_within_its_scopes(office: SampleOffice) -> None:
    system_id = office.person_id(SYSTEM)
    made = office.keys.create(
        office.admin,
        name="Kế toán",
        scopes=["documents:read", Scope.DOCUMENTS_CREATE, "documents:read"],
        person_id=system_id,
    )
    assert made.token.startswith("dfk_")
    assert len(made.token) == 47
    actor = office.authenticator.authenticate(made.token)
    assert (actor.id, actor.kind) == (system_id, "system")
    assert actor.scopes == frozenset({"documents:create", "documents:read"})
    assert [held.role for held in actor.offices] == ["integrator"]


def test_a_key_acts_as_its_recipient(office: SampleOffice) -> None:
    recipient_id = office.recipient_id("SXD")
    made = office.keys.create(
        office.admin, name="SXD", scopes=["inbox:read"], recipient_id=recipient_id
    )
    actor = office.authenticator.authenticate(made.token)
    assert (actor.id, actor.kind) == (recipient_id, "recipient")
    assert actor.recipient_ids == {recipient_id}
    assert actor.offices == ()


def test_a_revoked_key_is_out_with_the_next_request(office: SampleOffice) -> None:
    made = office.keys.create(
        office.admin, name="x", scopes=["documents:read"], person_id=office.person_id(SYSTEM)
    )
    office.authenticator.authenticate(made.token)
    revoked = office.keys.revoke(office.admin, made.key.id)
    with pytest.raises(UnauthenticatedError) as caught:
        office.authenticator.authenticate(made.token)
    assert caught.value.code == "invalid-token"
    assert office.keys.revoke(office.admin, made.key.id) == revoked
    assert office.actions(made.key.id) == ["api_key.created", "api_key.revoked"]


def test_a_key_expires(office: SampleOffice, clock: ManualClock) -> None:
    made = office.keys.create(
        office.admin,
        name="x",
        scopes=["documents:read"],
        person_id=office.person_id(SYSTEM),
        expires_at=clock.now() + timedelta(days=1),
    )
    clock.advance(timedelta(days=1) - timedelta(microseconds=1))
    office.authenticator.authenticate(made.token)
    clock.advance(timedelta(microseconds=1))
    with pytest.raises(UnauthenticatedError) as caught:
        office.authenticator.authenticate(made.token)
    assert caught.value.code == "key-expired"


def test_an_expiry_that_has_passed_is_refused(office: SampleOffice, clock: ManualClock) -> None:
    with pytest.raises(InvalidInputError):
        office.keys.create(
            office.admin,
            name="x",
            scopes=["documents:read"],
            person_id=office.person_id(SYSTEM),
            expires_at=clock.now(),
        )


@pytest.mark.parametrize("scopes", [[], ["documents:delete"], ["documents:read", ""], ["*"]])
def test_an_unknown_or_missing_scope_is_refused(embedded: SampleOffice, scopes: list[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        embedded.keys.create(
            embedded.admin, name="x", scopes=scopes, person_id=embedded.person_id(SYSTEM)
        )
    assert caught.value.fields[0].pointer == "/scopes"


@pytest.mark.parametrize("scope", sorted(set(Scope) - RECIPIENT_SCOPES))
def test_a_recipients_key_is_for_its_inbox_only(embedded: SampleOffice, scope: Scope) -> None:
    with pytest.raises(InvalidInputError):
        embedded.keys.create(
            embedded.admin, name="x", scopes=[scope], recipient_id=embedded.recipient_id("SXD")
        )


def test_a_key_has_exactly_one_owner_that_exists_and_is_active(office: SampleOffice) -> None:
    admin, system_id = office.admin, office.person_id(SYSTEM)
    recipient_id = office.recipient_id("SXD")
    with pytest.raises(InvalidInputError):
        office.keys.create(admin, name="x", scopes=["inbox:read"])
    with pytest.raises(InvalidInputError):
        office.keys.create(
            admin, name="x", scopes=["inbox:read"], person_id=system_id, recipient_id=recipient_id
        )
    with pytest.raises(NotFoundError):
        office.keys.create(admin, name="x", scopes=["inbox:read"], person_id=new_id())
    office.directory.deactivate_person(admin, system_id)
    with pytest.raises(ConflictError) as caught:
        office.keys.create(admin, name="x", scopes=["inbox:read"], person_id=system_id)
    assert caught.value.code == "owner-inactive"


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 201])
def test_a_bad_name_is_named(embedded: SampleOffice, name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        embedded.keys.create(
            embedded.admin, name=name, scopes=["inbox:read"], person_id=embedded.person_id(SYSTEM)
        )
    assert caught.value.fields[0].pointer == "/name"


def test_keys_are_listed_without_their_secret(office: SampleOffice) -> None:
    system_id = office.person_id(SYSTEM)
    made = [
        office.keys.create(office.admin, name=f"k{n}", scopes=["inbox:read"], person_id=system_id)
        for n in range(3)
    ]
    first = office.keys.list(office.admin, limit=2)
    second = office.keys.list(office.admin, cursor=first.next_cursor, limit=2)
    assert [*first.items, *second.items] == [item.key for item in made]
    assert second.next_cursor is None
    assert not any(item.token in repr((first, second, made)) for item in made)


@pytest.mark.parametrize("login", [CLERK, LEADER, OUTSIDER])
def test_only_administrators_handle_keys(embedded: SampleOffice, login: str) -> None:
    actor = embedded.actor(login)
    attempts: list[Callable[[], object]] = [
        lambda: embedded.keys.create(actor, name="x", scopes=["inbox:read"], person_id=actor.id),
        lambda: embedded.keys.revoke(actor, new_id()),
        lambda: embedded.keys.get(actor, new_id()),
        lambda: embedded.keys.list(actor),
    ]
    for attempt in attempts:
        with pytest.raises(ForbiddenError) as caught:
            attempt()
        assert caught.value.rule == "key:manage"


def test_no_key_can_make_keys_not_even_an_administrators(office: SampleOffice) -> None:
    made = office.keys.create(
        office.admin,
        name="x",
        scopes=[scope.value for scope in Scope],
        person_id=office.person_id(ADMINISTRATOR),
    )
    actor = office.authenticator.authenticate(made.token)
    with pytest.raises(ForbiddenError) as caught:
        office.keys.create(actor, name="y", scopes=["inbox:read"], person_id=actor.id)
    assert caught.value.rule == "key-scope"
