"""Signing in and out of local accounts.

Rules:
1. An answer never tells whether a login exists: unknown, inactive and wrong look alike, take as
   long (one Argon2id hash each) and are locked out alike.
2. After N wrong passwords in a row a login is locked for M minutes. A right password that was
   being checked meanwhile is refused too, so no burst gets more than N answers.
3. The slow hash is computed outside of any transaction.
4. A session is an opaque token of which only the SHA-256 is stored; it expires, and ends at once
   by logging out, a new password, a lock of the account or the person's leaving.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database, Draft, UnitOfWork
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import TooManyAttemptsError, UnauthenticatedError
from docflow.people import attempts
from docflow.people.passwords import Passwords
from docflow.people.records import as_mapping, fetch, is_form
from docflow.people.tables import accounts, people, recipients, sessions
from docflow.people.tokens import kind_of, new_token, token_digest
from docflow.people.views import Session
from docflow.settings import Settings

_NOBODY: Final = "-"  # no login has this form, so it stands for all that cannot be one


@dataclass(frozen=True, slots=True)
class _Checked:
    """The outcome of comparing a password: the account if it was right."""

    account: Mapping[str, Any] | None
    new_hash: str | None = None


class Logins:
    """Checks passwords, opens and ends sessions."""

    def __init__(self, database: Database, settings: Settings, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords
        self._limit = settings.login_attempts
        self._lockout = timedelta(minutes=settings.lockout_minutes)
        self._lifetime = timedelta(hours=settings.session_hours)

    def login(self, login: str, password: str) -> Session:
        """Open a session.

        Raises:
            UnauthenticatedError: with code `invalid-credentials`, whatever of the two is wrong.
            TooManyAttemptsError: with code `account-locked`, known login or not; its
                `retry_after_seconds` tells how long to wait.
        """
        asked = login.strip().lower()
        digest = attempts.login_digest(asked)
        login = asked if is_form("login", asked) else _NOBODY
        checked = self._check(login, digest, password)
        token = new_token("session")
        opened: Session | None = None
        with self._database.unit_of_work(SERVICE) as uow:
            until = attempts.locked_until(uow.connection, digest, uow.now, lock=True)
            account = _still_right(uow.connection, checked) if until is None else None
            if account is not None:
                attempts.forget(uow, digest)
                self._renew_hash(uow, account, checked)
                opened = self._open(uow, account, token)
            elif until is None:
                until = self._fail(uow, login, digest)
        if until is not None:
            raise _locked(until, self._database.clock.now())
        if opened is None:
            raise _wrong()
        return opened

    def logout(self, token: str) -> None:
        """End the session of a token, at once and everywhere; an ended one is no error."""
        if kind_of(token) == "session":
            with self._database.unit_of_work(SERVICE) as uow:
                uow.remove(sessions, None, sessions.c.token_hash == token_digest(token))

    def step_up(self, token: str, login: str, password: str) -> datetime:
        """Check the password of someone signed in and note that it was given now; return when.

        Raises:
            UnauthenticatedError: with code `invalid-credentials`, or `invalid-token` if the session
                ended meanwhile.
            TooManyAttemptsError: with code `account-locked`.
        """
        self.confirm(login, password)
        with self._database.unit_of_work(SERVICE) as uow:
            found = uow.alter(
                sessions,
                None,
                sa.and_(
                    sessions.c.token_hash == token_digest(token), sessions.c.expires_at > uow.now
                ),
                {"authenticated_at": uow.now},
            )
            if found != 1:
                raise UnauthenticatedError("The session has ended.", code="invalid-token")
            return uow.now

    def sweep(self) -> int:
        """Delete expired sessions and counts that no longer matter; return how many rows."""
        with self._database.unit_of_work(SERVICE) as uow:
            ended = uow.remove(sessions, None, sessions.c.expires_at <= uow.now)
            return ended + attempts.sweep(uow)

    def confirm(self, login: str, password: str) -> None:
        """Check a password again for someone who is signed in; wrong ones count as failures.

        Raises:
            UnauthenticatedError: with code `invalid-credentials`.
            TooManyAttemptsError: with code `account-locked`.
        """
        digest = attempts.login_digest(login)
        checked = self._check(login, digest, password)
        with self._database.unit_of_work(SERVICE) as uow:
            until = attempts.locked_until(uow.connection, digest, uow.now, lock=True)
            if until is None and checked.account is None:
                until = self._fail(uow, login, digest)
            elif until is None:
                attempts.forget(uow, digest)
        if until is not None:
            raise _locked(until, self._database.clock.now())
        if checked.account is None:
            raise _wrong()

    def _check(self, login: str, digest: str, password: str) -> _Checked:
        with self._database.read() as connection:
            now = self._database.clock.now()
            until = attempts.locked_until(connection, digest, now)
            row = _usable_account(connection, accounts.c.login == login)
        if until is not None:
            raise _locked(until, now)
        stored = row["password_hash"] if row is not None else None
        if not self._passwords.verify(stored, password) or stored is None:
            return _Checked(None)
        outdated = self._passwords.outdated(stored)
        return _Checked(row, self._passwords.hash(password) if outdated else None)

    def _fail(self, uow: UnitOfWork, login: str, digest: str) -> datetime | None:
        """Count a wrong password; return the end of a lock that fell before it could be counted."""
        failure = attempts.count_failure(uow, digest, self._limit, self._lockout)
        if not failure.locked_now or failure.locked_until is None:
            return failure.locked_until
        known = sa.select(accounts.c.id).where(accounts.c.login == login)
        account_id = uow.connection.execute(known).scalar_one_or_none()
        if account_id is not None:
            row = fetch(uow.connection, accounts, account_id, lock=True)
            data = {"failures": failure.count, "until": rfc3339(failure.locked_until)}
            uow.note(accounts, row, Draft("account.locked", data))
        return None

    def _renew_hash(self, uow: UnitOfWork, account: Mapping[str, Any], checked: _Checked) -> None:
        if checked.new_hash is not None:
            values = {"password_hash": checked.new_hash}
            uow.change(accounts, account, values, Draft("account.rehashed", {}))

    def _open(self, uow: UnitOfWork, account: Mapping[str, Any], token: str) -> Session:
        expires_at = uow.now + self._lifetime
        uow.put(
            sessions,
            {
                "token_hash": token_digest(token),
                "account_id": account["id"],
                "created_at": uow.now,
                "expires_at": expires_at,
                "authenticated_at": uow.now,
            },
        )
        return Session(
            token, expires_at, account["login"], account["person_id"], account["recipient_id"]
        )


def _usable_account(
    connection: sa.Connection, condition: sa.ColumnElement[bool], *, lock: bool = False
) -> Mapping[str, Any] | None:
    """Return an account that is active and whose owner is."""
    statement = (
        sa.select(accounts)
        .outerjoin(people, people.c.id == accounts.c.person_id)
        .outerjoin(recipients, recipients.c.id == accounts.c.recipient_id)
        .where(condition, accounts.c.active, sa.or_(people.c.active, recipients.c.active))
    )
    if lock:
        statement = statement.with_for_update(of=accounts)
    row = connection.execute(statement).mappings().one_or_none()
    return as_mapping(row) if row is not None else None


def _still_right(connection: sa.Connection, checked: _Checked) -> Mapping[str, Any] | None:
    """Return the account, locked, if nothing changed since its password was compared."""
    if checked.account is None:
        return None
    same = sa.and_(
        accounts.c.id == checked.account["id"],
        accounts.c.password_hash == checked.account["password_hash"],
    )
    return _usable_account(connection, same, lock=True)


def _wrong() -> UnauthenticatedError:
    return UnauthenticatedError(
        "The login or the password is wrong.",
        code="invalid-credentials",
        satisfied_by="Check both; after several wrong passwords the login is locked for a while.",
    )


def _locked(until: datetime, now: datetime) -> TooManyAttemptsError:
    return TooManyAttemptsError(
        f"Too many wrong passwords in a row; this login is locked until {rfc3339(until)}.",
        code="account-locked",
        rule="lock-out",
        satisfied_by="Wait, or ask an administrator to unlock the account.",
        retry_after_seconds=max(1, math.ceil((until - now).total_seconds())),
    )
