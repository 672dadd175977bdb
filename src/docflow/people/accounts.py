"""Local accounts: who may sign in with a password, and the sessions that follow.

Rules: administrators create, reset, unlock and deactivate accounts; everyone changes their own
password and needs the old one for it. An account belongs to one person, whose login it has, or to
one recipient from outside. Integrating systems have no account, they use API keys. How signing in
works is in `login.py`, what makes a password acceptable in `passwords.py`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from docflow.db import Database, Draft, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem, ForbiddenError, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people import attempts
from docflow.people.login import Logins
from docflow.people.passwords import Passwords, check_new_password
from docflow.people.records import (
    as_mapping,
    check_version,
    claim_id,
    clean,
    fetch,
    page_of,
    require_recorded,
    unique,
)
from docflow.people.tables import accounts, people, recipients, sessions
from docflow.people.tokens import token_digest
from docflow.people.views import Account, Page, Session, account_of
from docflow.people.vocabulary import Permission
from docflow.people.writing import add_account
from docflow.settings import Settings


class Accounts:
    """Accounts, passwords and sessions."""

    def __init__(
        self, database: Database, settings: Settings, passwords: Passwords | None = None
    ) -> None:
        """Use `passwords`, or Argon2id with today's recommended parameters."""
        self._database = database
        self._passwords = passwords or Passwords()
        self._logins = Logins(database, settings, self._passwords)

    def login(self, login: str, password: str) -> Session:
        """Open a session; see `Logins.login`.

        Raises:
            UnauthenticatedError: with code `invalid-credentials`.
            TooManyAttemptsError: with code `account-locked`.
        """
        return self._logins.login(login, password)

    def step_up(self, actor: Actor, token: str, password: str) -> datetime:
        """Note that one's own password was given again, now; return when.

        Raises:
            ForbiddenError: if the actor has no account, or asks with an API key.
            UnauthenticatedError: with code `invalid-credentials`.
            TooManyAttemptsError: with code `account-locked`.
        """
        return self._logins.step_up(token, self._own(actor)["login"], password)

    def logout(self, token: str) -> None:
        """End the session of a token, at once and everywhere; an ended one is no error."""
        self._logins.logout(token)

    def sweep(self) -> int:
        """Delete expired sessions and attempts that no longer matter; the worker calls this."""
        return self._logins.sweep()

    def create(
        self,
        actor: Actor,
        *,
        password: str,
        person_id: str | None = None,
        recipient_id: str | None = None,
        login: str | None = None,
        claim: Claim | None = None,
    ) -> Account:
        """Create the account of a person, who signs in with their own login, or of a recipient.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if the password is weak, or owner and login do not fit together.
            NotFoundError: if the owner does not exist.
            ConflictError: with code `account-exists` or `login-taken`.
        """
        require_recorded(self._database, actor, Permission.ACCOUNT_MANAGE)
        with self._database.read() as connection:
            name = _login_for(connection, person_id, recipient_id, login)
        check_new_password(password, name)
        account_id = new_id()
        row = {
            "id": account_id,
            "login": name,
            "person_id": person_id,
            "recipient_id": recipient_id,
            "password_hash": self._passwords.hash(password),
        }
        with unique("login"), self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, account_id)
            _refuse_second(uow.connection, person_id, recipient_id)
            add_account(uow, row)
            return account_of(fetch(uow.connection, accounts, account_id))

    def change_password(
        self, actor: Actor, old: str, new: str, *, keep_token: str | None = None
    ) -> None:
        """Change one's own password; ends every session but the one of `keep_token`.

        Raises:
            ForbiddenError: if the actor has no account, or asks with an API key.
            UnauthenticatedError: with code `invalid-credentials` if the old one is wrong.
            TooManyAttemptsError: with code `account-locked`.
            InvalidInputError: with code `weak-password`.
        """
        account = self._own(actor)
        self._logins.confirm(account["login"], old)
        check_new_password(new, account["login"], pointer="/new_password")
        hashed = self._passwords.hash(new)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, accounts, account["id"], lock=True)
            if row["password_hash"] != account["password_hash"]:
                raise ConflictError("The password was changed meanwhile; sign in again.")
            draft = Draft("account.password-changed", {})
            uow.change(accounts, row, {"password_hash": hashed}, draft)
            _end_sessions(uow, account["id"], keep_token)

    def reset_password(self, actor: Actor, account_id: str, new: str) -> Account:
        """Give an account a new password; ends its sessions and its lock-out.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such account.
            InvalidInputError: with code `weak-password`.
        """
        require_recorded(self._database, actor, Permission.ACCOUNT_MANAGE)
        with self._database.read() as connection:
            login = fetch(connection, accounts, account_id)["login"]
        check_new_password(new, login, pointer="/new_password")
        hashed = self._passwords.hash(new)
        with self._database.unit_of_work(actor) as uow:
            attempts.forget(uow, attempts.login_digest(login))
            row = fetch(uow.connection, accounts, account_id, lock=True)
            draft = Draft("account.password-reset", {})
            uow.change(accounts, row, {"password_hash": hashed}, draft)
            _end_sessions(uow, account_id, None)
            return account_of(fetch(uow.connection, accounts, account_id))

    def unlock(self, actor: Actor, account_id: str) -> Account:
        """End the lock-out of an account; one that is not locked stays as it is.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such account.
        """
        require_recorded(self._database, actor, Permission.ACCOUNT_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            login = fetch(uow.connection, accounts, account_id)["login"]
            digest = attempts.login_digest(login)
            was_locked = attempts.locked_until(uow.connection, digest, uow.now, lock=True)
            attempts.forget(uow, digest)
            row = fetch(uow.connection, accounts, account_id, lock=True)
            if was_locked is not None:
                uow.note(accounts, row, Draft("account.unlocked", {}))
            return account_of(row)

    def set_active(
        self, actor: Actor, account_id: str, active: bool, *, version: int | None = None
    ) -> Account:
        """Deactivate an account, which ends its sessions at once, or activate it again.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such account.
            StaleVersionError: if the account is not at `version`.
        """
        require_recorded(self._database, actor, Permission.ACCOUNT_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, accounts, account_id, lock=True)
            check_version(row, version)
            if row["active"] != active:
                action = "account.activated" if active else "account.deactivated"
                uow.change(accounts, row, {"active": active}, Draft(action, {}))
            if not active:
                _end_sessions(uow, account_id, None)
            return account_of(fetch(uow.connection, accounts, account_id))

    def get(self, actor: Actor, account_id: str) -> Account:
        """Return one account, with the end of its lock-out if it is locked out now.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such account.
        """
        require_recorded(self._database, actor, Permission.ACCOUNT_MANAGE)
        now = self._database.clock.now()
        with self._database.read() as connection:
            row = fetch(connection, accounts, account_id)
            digest = attempts.login_digest(row["login"])
            return account_of(row, attempts.locked_until(connection, digest, now))

    def list(self, actor: Actor, *, cursor: str | None = None, limit: int = 50) -> Page[Account]:
        """Return a page of the accounts, with who is locked out now.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if the cursor or limit is wrong.
        """
        require_recorded(self._database, actor, Permission.ACCOUNT_MANAGE)
        now = self._database.clock.now()
        with self._database.read() as connection:
            rows, following = page_of(connection, accounts, [], cursor, limit)
            digests = {row["id"]: attempts.login_digest(row["login"]) for row in rows}
            locks = attempts.locks(connection, digests.values(), now)
        return Page(
            tuple(account_of(row, locks.get(digests[row["id"]])) for row in rows), following
        )

    def _own(self, actor: Actor) -> Mapping[str, Any]:
        column = accounts.c.person_id if actor.kind == "person" else accounts.c.recipient_id
        with self._database.read() as connection:
            found = connection.execute(sa.select(accounts).where(column == actor.id))
            row = found.mappings().one_or_none()
        if row is None or actor.scopes is not None:
            raise ForbiddenError(
                "Only someone who signed in with a password can change it.",
                rule="own-password",
                satisfied_by="Sign in with login and password.",
            )
        return as_mapping(row)


def _login_for(
    connection: sa.Connection, person_id: str | None, recipient_id: str | None, login: str | None
) -> str:
    """Return the login that the account of this owner has, checking that the owner may have one."""
    if (person_id is None) == (recipient_id is None):
        raise InvalidInputError(
            "An account belongs to a person or to a recipient, to exactly one of the two.",
            fields=[FieldProblem("/person_id", "name this or recipient_id")],
        )
    if person_id is not None:
        owner = fetch(connection, people, person_id)
        if owner["kind"] != "person":
            raise InvalidInputError(
                "An integrating system has no account; create an API key for it.",
                fields=[FieldProblem("/person_id", "is a system")],
            )
        if login is not None and login != owner["login"]:
            raise InvalidInputError(
                "A person signs in with their own login; leave it out.",
                fields=[FieldProblem("/login", "not the person's")],
            )
        return str(owner["login"])
    fetch(connection, recipients, recipient_id or "")
    name = clean("login", login or "")
    taken = sa.select(people.c.id).where(people.c.login == name)
    if connection.execute(taken).first() is not None:
        raise ConflictError(
            "This login is already taken; choose another.",
            code="login-taken",
            fields=[FieldProblem("/login", "already taken")],
        )
    return name


def _refuse_second(
    connection: sa.Connection, person_id: str | None, recipient_id: str | None
) -> None:
    table, owner_id = (people, person_id) if person_id else (recipients, recipient_id)
    fetch(connection, table, owner_id or "", lock=True)  # two creations wait for each other
    column = accounts.c.person_id if person_id else accounts.c.recipient_id
    if connection.execute(sa.select(accounts.c.id).where(column == owner_id)).first() is not None:
        raise ConflictError(
            "There is an account already; reset its password instead.", code="account-exists"
        )


def _end_sessions(uow: UnitOfWork, account_id: str, keep_token: str | None) -> None:
    where = sessions.c.account_id == account_id
    if keep_token is not None:
        where = sa.and_(where, sessions.c.token_hash != token_digest(keep_token))
    uow.remove(sessions, None, where)
