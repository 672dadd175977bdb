"""Lowering a classification: one who is responsible for the document asks, another decides.

Raising is immediate and takes one (`documents/reclassify.py`); whoever lowers opens a document to
more people, for good, so it takes two.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from docflow.custody import notices, requests
from docflow.custody.model import Custody, Kind
from docflow.custody.tables import custody_requests
from docflow.db import Draft, Row, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.documents import reclassify, rows
from docflow.documents.catalogue import hint
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem, ForbiddenError, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people.records import claim_id, note_refusal
from docflow.people.vocabulary import Permission

KIND: Kind = "lowering"


def ask(
    custody: Custody,
    actor: Actor,
    document_id: str,
    *,
    to: str,
    reason: str,
    claim: Claim | None = None,
) -> str:
    """Ask to lower a document's classification; return the request's id.

    Raises:
        NotFoundError: if there is no document that the actor may know of.
        ForbiddenError: if the actor is not its author, nor head or leader of its unit or above.
        InvalidInputError: if there is no such level, or it is not lower (code `not-lower`).
        ConflictError: if it is asked for already (code `lowering-open`), or with code
            `too-many-requests`.
    """
    request_id = new_id()
    try:
        with custody.desk.database.unit_of_work(actor) as uow:
            claim_id(uow, claim, request_id)
            row = rows.lock(uow, document_id)
            rows.require(actor, Permission.DOCUMENT_LOWER, row)
            _check_level(custody, row, to)
            _require_none_open(uow, document_id)
            requests.insert(
                custody,
                uow,
                request_id,
                kind=KIND,
                document=row,
                said={"asked_for": document_id, "reason": reason},
                data={"from": row["classification"], "to": to},
            )
            notices.tell_deciders(custody, uow, KIND, row, request_id)
    except ForbiddenError as refusal:
        note_refusal(custody.desk.database, actor, Permission.DOCUMENT_LOWER, refusal.rule or KIND)
        raise
    return request_id


def _check_level(custody: Custody, row: Row, to: str) -> None:
    codes = custody.desk.catalogue.seed.classification.codes()
    if to not in codes:
        raise InvalidInputError(
            f"There is no classification {to[:40]!r}; {hint(to, codes)}",
            code="unknown-classification",
            fields=[FieldProblem("/to", f"one of {', '.join(codes)}")],
        )
    now = row["classification"]
    lower = codes[: codes.index(now)] if now in codes else codes
    if to not in lower:
        raise InvalidInputError(
            f"{to!r} is not lower than {now!r}, which the document has.",
            code="not-lower",
            rule="lowering",
            fields=[FieldProblem("/to", f"one of {', '.join(lower) or 'none'}")],
        )


def _require_none_open(uow: UnitOfWork, document_id: str) -> None:
    found = custody_requests.c
    waiting = uow.connection.execute(
        sa.select(found.id)
        .where(
            found.document_id == document_id,
            found.kind == KIND,
            found.decision.is_(None),
            found.expires_at > uow.now,
        )
        .limit(1)
    ).scalar_one_or_none()
    if waiting is not None:
        raise ConflictError(
            "To lower this document is asked for already, and not decided.",
            code="lowering-open",
            rule="one-lowering",
            satisfied_by=f"Have /v1/lowerings/{waiting} decided, or wait until it expires.",
        )


def approve(custody: Custody, actor: Actor, request_id: str, reason: str) -> None:
    """Lower the document's classification: its texts now, its files by a job right after.

    Raises:
        NotFoundError, ForbiddenError: as `requests.approve`.
        ConflictError: as there; if the classification changed since (code `request-outdated`), or a
            signature is under way (code `signing-in-progress`).
    """

    def carry_out(uow: UnitOfWork, request: Row, document: Row, draft: Draft) -> Mapping[str, Any]:
        if document["classification"] != request["data"]["from"]:
            raise ConflictError(
                f"The document is classified {document['classification']!r} now, not "
                f"{request['data']['from']!r} as when this was asked for.",
                code="request-outdated",
                rule="as-it-was-asked",
                satisfied_by="Refuse the request, and have it asked for anew.",
            )
        reclassify.apply(custody.desk, uow, document, request["data"]["to"], draft)
        asker = [request["asked_by"]]
        notices.tell(uow, "lowering-approved", document["id"], request["id"], asker)
        return {}

    requests.approve(custody, actor, KIND, request_id, reason, carry_out)


def refuse(custody: Custody, actor: Actor, request_id: str, reason: str) -> None:
    """Leave the classification as it is; who asked is told.

    Raises:
        NotFoundError, ForbiddenError, ConflictError: as `requests.approve`.
    """
    requests.refuse(custody, actor, KIND, request_id, reason)
