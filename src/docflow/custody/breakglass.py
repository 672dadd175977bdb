"""Break-glass access: a second person lets someone read one document for a few hours.

Rules:
1. Any person of the office but an administrator may ask, with a reason, for a document that they may
   not read. What is answered does not depend on whether there is such a document: who asked learns
   of it only when it is opened to them; refused looks as undecided, and then expires.
2. Approved, the document, its files and its history can be read, and nothing else, until the time is
   over or someone ends it. The owner is told at once.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from docflow.custody import notices, requests
from docflow.custody.model import Custody, Kind
from docflow.custody.tables import custody_requests
from docflow.db import Draft, Row, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.documents import rows
from docflow.documents.duplicates import facts_for_access
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.kernel.text import normalise
from docflow.people import access
from docflow.people.records import claim_id, require_recorded
from docflow.people.tables import openings
from docflow.people.vocabulary import Permission

KIND: Kind = "break-glass"


def ask(
    custody: Custody,
    actor: Actor,
    *,
    document: str,
    reason: str,
    hours: int | None = None,
    claim: Claim | None = None,
) -> str:
    """Ask for a document by its id or symbol; return the request's id.

    Args:
        custody: the room's tools.
        actor: who asks.
        document: id or symbol; a symbol means the newest document that has it.
        reason: why.
        hours: for how long; None for as long as is allowed.
        claim: an Idempotency-Key.

    Raises:
        ForbiddenError: if the actor is no person, an administrator, or uses an API key.
        InvalidInputError: if the time is too long (code `break-glass-hours`) or a reason is missing.
        ConflictError: if the actor can read the document (code `break-glass-needless`), or has
            asked for too many (code `too-many-requests`).
    """
    require_recorded(custody.desk.database, actor, Permission.BREAK_GLASS_ASK)
    granted = _hours(custody, hours)
    named = normalise(document).strip()
    request_id = new_id()
    with custody.desk.database.unit_of_work(actor) as uow:
        claim_id(uow, claim, request_id)
        row = _find(uow, named)
        if row is not None:
            _refuse_needless(actor, row)
        requests.insert(
            custody,
            uow,
            request_id,
            kind=KIND,
            document=row,
            said={"asked_for": named, "reason": reason},
            data={"hours": granted},
        )
        if row is not None:
            notices.tell_deciders(custody, uow, KIND, row, request_id)
    return request_id


def _hours(custody: Custody, wanted: int | None) -> int:
    longest = custody.longest_access // timedelta(hours=1)
    if wanted is None:
        return longest
    if not 1 <= wanted <= longest:
        raise InvalidInputError(
            f"Break-glass access lasts 1 to {longest} hours, not {wanted}.",
            code="break-glass-hours",
            rule="break-glass-hours",
            fields=[FieldProblem("/hours", f"1 to {longest}")],
        )
    return wanted


def _find(uow: UnitOfWork, named: str) -> Row | None:
    statement = (
        sa.select(documents.c.id)
        .where(sa.or_(documents.c.id == named, documents.c.symbol == named))
        .order_by(documents.c.id.desc())
        .limit(1)
    )
    found = uow.connection.execute(statement).scalar_one_or_none()
    return rows.lock(uow, found) if found is not None else None


def _refuse_needless(actor: Actor, row: Row) -> None:
    if access.decide(actor, Permission.DOCUMENT_READ, facts_for_access(row)).allowed:
        raise ConflictError(
            "You may read this document without it.",
            code="break-glass-needless",
            rule="break-glass-needless",
            satisfied_by=f"Read /v1/documents/{row['id']}.",
        )


def approve(custody: Custody, actor: Actor, request_id: str, reason: str) -> None:
    """Open the document to who asked.

    Raises:
        NotFoundError, ForbiddenError, ConflictError: as `requests.approve`.
    """

    def carry_out(uow: UnitOfWork, request: Row, document: Row, draft: Draft) -> Mapping[str, Any]:
        until = uow.now + timedelta(hours=request["data"]["hours"])
        told = {**draft.data, "until": rfc3339(until)}
        uow.note(documents, document, Draft(draft.action, told, draft.details))
        uow.put(
            openings,
            {
                "id": request_id,
                "document_id": document["id"],
                "person_id": request["asked_by"],
                "since": uow.now,
                "until": until,
            },
        )
        notices.tell_owners(custody, uow, "break-glass-opened", document, request)
        notices.tell(uow, "break-glass-approved", document["id"], request_id, [request["asked_by"]])
        return {"until": until}

    requests.approve(custody, actor, KIND, request_id, reason, carry_out)


def refuse(custody: Custody, actor: Actor, request_id: str, reason: str) -> None:
    """Refuse a request; who asked is not told, because that would tell of the document.

    Raises:
        NotFoundError, ForbiddenError, ConflictError: as `requests.approve`.
    """
    requests.refuse(custody, actor, KIND, request_id, reason)


def end(custody: Custody, actor: Actor, request_id: str) -> None:
    """End an access before its time: by who has it, or by who could have approved it.

    What is over already stays so.

    Raises:
        NotFoundError: if there is no such request that the actor may know of.
        ForbiddenError: if the actor knows the document and may not decide on it.
        ConflictError: with code `not-approved`.
    """
    with custody.desk.database.unit_of_work(actor) as uow:
        request = requests.lock(uow, KIND, request_id)
        if request["asked_by"] != actor.id:
            requests.require_decider(uow, actor, KIND, request)
        if request["decision"] != "approved":
            raise ConflictError(
                "Nothing was approved, so there is nothing to end.",
                code="not-approved",
                rule="approved-first",
            )
        if request["until"] <= uow.now:
            return
        document = rows.lock(uow, request["document_id"])
        uow.alter(openings, document["id"], openings.c.id == request_id, {"until": uow.now})
        data = {"request_id": request_id, "until": rfc3339(uow.now)}
        uow.note(documents, document, Draft("document.break-glass-ended", data))
        told = {"kind": KIND, "document_id": document["id"]}
        draft = Draft("custody_request.ended", told)
        uow.change(custody_requests, request, {"until": uow.now}, draft)
