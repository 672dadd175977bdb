"""Creating requests that may be repeated: what an Idempotency-Key made before is answered again."""

from collections.abc import Collection

from docflow.api.context import Caller
from docflow.api.schemas.common import Input
from docflow.db.idempotency import Claim, recall


def once(
    caller: Caller, key: str | None, wanted: Input, *, secrets: Collection[str] = ()
) -> tuple[Claim | None, str | None]:
    """Return the claim to hand to the creating service, and the id that it made before, if it did.

    Args:
        caller: who asks.
        key: the Idempotency-Key header, None if there is none.
        wanted: the request's body.
        secrets: fields left out of the stored fingerprint, a fast hash that could be guessed at.

    Raises:
        InvalidInputError: if the key has a wrong form, or was used for other content.
    """
    claim = caller.claim(key, wanted.model_dump_json(exclude=set(secrets)).encode())
    if claim is None:
        return None, None
    return claim, recall(caller.services.database, caller.actor, claim)
