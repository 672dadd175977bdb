"""API keys for integrating systems and recipients: shown once, hashed, scoped, revocable.

Rules: only administrators create, list and revoke keys, and only signed in as a person; a key has
at least one scope and an owner, whose access it narrows and never widens; a recipient's key opens
its inbox and nothing else of the office. Revoking takes effect with the next request.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database, Draft
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people.records import claim_id, clean, fetch, page_of, require_recorded
from docflow.people.tables import api_keys, people, recipients
from docflow.people.tokens import new_token, token_digest
from docflow.people.views import ApiKey, NewApiKey, Page, key_of
from docflow.people.vocabulary import Permission, Scope

__all__ = ["RECIPIENT_SCOPES", "ApiKeys", "Scope"]

RECIPIENT_SCOPES: Final = frozenset(
    {Scope.INBOX_ACKNOWLEDGE, Scope.INBOX_READ, Scope.VERIFICATIONS_CREATE}
)
"""What the key of a recipient can be for."""


class ApiKeys:
    """Creates, lists and revokes API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        actor: Actor,
        *,
        name: str,
        scopes: Iterable[str],
        person_id: str | None = None,
        recipient_id: str | None = None,
        expires_at: datetime | None = None,
        claim: Claim | None = None,
    ) -> NewApiKey:
        """Create a key for a person or system, or for a recipient; its token is shown only here.

        With a claim, its id alone is remembered: a repeated request never gets the token again.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if a scope is unknown or not for this owner, the owner is not exactly
                one, or the expiry has passed.
            NotFoundError: if the owner does not exist.
            ConflictError: with code `owner-inactive`.
        """
        require_recorded(self._database, actor, Permission.KEY_MANAGE)
        token = new_token("key")
        key_id = new_id()
        with self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, key_id)
            owner = _active_owner(uow.connection, person_id, recipient_id)
            wanted = _scopes(scopes, RECIPIENT_SCOPES if recipient_id else frozenset(Scope))
            _require_future(expires_at, uow.now)
            row = {
                "id": key_id,
                "name": clean("name", name, form="key name"),
                "person_id": person_id,
                "recipient_id": recipient_id,
                "secret_hash": token_digest(token),
                "scopes": wanted,
                "created_at": uow.now,
                "expires_at": expires_at,
                "revoked_at": None,
            }
            data = {
                "owner_id": owner["id"],
                "scopes": wanted,
                "expires_at": rfc3339(expires_at) if expires_at is not None else None,
            }
            uow.create(api_keys, row, Draft("api_key.created", data, {"name": row["name"]}))
            return NewApiKey(token, key_of(fetch(uow.connection, api_keys, key_id)))

    def revoke(self, actor: Actor, key_id: str) -> ApiKey:
        """Revoke a key for good; a revoked one stays as it is.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such key.
        """
        require_recorded(self._database, actor, Permission.KEY_MANAGE)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, api_keys, key_id, lock=True)
            if row["revoked_at"] is None:
                values = {"revoked_at": uow.now}
                uow.change(api_keys, row, values, Draft("api_key.revoked", {}))
            return key_of(fetch(uow.connection, api_keys, key_id))

    def get(self, actor: Actor, key_id: str) -> ApiKey:
        """Return one key, without its secret.

        Raises:
            ForbiddenError: if the actor is no administrator.
            NotFoundError: if there is no such key.
        """
        require_recorded(self._database, actor, Permission.KEY_MANAGE)
        with self._database.read() as connection:
            return key_of(fetch(connection, api_keys, key_id))

    def list(self, actor: Actor, *, cursor: str | None = None, limit: int = 50) -> Page[ApiKey]:
        """Return a page of the keys, revoked ones too, without their secrets.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if the cursor or limit is wrong.
        """
        require_recorded(self._database, actor, Permission.KEY_MANAGE)
        with self._database.read() as connection:
            rows, following = page_of(connection, api_keys, [], cursor, limit)
        return Page(tuple(key_of(row) for row in rows), following)


def _active_owner(
    connection: sa.Connection, person_id: str | None, recipient_id: str | None
) -> Mapping[str, Any]:
    if (person_id is None) == (recipient_id is None):
        raise InvalidInputError(
            "A key belongs to a person or system, or to a recipient, to exactly one of the two.",
            fields=[FieldProblem("/person_id", "name this or recipient_id")],
        )
    table = people if person_id is not None else recipients
    owner = fetch(connection, table, person_id or recipient_id or "", lock=True)
    if not owner["active"]:
        raise ConflictError(
            "The owner of the key is deactivated; activate it first.", code="owner-inactive"
        )
    return owner


def _require_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError(
            "The key would have expired already; name a later instant.",
            fields=[FieldProblem("/expires_at", "in the past")],
        )


def _scopes(scopes: Iterable[str], possible: frozenset[Scope]) -> list[str]:
    wanted = sorted(set(scopes))
    known = sorted(scope.value for scope in possible)
    wrong = [scope for scope in wanted if scope not in known]
    if wrong or not wanted:
        named = f"{wrong[0][:40]!r} is no scope of this key" if wrong else "A key needs a scope"
        raise InvalidInputError(
            f"{named}; possible are {', '.join(known)}.",
            fields=[FieldProblem("/scopes", f"one or more of {', '.join(known)}")],
        )
    return wanted
