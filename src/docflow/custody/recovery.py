"""Recovery: two people release the copy of a delivered file that the organisation's key can open.

What is released, and how, is for `release/recovery.py` to say: it calls `require_approved` in the
transaction that hands it out, and each use is an entry.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from docflow.custody import notices, requests
from docflow.custody.model import Custody, Kind
from docflow.custody.tables import custody_requests
from docflow.db import Draft, Row, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.documents import rows
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError, ForbiddenError, NotFoundError
from docflow.kernel.ids import new_id
from docflow.people.records import claim_id, note_refusal
from docflow.people.vocabulary import Permission

KIND: Kind = "recovery"


def ask(
    custody: Custody,
    actor: Actor,
    document_id: str,
    *,
    reason: str,
    claim: Claim | None = None,
) -> str:
    """Ask for the recovery copy of a document's files; return the request's id.

    Raises:
        NotFoundError: if there is no document that the actor may know of.
        ForbiddenError: if the actor is not clerk, head or leader of its unit or above.
        ConflictError: with code `too-many-requests`.
    """
    request_id = new_id()
    try:
        with custody.desk.database.unit_of_work(actor) as uow:
            claim_id(uow, claim, request_id)
            row = rows.lock(uow, document_id)
            rows.require(actor, Permission.DOCUMENT_RECOVER, row)
            requests.insert(
                custody,
                uow,
                request_id,
                kind=KIND,
                document=row,
                said={"asked_for": document_id, "reason": reason},
                data={},
            )
            notices.tell_deciders(custody, uow, KIND, row, request_id)
    except ForbiddenError as refusal:
        note_refusal(
            custody.desk.database, actor, Permission.DOCUMENT_RECOVER, refusal.rule or KIND
        )
        raise
    return request_id


def approve(custody: Custody, actor: Actor, request_id: str, reason: str) -> None:
    """Let who asked have the recovery copy for as long as a break-glass access may last; owners are told.

    Raises:
        NotFoundError, ForbiddenError, ConflictError: as `requests.approve`.
    """

    def carry_out(uow: UnitOfWork, request: Row, document: Row, draft: Draft) -> Mapping[str, Any]:
        uow.note(documents, document, draft)
        notices.tell_owners(custody, uow, "recovery-opened", document, request)
        asker = [request["asked_by"]]
        notices.tell(uow, "recovery-approved", document["id"], request["id"], asker)
        return {"until": uow.now + custody.longest_access}

    requests.approve(custody, actor, KIND, request_id, reason, carry_out)


def refuse(custody: Custody, actor: Actor, request_id: str, reason: str) -> None:
    """Refuse the recovery copy; who asked is told.

    Raises:
        NotFoundError, ForbiddenError, ConflictError: as `requests.approve`.
    """
    requests.refuse(custody, actor, KIND, request_id, reason)


def require_approved(uow: UnitOfWork, actor: Actor, request_id: str) -> tuple[str, datetime]:
    """Refuse to release a recovery copy unless two people agreed; record its use.

    Call it in the transaction after which the copy is handed out, so that its use is an entry of the
    request before the first byte leaves; what is handed out is an entry of the document, by the
    caller.

    Args:
        uow: the open unit of work.
        actor: who gets the copy.
        request_id: the approved request.

    Returns:
        The document's id, and until when the approval holds.

    Raises:
        NotFoundError: if this actor asked for no such recovery (code `recovery-not-found`), or may
            not know of the document any more.
        ForbiddenError: if the time of the approval is over (code `recovery-over`), or the actor may
            not ask for it any more.
        ConflictError: if it was not approved (code `not-approved`).
    """
    request = requests.find(uow, KIND, request_id)
    if request is None or request["asked_by"] != actor.id:
        raise NotFoundError(
            "There is no such recovery that you asked for.", code="recovery-not-found"
        )
    document = rows.lock(uow, request["document_id"])
    rows.require(actor, Permission.DOCUMENT_RECOVER, document)
    if request["decision"] != "approved":
        raise ConflictError(
            "This recovery was not approved.",
            code="not-approved",
            rule="approved-first",
            satisfied_by="Have a second person approve the request.",
        )
    if request["until"] <= uow.now:
        raise ForbiddenError(
            f"The approval of this recovery ended on {rfc3339(request['until'])}.",
            code="recovery-over",
            satisfied_by="Ask for another recovery, and have a second person approve it.",
        )
    told = {"kind": KIND, "document_id": document["id"]}
    uow.note(custody_requests, request, Draft("custody_request.used", told))
    return document["id"], request["until"]
