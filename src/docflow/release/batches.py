"""Many documents signed in one act: one authorisation, one answer per document.

Rules:
1. The authorisation is an entry of the person, with the digest of the exact list; it lasts an hour, and
   needs what one personal signature needs: a password given recently, or the person's card. What a card
   authorised is signed by that card or refused, also if it ends before the batch does.
2. Each document is fired by the `batch` job with `documents.fire`, as the person, with the offices of
   that moment and the version that the person saw. What one document refuses stops no other.
3. The job may die anywhere: a document that it fired already is known by the id of its signing, which
   the person asked for, so none is fired twice.
4. Nobody but the person sees a batch, and a batch tells its person of no document that they may not know.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Draft, Row, all_rows, one_row
from docflow.db.idempotency import Claim, remember
from docflow.documents import rows
from docflow.documents.fire import fire
from docflow.documents.signer_choice import card_certificate, require_presence
from docflow.documents.tables import documents
from docflow.jobs.model import JobRun
from docflow.jobs.tables import jobs
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.canonical import canonical_json, sha256_hex
from docflow.kernel.errors import (
    ConflictError,
    DocflowError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from docflow.kernel.ids import new_id
from docflow.people import access
from docflow.people.authenticate import Authenticator
from docflow.people.records import fetch
from docflow.people.tables import people
from docflow.release import persons
from docflow.release.fitting import try_on
from docflow.release.signing_tables import signing_batch_items, signing_batches
from docflow.release.studio import Studio

KIND = "batch"
MOST_DOCUMENTS: Final = 200
_LASTS: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One document to be signed: at which version, by which transition, in whose place."""

    document_id: str
    version: int
    trigger: str
    mandate: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch with one answer per document, in the order in which they were given."""

    row: Row
    items: tuple[Row, ...]


def authorise(
    studio: Studio, actor: Actor, wanted: Sequence[Wanted], *, claim: Claim | None = None
) -> str:
    """Take one authorisation for many signatures and have them made; return the batch's id.

    Raises:
        ForbiddenError: code `step-up-required`; or if the actor is no person.
        InvalidInputError: if there are none, too many, or one document twice.
    """
    access.require(actor, access.Permission.SIGNING_BATCH)
    _check(wanted)
    batch_id = new_id()
    with studio.desk.database.unit_of_work(actor) as uow:
        if claim is not None:
            remember(uow, claim, batch_id)
        card = card_certificate(uow.connection, actor.id, uow.now)
        if card is None:
            require_presence(uow, studio.desk.policy, actor)
        person = fetch(uow.connection, people, actor.id, lock=True)
        listed = [dataclasses.asdict(item) for item in wanted]
        digest = sha256_hex(canonical_json(listed))
        data = {"batch": batch_id, "documents": len(wanted), "sha256": digest}
        uow.change(people, person, {}, Draft("person.batch-authorised", data))
        uow.put(
            signing_batches,
            {
                "id": batch_id,
                "person_id": actor.id,
                "created_at": uow.now,
                "expires_at": uow.now + _LASTS,
            },
        )
        uow.put(signing_batch_items, *_rows(batch_id, wanted))
        studio.desk.enqueue(
            uow,
            kind=KIND,
            job_id=f"{KIND}-{batch_id}",
            subject_id=batch_id,
            payload={"person_id": actor.id, "card": card},
        )
    return batch_id


def show(studio: Studio, actor: Actor, batch_id: str) -> Batch:
    """Return a batch of the actor's own, and how each of its documents fares.

    An item is `waiting`, `refused` (with code and detail), `signing` (with a detail if it waits for what is
    away), `signed`, `failed` (its signing did, with the detail) or `superseded` (the document went on
    without it).

    Raises:
        NotFoundError: if there is none.
    """
    with studio.desk.database.read() as connection:
        row = one_row(
            connection,
            sa.select(signing_batches).where(
                signing_batches.c.id == batch_id, signing_batches.c.person_id == actor.id
            ),
        )
        if row is None:
            raise NotFoundError("There is no such batch, or it is not yours.")
        items = _items(connection, batch_id)
    return Batch(row, tuple({**item, **_answered(item)} for item in items))


def run(studio: Studio, authenticator: Authenticator, job: JobRun) -> None:
    """Fire each document of a batch; called by the job engine, again after a crash."""
    card = job.payload.get("card")  # not in the payloads of versions before
    job.step("fired", lambda: _fire_all(studio, authenticator, job.subject_id, card))


def _fire_all(studio: Studio, authenticator: Authenticator, batch_id: str, card: str | None) -> int:
    database = studio.desk.database
    with database.read() as connection:
        statement = sa.select(signing_batches).where(signing_batches.c.id == batch_id)
        batch = one_row(connection, statement)
        waiting = [item for item in _items(connection, batch_id) if item["state"] == "waiting"]
    if batch is None:
        raise NotFoundError("The batch is gone.")
    away: UnavailableError | None = None
    for item in waiting:
        try:
            answer = {"state": "fired", "job_id": _fire(studio, authenticator, batch, item, card)}
        except UnavailableError as error:
            away = (
                away or error
            )  # tried again, after the others: what is away for one may not be for all
            continue
        except DocflowError as error:
            answer = {"state": "refused", "code": error.code, "detail": error.detail}
        _answer(studio, item, answer)
    if away is not None:
        raise away
    return len(waiting)


def on_failed(studio: Studio, job: JobRun, error: str) -> None:
    """Refuse what a batch that failed for good has not begun: nobody waits for it any longer."""
    with studio.desk.database.read() as connection:
        waiting = [
            item for item in _items(connection, job.subject_id) if item["state"] == "waiting"
        ]
    refusal = ConflictError(error, code="batch-failed")
    answer = {"state": "refused", "code": refusal.code, "detail": refusal.detail}
    for item in waiting:
        _answer(studio, item, answer)


def _fire(
    studio: Studio, authenticator: Authenticator, batch: Row, item: Row, card: str | None
) -> str:
    """Fire one document as the person; return the id of its signing.

    What a card authorised in a password's stead is signed by that card alone: no key of the service
    signs by an authorisation for which nobody gave a password.
    """
    if (ours := _fired_before(studio, batch["person_id"], item)) is not None:
        return ours
    now = studio.desk.database.clock.now()
    if now > batch["expires_at"]:
        raise ForbiddenError(
            "The authorisation of the batch has expired.",
            code="step-up-required",
            rule="step-up",
            satisfied_by="Authorise a new batch for what is left.",
        )
    # password or card was there for the whole list, when the batch was authorised
    actor = dataclasses.replace(authenticator.acting(batch["person_id"]), authenticated_at=now)
    _require_signature(studio, actor, item)
    outcome = fire(
        studio.desk,
        actor,
        item["document_id"],
        item["trigger"],
        {},
        if_version=item["document_version"],
        mandate=item["mandate_id"],
        card=card,
        try_on=partial(try_on, studio),
    )
    return str(outcome.job_id)


def _require_signature(studio: Studio, actor: Actor, item: Row) -> None:
    """Refuse a transition that makes no personal signature, to whoever may know of the document."""
    with studio.desk.database.read() as connection:
        row = rows.read(connection, item["document_id"])
    rows.require(actor, access.Permission.DOCUMENT_FIRE, row)
    if not persons.signs(studio, row, item["trigger"]):
        raise InvalidInputError(
            "A batch fires only transitions that a person signs.", code="batch-not-signing"
        )


def _items(connection: sa.Connection, batch_id: str) -> list[Row]:
    """Return the items of a batch, each with what its document says of it."""
    table = signing_batch_items
    statement = (
        sa.select(table, documents.c.pending, documents.c.fired_by)
        .outerjoin(documents, documents.c.id == table.c.document_id)
        .where(table.c.batch_id == batch_id)
        .order_by(table.c.position)
    )
    return all_rows(connection, statement)


def _fired_before(studio: Studio, person_id: str, item: Row) -> str | None:
    """Return the signing that this person asked for of this version already, None without one."""
    own = [f"{kind}-{item['document_id']}-{item['document_version']}" for kind in ("sign", "card")]
    statement = sa.select(jobs.c.id).where(jobs.c.id.in_(own), jobs.c.requested_by == person_id)
    with studio.desk.database.read() as connection:
        return connection.execute(statement.limit(1)).scalar()


def _state(item: Row) -> str:
    if item["state"] != "fired":
        return str(item["state"])
    pending: dict[str, Any] = item["pending"] or {}
    if item["job_id"] in (item["fired_by"] or {}).get(rows.JOBS, ()):
        return "signed"
    if pending.get("job_id") != item["job_id"]:
        return "superseded"
    return "failed" if pending["failed"] else "signing"


def _answered(item: Row) -> dict[str, Any]:
    """Return how an item fares, and what its document says of the signing that it asked for."""
    state = _state(item)
    told = (item["pending"] or {}).get("error") if state in ("signing", "failed") else None
    return {"state": state, "detail": told or item["detail"]}


def _answer(studio: Studio, item: Row, answer: dict[str, Any]) -> None:
    table = signing_batch_items.c
    mine = sa.and_(table.batch_id == item["batch_id"], table.position == item["position"])
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        uow.alter(signing_batch_items, None, mine, answer)


def _rows(batch_id: str, wanted: Sequence[Wanted]) -> list[dict[str, Any]]:
    return [
        {
            "batch_id": batch_id,
            "position": position,
            "document_id": item.document_id,
            "document_version": item.version,
            "trigger": item.trigger,
            "mandate_id": item.mandate,
            "state": "waiting",
        }
        for position, item in enumerate(wanted)
    ]


def _check(wanted: Sequence[Wanted]) -> None:
    if not 1 <= len(wanted) <= MOST_DOCUMENTS:
        raise InvalidInputError(
            f"A batch has 1 to {MOST_DOCUMENTS} documents, not {len(wanted)}.",
            fields=[FieldProblem("/documents", f"1 to {MOST_DOCUMENTS}")],
        )
    seen: set[str] = set()
    for position, item in enumerate(wanted):
        if item.document_id in seen:
            raise InvalidInputError(
                "A document is in the batch twice.",
                fields=[FieldProblem(f"/documents/{position}/id", "named before")],
            )
        seen.add(item.document_id)
