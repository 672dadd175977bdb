"""Recovery: two people release the copy of a delivered file that the organisation's key can open.

What is released, and how, is for who keeps that copy to say: they call `require_approved` in the
transaction that hands it out, and each use is an entry.
"""

from collections.abc import Mapping
from typing import Any

from docflow.custody import notices, requests
from docflow.custody.model import Custody, Kind
from docflow.custody.tables import custody_requests
from docflow.db import Draft, Row, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.documents import rows
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, ForbiddenError
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


def require_approved(
    uow: UnitOfWork, actor: Actor, document_id: str, request_id: str, **what: Any
) -> None:
    """Refuse to release a recovery copy unless two people agreed; record its use.

    Call it in the transaction after which the copy is handed out: the entries, of the document and
    of the request, are committed before the first byte leaves.

    Args:
        uow: the open unit of work.
        actor: who gets the copy.
        document_id: the document.
        request_id: the approved request.
        what: what is released, as identifiers and digests.

    Raises:
        NotFoundError: if there is no such request of this actor for this document, or the actor may
            not know of the document any more.
        ForbiddenError: if the actor may not ask for it any more.
        ConflictError: if it was not approved (code `not-approved`), or is over (code
            `request-expired`).
    """
    request = requests.lock(uow, KIND, request_id)
    if (request["asked_by"], request["document_id"]) != (actor.id, document_id):
        raise requests.no_request()
    document = rows.lock(uow, document_id)
    rows.require(actor, Permission.DOCUMENT_RECOVER, document)
    if request["decision"] != "approved":
        raise ConflictError(
            "The recovery copy was not approved.",
            code="not-approved",
            rule="approved-first",
            satisfied_by="Have a second person approve the request.",
        )
    if request["until"] <= uow.now:
        raise ConflictError(
            "The time for which the recovery copy was approved is over.",
            code="request-expired",
            rule="time-to-use",
            satisfied_by="Have it asked for again.",
        )
    used = {"request_id": request_id, **what}
    uow.note(documents, document, Draft("document.recovery-used", used))
    told = {"kind": KIND, "document_id": document_id, **what}
    uow.note(custody_requests, request, Draft("custody_request.used", told))
