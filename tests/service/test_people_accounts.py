import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from docflow.db import Database
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import (
    ConflictError,
    DocflowError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
    TooManyAttemptsError,
    UnauthenticatedError,
)
from docflow.kernel.ids import new_id
from docflow.people.accounts import Accounts
from docflow.people.passwords import Passwords
from docflow.people.tables import accounts, login_attempts, sessions
from tests.conftest import rows
from tests.service.people_office import (
    ADMINISTRATOR,
    ATTEMPTS,
    CLERK,
    LEADER,
    OUTSIDER,
    SPECIALIST,
    SYSTEM,
    SampleOffice,
    cheap,
    password_of,
)

WRONG = "không phải mật khẩu này"


@pytest.fixture
def office(database: Database) -> SampleOffice:
    return SampleOffice.make(database)


@pytest.fixture
def embedded(sqlite: Database) -> SampleOffice:
    """For what has nothing to do with the database: SQLite is enough."""
    return SampleOffice.make(sqlite)


def refusal(office: SampleOffice, login: str, password: str) -> DocflowError:
    with pytest.raises(DocflowError) as caught:
        office.accounts.login(login, password)
    return caught.value


def lock(office: SampleOffice, login: str) -> None:
    for _ in range(ATTEMPTS):
        refusal(office, login, WRONG)


class TestLogin:
    def test_opens_a_session_that_expires_when_the_settings_say(
        self, office: SampleOffice, clock: ManualClock
    ) -> None:
        session = office.accounts.login(CLERK, password_of(CLERK))
        assert session.expires_at == clock.now() + timedelta(hours=9)
        assert session.person_id == office.person_id(CLERK)
        assert session.token.startswith("dfs_")
        assert len(session.token) == 47

    def test_login_ignores_case_and_spaces_around_the_login(self, office: SampleOffice) -> None:
        assert office.accounts.login(f" {CLERK.upper()} ", password_of(CLERK)).login == CLERK

    @pytest.mark.parametrize(
        "login", [CLERK, "ai.do", "", "x" * 5000, "a\x00b", "\ud800", "Ơ'; --"]
    )
    def test_wrong_password_and_unknown_login_get_the_same_answer(
        self, office: SampleOffice, login: str
    ) -> None:
        expected = refusal(office, CLERK, WRONG)
        found = refusal(office, login, WRONG)
        assert isinstance(found, UnauthenticatedError)
        assert (found.code, found.detail, found.extra) == (
            "invalid-credentials",
            expected.detail,
            expected.extra,
        )

    def test_a_deactivated_account_looks_like_a_wrong_password(self, office: SampleOffice) -> None:
        office.accounts.set_active(office.admin, office.account_id(CLERK), active=False)
        assert refusal(office, CLERK, password_of(CLERK)).code == "invalid-credentials"

    def test_a_deactivated_person_looks_like_a_wrong_password(self, office: SampleOffice) -> None:
        office.directory.deactivate_person(office.admin, office.person_id(CLERK))
        assert refusal(office, CLERK, password_of(CLERK)).code == "invalid-credentials"

    def test_a_recipient_from_outside_signs_in(self, office: SampleOffice) -> None:
        assert office.actor(OUTSIDER).kind == "recipient"

    def test_a_hash_made_with_old_parameters_is_renewed_and_the_password_stays(
        self, office: SampleOffice
    ) -> None:
        stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
        renewed = Accounts(office.database, office.settings, stronger)
        renewed.login(CLERK, password_of(CLERK))
        renewed.login(CLERK, password_of(CLERK))
        assert office.actions(office.account_id(CLERK)) == ["account.created", "account.rehashed"]
        with office.database.read() as connection:
            stored = connection.execute(
                sa.select(accounts.c.password_hash).where(accounts.c.login == CLERK)
            ).scalar_one()
        assert not stronger.outdated(stored)

    def test_an_unknown_login_costs_one_hash_like_a_known_one(self, office: SampleOffice) -> None:
        checked: list[str] = []

        class Counting(PasswordHasher):
            def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
                checked.append(str(hash))
                return super().verify(hash, password)

        counting = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
        counted = Accounts(office.database, office.settings, counting)
        for login in ("ai.do", CLERK):
            with pytest.raises(UnauthenticatedError):
                counted.login(login, WRONG)
        assert len(checked) == 2
        assert not any(counting.outdated(stored) for stored in checked)


class TestLockOut:
    @pytest.mark.parametrize("login", [CLERK, "ai.do"])
    def test_after_n_wrong_passwords_a_login_is_locked_whether_it_exists_or_not(
        self, office: SampleOffice, login: str
    ) -> None:
        lock(office, login)
        refused = refusal(office, login, password_of(login))
        assert isinstance(refused, TooManyAttemptsError)
        assert refused.code == "account-locked"
        assert refused.extra["retry_after_seconds"] == 15 * 60

    def test_a_right_password_in_between_starts_the_count_again(self, office: SampleOffice) -> None:
        for _ in range(ATTEMPTS - 1):
            refusal(office, CLERK, WRONG)
        office.token(CLERK)
        for _ in range(ATTEMPTS - 1):
            refusal(office, CLERK, WRONG)
        assert office.token(CLERK)

    def test_the_lock_ends_by_itself_and_the_count_starts_again(
        self, office: SampleOffice, clock: ManualClock
    ) -> None:
        lock(office, CLERK)
        clock.advance(timedelta(minutes=14, seconds=59))
        assert refusal(office, CLERK, password_of(CLERK)).code == "account-locked"
        clock.advance(timedelta(seconds=1))
        assert refusal(office, CLERK, WRONG).code == "invalid-credentials"
        assert office.token(CLERK)

    def test_the_lock_and_its_end_by_an_administrator_are_history(
        self, office: SampleOffice
    ) -> None:
        lock(office, CLERK)
        account_id = office.account_id(CLERK)
        office.accounts.unlock(office.admin, account_id)
        assert office.actions(account_id) == [
            "account.created",
            "account.locked",
            "account.unlocked",
        ]
        assert office.token(CLERK)

    def test_unlocking_what_is_not_locked_leaves_no_entry(self, office: SampleOffice) -> None:
        office.accounts.unlock(office.admin, office.account_id(CLERK))
        assert office.actions(office.account_id(CLERK)) == ["account.created"]

    def test_the_list_shows_who_is_locked_out(
        self, office: SampleOffice, clock: ManualClock
    ) -> None:
        admin = office.admin
        lock(office, CLERK)
        listed = office.accounts.list(admin, limit=200).items
        assert {item.login: item.locked_until for item in listed if item.locked_until} == {
            CLERK: clock.now() + timedelta(minutes=15)
        }

    def test_the_session_that_is_open_goes_on_while_the_login_is_locked(
        self, office: SampleOffice
    ) -> None:
        token = office.token(CLERK)
        lock(office, CLERK)
        assert office.authenticator.authenticate(token).id == office.person_id(CLERK)

    @pytest.mark.parametrize("login", [CLERK, "ai.do"])
    def test_concurrent_failures_are_all_counted_and_answered_at_most_n_times(
        self, office: SampleOffice, login: str
    ) -> None:
        codes: list[str] = []
        start = threading.Barrier(8)

        def attempt() -> None:
            start.wait()
            codes.append(refusal(office, login, WRONG).code)

        threads = [threading.Thread(target=attempt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (
            sorted(codes)
            == ["account-locked"] * (8 - ATTEMPTS) + ["invalid-credentials"] * ATTEMPTS
        )
        with office.database.read() as connection:
            assert connection.execute(sa.select(login_attempts.c.failures)).scalar_one() == ATTEMPTS

    def test_a_right_password_checked_while_the_lock_fell_is_refused(
        self, office: SampleOffice
    ) -> None:
        """The lock falls between the comparison of the password and the opening of the session."""

        class LockingMeanwhile(Passwords):
            def verify(self, stored: str | None, password: str) -> bool:
                right = super().verify(stored, password)
                lock(office, CLERK)
                return right

        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        slow = Accounts(office.database, office.settings, LockingMeanwhile(hasher))
        with pytest.raises(TooManyAttemptsError):
            slow.login(CLERK, password_of(CLERK))
        assert rows(office.database, sessions) == 0

    def test_many_people_sign_in_at_once_with_one_account(self, office: SampleOffice) -> None:
        tokens: list[str] = []
        threads = [
            threading.Thread(target=lambda: tokens.append(office.token(CLERK))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(tokens)) == 8


class TestPasswords:
    def test_changing_it_needs_the_old_one_and_counts_wrong_ones(
        self, office: SampleOffice
    ) -> None:
        actor = office.actor(CLERK)
        for _ in range(ATTEMPTS):
            with pytest.raises(UnauthenticatedError):
                office.accounts.change_password(actor, WRONG, "một mật khẩu mới")
        with pytest.raises(TooManyAttemptsError):
            office.accounts.change_password(actor, password_of(CLERK), "một mật khẩu mới")

    def test_changing_it_ends_the_other_sessions(self, office: SampleOffice) -> None:
        other, mine = office.token(CLERK), office.token(CLERK)
        actor = office.authenticator.authenticate(mine)
        office.accounts.change_password(
            actor, password_of(CLERK), "một mật khẩu mới", keep_token=mine
        )
        assert office.authenticator.authenticate(mine) == actor
        with pytest.raises(UnauthenticatedError):
            office.authenticator.authenticate(other)
        office.accounts.login(CLERK, "một mật khẩu mới")
        assert refusal(office, CLERK, password_of(CLERK)).code == "invalid-credentials"

    @pytest.mark.parametrize("new", ["ngắn quá", CLERK * 1, "password1234", "a" * 20, "x" * 129])
    def test_a_weak_new_password_is_refused_without_repeating_it(
        self, embedded: SampleOffice, new: str
    ) -> None:
        actor = embedded.actor(CLERK)
        with pytest.raises(InvalidInputError) as caught:
            embedded.accounts.change_password(actor, password_of(CLERK), new)
        assert caught.value.code == "weak-password"
        assert new not in str(caught.value)
        assert embedded.token(CLERK)

    def test_an_api_key_cannot_change_its_owners_password(self, office: SampleOffice) -> None:
        made = office.keys.create(
            office.admin,
            name="khóa",
            scopes=["documents:read"],
            person_id=office.person_id(CLERK),
        )
        actor = office.authenticator.authenticate(made.token)
        with pytest.raises(ForbiddenError):
            office.accounts.change_password(actor, password_of(CLERK), "một mật khẩu mới")

    def test_an_administrator_resets_it_which_ends_lock_and_sessions(
        self, office: SampleOffice
    ) -> None:
        token = office.token(CLERK)
        lock(office, CLERK)
        office.accounts.reset_password(office.admin, office.account_id(CLERK), "đặt lại mật khẩu")
        with pytest.raises(UnauthenticatedError):
            office.authenticator.authenticate(token)
        office.accounts.login(CLERK, "đặt lại mật khẩu")

    def test_a_recipient_changes_its_own(self, office: SampleOffice) -> None:
        actor = office.actor(OUTSIDER)
        office.accounts.change_password(actor, password_of(OUTSIDER), "một mật khẩu mới")
        office.accounts.login(OUTSIDER, "một mật khẩu mới")


class TestAdministration:
    def test_creates_the_account_of_a_person_under_their_login(self, office: SampleOffice) -> None:
        person = office.directory.create_person(office.admin, login="moi.nv", name="Người Mới")
        made = office.accounts.create(
            office.admin, password="mật khẩu đầu tiên", person_id=person.id
        )
        assert made.login == "moi.nv"
        assert office.accounts.login("moi.nv", "mật khẩu đầu tiên").person_id == person.id

    def test_creates_the_account_of_a_recipient(self, office: SampleOffice) -> None:
        recipient_id = office.recipient_id("NB-TC")
        made = office.accounts.create(
            office.admin, password="mật khẩu đầu tiên", recipient_id=recipient_id, login="nb-tc"
        )
        assert made.recipient_id == recipient_id

    def test_a_recipients_login_cannot_be_that_of_a_person(self, office: SampleOffice) -> None:
        with pytest.raises(ConflictError) as caught:
            office.accounts.create(
                office.admin,
                password="mật khẩu đầu tiên",
                recipient_id=office.recipient_id("NB-TC"),
                login=SYSTEM,
            )
        assert caught.value.code == "login-taken"

    def test_there_is_one_account_per_owner(self, office: SampleOffice) -> None:
        with pytest.raises(ConflictError) as caught:
            office.accounts.create(
                office.admin, password="mật khẩu đầu tiên", person_id=office.person_id(CLERK)
            )
        assert caught.value.code == "account-exists"

    def test_systems_have_no_account(self, office: SampleOffice) -> None:
        with pytest.raises(InvalidInputError):
            office.accounts.create(
                office.admin, password="mật khẩu đầu tiên", person_id=office.person_id(SYSTEM)
            )

    def test_an_account_has_exactly_one_owner(self, office: SampleOffice) -> None:
        with pytest.raises(InvalidInputError):
            office.accounts.create(office.admin, password="mật khẩu đầu tiên")
        with pytest.raises(NotFoundError):
            office.accounts.create(office.admin, password="mật khẩu đầu tiên", person_id=new_id())

    def test_deactivating_ends_sessions_at_once(self, office: SampleOffice) -> None:
        token = office.token(CLERK)
        admin = office.admin
        office.accounts.set_active(admin, office.account_id(CLERK), active=False)
        with pytest.raises(UnauthenticatedError):
            office.authenticator.authenticate(token)
        office.accounts.set_active(admin, office.account_id(CLERK), active=True)
        with pytest.raises(UnauthenticatedError):
            office.authenticator.authenticate(token)
        assert office.token(CLERK)

    def test_a_change_based_on_an_old_version_is_refused(self, office: SampleOffice) -> None:
        account_id = office.account_id(CLERK)
        office.accounts.set_active(office.admin, account_id, active=False, version=1)
        with pytest.raises(StaleVersionError):
            office.accounts.set_active(office.admin, account_id, active=True, version=1)

    @pytest.mark.parametrize("login", [CLERK, SPECIALIST, LEADER, OUTSIDER])
    def test_only_administrators_manage_accounts(self, embedded: SampleOffice, login: str) -> None:
        actor, account_id = embedded.actor(login), embedded.account_id(ADMINISTRATOR)
        for attempt in (
            lambda: embedded.accounts.create(actor, password="mật khẩu đầu tiên"),
            lambda: embedded.accounts.reset_password(actor, account_id, "đặt lại mật khẩu"),
            lambda: embedded.accounts.unlock(actor, account_id),
            lambda: embedded.accounts.set_active(actor, account_id, active=False),
            lambda: embedded.accounts.list(actor),
        ):
            with pytest.raises(ForbiddenError) as caught:
                attempt()
            assert caught.value.rule == "account:manage"
            assert caught.value.satisfied_by == "Ask an administrator."
        if actor.kind == "person":
            assert embedded.actions(actor.id).count("person.refused") == 5


class TestSweep:
    def test_expired_sessions_and_old_counts_go_and_others_stay(
        self, office: SampleOffice, clock: ManualClock
    ) -> None:
        office.token(CLERK)
        refusal(office, "ai.do", WRONG)
        clock.advance(timedelta(hours=8))
        fresh = office.token(LEADER)
        clock.advance(timedelta(hours=1))
        assert office.accounts.sweep() == 1
        office.authenticator.authenticate(fresh)
        clock.advance(timedelta(hours=16))
        assert office.accounts.sweep() == 2
        assert rows(office.database, login_attempts) == 0
        assert office.accounts.sweep() == 0

    def test_a_count_under_lock_is_not_swept(self, database: Database, clock: ManualClock) -> None:
        office = SampleOffice.make(database)
        week = office.settings.model_copy(update={"lockout_minutes": 7 * 24 * 60})
        locked = SampleOffice(database, week)
        lock(locked, CLERK)
        clock.advance(timedelta(days=2))
        locked.accounts.sweep()
        assert refusal(locked, CLERK, password_of(CLERK)).code == "account-locked"


def test_real_parameters_are_argon2id_with_at_least_the_recommended_memory() -> None:
    stored = Passwords().hash("một mật khẩu đủ dài")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert cheap().outdated(stored)
