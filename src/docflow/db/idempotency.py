"""Idempotency keys: a creating request that is repeated creates nothing twice.

The key is remembered in the transaction that creates, so either both exist or neither. A repeated
request is answered with what it created then, read anew.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from docflow.db.engine import Database
from docflow.db.tables import idempotency_keys
from docflow.db.uow import UnitOfWork
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.errors import ConflictError, InvalidInputError


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's key for one operation.

    Attributes:
        operation: method and path of the request.
        key: what the caller sent.
        fingerprint: SHA-256 over the request's content, 64 hex digits.
    """

    operation: str
    key: str
    fingerprint: str


def recall(database: Database, actor: Actor, claim: Claim) -> Any | None:
    """Return what the same request created earlier, or None.

    Raises:
        InvalidInputError: if the key was used for another content (code `idempotency-key-reused`).
    """
    with database.read() as connection:
        row = connection.execute(sa.select(idempotency_keys).where(_is(actor, claim))).one_or_none()
    if row is None:
        return None
    if row.fingerprint != claim.fingerprint:
        raise InvalidInputError(
            "This Idempotency-Key was used for a request with other content.",
            code="idempotency-key-reused",
            satisfied_by="Use a new key for a new request.",
        )
    return row.result


def remember(uow: UnitOfWork, claim: Claim, result: Any) -> None:
    """Write the key and what was created, in the creating transaction.

    Raises:
        ConflictError: if the same request is being carried out at this moment.
    """
    uow.serialise(f"idempotency {uow.actor.id} {claim.operation} {claim.key}")
    taken = uow.connection.execute(
        sa.select(idempotency_keys.c.key).where(_is(uow.actor, claim))
    ).one_or_none()
    if taken is not None:
        raise ConflictError(
            "The same request was carried out just now; repeat it to get its result.",
            code="idempotency-in-flight",
        )
    uow.put(
        idempotency_keys,
        {
            "actor_id": uow.actor.id,
            "operation": claim.operation,
            "key": claim.key,
            "fingerprint": claim.fingerprint,
            "result": result,
            "created_at": uow.now,
        },
    )


def sweep(database: Database, older_than: timedelta) -> int:
    """Forget keys older than `older_than`; return how many."""
    with database.unit_of_work(SERVICE) as uow:
        return uow.remove(
            idempotency_keys, None, idempotency_keys.c.created_at < uow.now - older_than
        )


def _is(actor: Actor, claim: Claim) -> sa.ColumnElement[bool]:
    return sa.and_(
        idempotency_keys.c.actor_id == actor.id,
        idempotency_keys.c.operation == claim.operation,
        idempotency_keys.c.key == claim.key,
    )
