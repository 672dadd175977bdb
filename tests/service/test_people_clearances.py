"""Clearances: who grants them, to whom they are shown, and that they end when they say."""

from datetime import UTC, datetime, timedelta

import pytest

from docflow.db import Database
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
)
from docflow.people.clearances import Clearances
from docflow.people.tables import clearances
from tests.conftest import rows
from tests.service.people_office import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    OUTSIDER,
    SPECIALIST,
    SYSTEM,
    SampleOffice,
    sample_seed,
)

OPEN = frozenset({"public", "internal"})
CLEARED = OPEN | {"confidential"}
UNCLEARED = "thuy.pt"
LONGEST = timedelta(days=1826)
CLASSIFICATION = sample_seed().classification


@pytest.fixture
def office(database: Database) -> SampleOffice:
    return SampleOffice.make(database)


@pytest.fixture
def kept(office: SampleOffice) -> Clearances:
    return Clearances(office.database, CLASSIFICATION, LONGEST)


def grant(
    office: SampleOffice,
    kept: Clearances,
    login: str = UNCLEARED,
    days: float = 30,
    level: str = "confidential",
    by: str = ADMINISTRATOR,
) -> None:
    expires_at = office.database.clock.now() + timedelta(days=days)
    kept.grant(
        office.actor(by),
        office.person_id(login),
        level=level,
        expires_at=expires_at,
        reason="Thụ lý hồ sơ mật",
    )


@pytest.mark.parametrize(
    ("login", "cleared"),
    [(CLERK, CLEARED), (SPECIALIST, CLEARED), (UNCLEARED, OPEN), (ADMINISTRATOR, OPEN),
     (OUTSIDER, OPEN)],
)  # fmt: skip
def test_the_office_file_says_who_is_cleared(
    office: SampleOffice, login: str, cleared: frozenset[str]
) -> None:
    assert office.actor(login).cleared == cleared


def test_a_clearance_of_the_office_file_ends_with_the_day_before(
    office: SampleOffice, clock: ManualClock
) -> None:
    until = datetime(2030, 12, 31, 17, tzinfo=UTC)  # midnight in the office
    clock.advance(until - timedelta(microseconds=1) - clock.now())
    assert office.actor(CLERK).cleared == CLEARED
    clock.advance(timedelta(microseconds=1))
    assert office.actor(CLERK).cleared == OPEN


def test_a_clearance_counts_with_the_next_request_and_ends_to_the_second(
    office: SampleOffice, kept: Clearances, clock: ManualClock
) -> None:
    token = office.token(UNCLEARED)
    assert office.authenticator.authenticate(token).cleared == OPEN
    grant(office, kept, days=1 / 24)
    assert office.authenticator.authenticate(token).cleared == CLEARED
    clock.advance(timedelta(hours=1) - timedelta(microseconds=1))
    assert office.authenticator.authenticate(token).cleared == CLEARED
    clock.advance(timedelta(microseconds=1))
    assert office.authenticator.authenticate(token).cleared == OPEN


def test_a_revoked_clearance_is_gone_with_the_next_request_for_sessions_and_keys(
    office: SampleOffice, kept: Clearances
) -> None:
    person_id = office.person_id(CLERK)
    made = office.keys.create(
        office.admin, name="test", person_id=person_id, scopes=["documents:read"]
    )
    tokens = (office.token(CLERK), made.token)
    for token in tokens:
        assert office.authenticator.authenticate(token).cleared == CLEARED
    kept.revoke(office.admin, person_id)
    for token in tokens:
        assert office.authenticator.authenticate(token).cleared == OPEN
    assert office.actions(person_id)[-1] == "person.clearance-revoked"


def test_revoking_what_is_not_there_changes_nothing(office: SampleOffice, kept: Clearances) -> None:
    before = office.actions(office.person_id(UNCLEARED))
    kept.revoke(office.admin, office.person_id(UNCLEARED))
    assert office.actions(office.person_id(UNCLEARED)) == before


def test_a_system_can_be_cleared_for_what_it_posted(office: SampleOffice, kept: Clearances) -> None:
    grant(office, kept, SYSTEM)
    made = office.keys.create(
        office.admin, name="test", person_id=office.person_id(SYSTEM), scopes=["documents:read"]
    )
    assert office.authenticator.authenticate(made.token).cleared == CLEARED


def test_one_clearance_is_in_force_at_a_time_and_history_tells_of_all(
    office: SampleOffice, kept: Clearances
) -> None:
    before = rows(office.database, clearances)
    grant(office, kept, days=30)
    grant(office, kept, days=60)
    assert rows(office.database, clearances) == before + 1
    person_id = office.person_id(UNCLEARED)
    assert office.actions(person_id) == ["person.created", *["person.clearance-granted"] * 2]
    found, version = kept.of(office.admin, person_id)
    assert (found.level, found.granted_by, version) == ("confidential", office.admin.id, 3)
    assert found.expires_at == office.database.clock.now() + timedelta(days=60)


def test_nobody_grants_or_revokes_their_own(office: SampleOffice, kept: Clearances) -> None:
    with pytest.raises(ForbiddenError) as granting:
        grant(office, kept, ADMINISTRATOR)
    with pytest.raises(ForbiddenError) as revoking:
        kept.revoke(office.admin, office.admin.id)
    assert granting.value.rule == revoking.value.rule == "not-oneself"
    assert office.actions(office.admin.id)[-2:] == ["person.refused"] * 2


@pytest.mark.parametrize("by", [CLERK, HEAD, AUDITOR])
def test_who_is_no_administrator_is_refused_and_history_tells(
    office: SampleOffice, kept: Clearances, by: str
) -> None:
    with pytest.raises(ForbiddenError):
        grant(office, kept, by=by)
    with pytest.raises(ForbiddenError):
        kept.revoke(office.actor(by), office.person_id(UNCLEARED))
    assert office.actions(office.person_id(by))[-2:] == ["person.refused"] * 2


@pytest.mark.parametrize("level", ["internal", "public", "secret", "top-secret", "geheim", ""])
def test_a_level_is_one_that_needs_a_clearance_and_not_above_the_ceiling(
    office: SampleOffice, kept: Clearances, level: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        grant(office, kept, level=level)
    assert caught.value.code == "clearance-level"
    assert "confidential" in caught.value.detail


def test_where_the_ceiling_is_below_what_is_sealed_there_is_no_clearance(
    office: SampleOffice,
) -> None:
    low = CLASSIFICATION.model_copy(update={"ceiling": "internal"})
    with pytest.raises(InvalidInputError, match="none, because the ceiling"):
        grant(office, Clearances(office.database, low, LONGEST))


@pytest.mark.parametrize("days", [-1, 0, 1826.001, 100_000])
def test_a_clearance_expires_in_the_future_and_not_too_late(
    office: SampleOffice, kept: Clearances, days: float
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        grant(office, kept, days=days)
    assert caught.value.code == "clearance-expiry"


def test_a_grant_that_is_based_on_an_old_version_is_refused(
    office: SampleOffice, kept: Clearances
) -> None:
    expires_at = office.database.clock.now() + timedelta(days=1)
    person_id = office.person_id(UNCLEARED)
    with pytest.raises(StaleVersionError):
        kept.grant(
            office.admin, person_id, level="confidential", expires_at=expires_at, reason="vì",
            version=7,
        )  # fmt: skip
    with pytest.raises(StaleVersionError):
        kept.revoke(office.admin, person_id, version=7)


def test_clearances_are_shown_to_oneself_administrators_and_auditors(
    office: SampleOffice, kept: Clearances
) -> None:
    person_id = office.person_id(CLERK)
    for login in (CLERK, ADMINISTRATOR, AUDITOR):
        actor = office.actor(login)
        assert kept.of(actor, person_id)[0].level == "confidential"
        shown = office.directory.person(actor, person_id)
        assert shown.clearance is not None
    head = office.actor(HEAD)
    with pytest.raises(ForbiddenError):
        kept.of(head, person_id)
    assert office.directory.person(head, person_id).clearance is None
    listed = office.directory.list_people(head, limit=200).items
    assert {person.id for person in listed if person.clearance is not None} == {head.id}


def test_who_has_none_is_told_so(office: SampleOffice, kept: Clearances) -> None:
    with pytest.raises(NotFoundError) as caught:
        kept.of(office.admin, office.person_id(UNCLEARED))
    assert caught.value.code == "no-clearance"
