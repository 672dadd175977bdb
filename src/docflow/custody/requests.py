"""A request that two people decide, alike for all kinds: asked, then approved or refused once.

Rules:
1. Who decides is another person than asked, with a session, a clearance and a reason of their own to
   know the document, and does not stand below who asked.
2. A request is decided once, before it expires; the same decision by the same person again changes
   nothing.
3. Each step is an entry of the request and, where there is a document, of the document. Reasons
   stand in the document's entry, where they are details; the request's entry has none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from docflow.custody import notices, words
from docflow.custody.model import DECIDES, Custody, Decision, Kind
from docflow.custody.tables import custody_requests
from docflow.db import Draft, Row, UnitOfWork, one_row
from docflow.documents import rows
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor, Office
from docflow.kernel.errors import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from docflow.people.offices import offices_of
from docflow.people.records import note_refusal
from docflow.people.tables import people, units
from docflow.people.tree import UnitTree
from docflow.people.vocabulary import Role

CarryOut = Callable[[UnitOfWork, Row, Row, Draft], Mapping[str, Any]]
"""What approval does in its transaction: from the request, its document and the document's entry, which
it writes, to the columns of the request to set."""

_RANKS = {Role.HEAD.value: 1, Role.LEADER.value: 2}
_REQUESTS = custody_requests.c


def no_request() -> NotFoundError:
    """Return what is told of a request that there is not, or that the asker may not know of."""
    return NotFoundError(
        "There is no such request, or it is not for you to decide.", code="request-not-found"
    )


def insert(
    custody: Custody,
    uow: UnitOfWork,
    request_id: str,
    *,
    kind: Kind,
    document: Row | None,
    said: Mapping[str, str],
    data: Mapping[str, Any],
) -> None:
    """Write a new request of the unit of work's actor; `document` is locked, or there is none.

    Raises:
        ConflictError: with code `too-many-requests`.
        InvalidInputError: if no reason is given.
    """
    require_reason(said["reason"])
    uow.serialise(f"custody {uow.actor.id}")
    _require_few(custody, uow)
    document_id = document["id"] if document is not None else None
    public = {"kind": kind, "document_id": document_id, "asked_by": uow.actor.id, **data}
    uow.create(
        custody_requests,
        {
            "id": request_id,
            "kind": kind,
            "document_id": document_id,
            **words.columns(custody, uow, {"id": request_id}, said),
            "data": dict(data),
            "asked_by": uow.actor.id,
            "asked_at": uow.now,
            "expires_at": uow.now + custody.to_decide,
        },
        Draft("custody_request.asked", public),
    )
    if document is not None:
        tell = {"request_id": request_id, **data}
        details = {"reason": said["reason"]}
        uow.note(documents, document, Draft(f"document.{kind}-asked", tell, details))


def require_reason(reason: str) -> None:
    """Refuse an empty reason."""
    if not reason.strip():
        raise InvalidInputError("Say why.", fields=[FieldProblem("/reason", "must not be empty")])


def _require_few(custody: Custody, uow: UnitOfWork) -> None:
    # those refused count until they would have expired, or the count would tell of the refusal
    waiting = uow.connection.execute(
        sa.select(sa.func.count())
        .select_from(custody_requests)
        .where(
            _REQUESTS.asked_by == uow.actor.id,
            _REQUESTS.expires_at > uow.now,
            sa.or_(_REQUESTS.decision.is_(None), _REQUESTS.decision == "refused"),
        )
    ).scalar_one()
    if waiting >= custody.open_requests:
        raise ConflictError(
            f"You have {waiting} requests that wait to be decided; more are not taken.",
            code="too-many-requests",
            rule="open-requests",
            satisfied_by="Wait until one is approved or has expired.",
        )


def approve(
    custody: Custody,
    actor: Actor,
    kind: Kind,
    request_id: str,
    reason: str,
    carry_out: CarryOut,
) -> None:
    """Approve a request and carry it out in the same transaction.

    Raises:
        NotFoundError: if there is no such request, or the actor may not know of its document.
        ForbiddenError: if the actor may not decide it, or asked for it; history tells who tried.
        ConflictError: with code `already-decided`, `request-expired` or `asker-left`.
    """
    _decide(custody, actor, kind, request_id, "approved", reason, carry_out)


def refuse(custody: Custody, actor: Actor, kind: Kind, request_id: str, reason: str) -> None:
    """Refuse a request; who asked is told, unless that would tell of the document.

    Raises:
        NotFoundError, ForbiddenError, ConflictError: as `approve`.
    """

    def write(uow: UnitOfWork, request: Row, document: Row, draft: Draft) -> Mapping[str, Any]:
        uow.note(documents, document, draft)
        if kind != "break-glass":
            notices.tell(uow, f"{kind}-refused", document["id"], request_id, [request["asked_by"]])
        return {}

    _decide(custody, actor, kind, request_id, "refused", reason, write)


def _decide(
    custody: Custody,
    actor: Actor,
    kind: Kind,
    request_id: str,
    decision: Decision,
    reason: str,
    carry_out: CarryOut,
) -> None:
    require_reason(reason)
    try:
        with custody.desk.database.unit_of_work(actor) as uow:
            request = lock(uow, kind, request_id)
            document = _admit(uow, actor, kind, request)
            if _is_decided(request, actor, decision, uow):
                return
            if decision == "approved":
                _require_asker_works_here(uow, request)
            public = {"request_id": request_id, "asked_by": request["asked_by"], **request["data"]}
            draft = Draft(f"document.{kind}-{decision}", public, {"reason": reason})
            said = {**words.of(custody, request, uow.connection), "decision_reason": reason}
            values = {
                "decision": decision,
                "decided_by": actor.id,
                "decided_at": uow.now,
                **words.columns(custody, uow, request, said),
                **carry_out(uow, request, document, draft),
            }
            told = {"kind": kind, "document_id": document["id"], "decided_by": actor.id}
            uow.change(
                custody_requests, request, values, Draft(f"custody_request.{decision}", told)
            )
    except ForbiddenError as refusal:
        note_refusal(custody.desk.database, actor, DECIDES[kind], refusal.rule or kind)
        raise


def lock(uow: UnitOfWork, kind: Kind, request_id: str) -> Row:
    """Return a request's row, locked until the unit of work ends.

    Raises:
        NotFoundError: if there is none of this kind.
    """
    row = find(uow, kind, request_id)
    if row is None:
        raise no_request()
    return row


def find(uow: UnitOfWork, kind: Kind, request_id: str) -> Row | None:
    """Return a request's row, locked until the unit of work ends; None if there is none."""
    return one_row(
        uow.connection,
        sa.select(custody_requests)
        .where(_REQUESTS.id == request_id, _REQUESTS.kind == kind)
        .with_for_update(),
    )


def _admit(uow: UnitOfWork, actor: Actor, kind: Kind, request: Row) -> Row:
    """Return the request's document, locked, if the actor may decide."""
    if request["asked_by"] == actor.id:
        raise ForbiddenError(
            "Nobody decides on what they asked for.",
            rule="second-person",
            satisfied_by="Have another person decide, who may.",
        )
    document = require_decider(uow, actor, kind, request)
    if _stands_below(uow, actor, request["asked_by"], document):
        raise ForbiddenError(
            "Who decides must not stand below who asked.",
            rule="second-person",
            satisfied_by="Have someone decide whose office is not below that of who asked.",
        )
    return document


def require_decider(uow: UnitOfWork, actor: Actor, kind: Kind, request: Row) -> Row:
    """Return the request's document, locked, if the actor's own reasons let them decide on it.

    Raises:
        NotFoundError: if the actor may not know of the document, or there is none.
        ForbiddenError: if they know it and may not decide.
    """
    if request["document_id"] is None:
        raise no_request()
    document = rows.lock(uow, request["document_id"])
    try:
        rows.require(actor, DECIDES[kind], document)
    except NotFoundError:
        raise no_request() from None
    return document


def _is_decided(request: Row, actor: Actor, decision: Decision, uow: UnitOfWork) -> bool:
    """Tell whether the actor decided the same before; refuse any other decision of it."""
    if request["decision"] is not None:
        if (request["decision"], request["decided_by"]) == (decision, actor.id):
            return True
        raise ConflictError(
            f"This request was {request['decision']} before.",
            code="already-decided",
            rule="decided-once",
            satisfied_by="Have it asked for again.",
        )
    if uow.now >= request["expires_at"]:
        raise ConflictError(
            "This request was not decided in time.",
            code="request-expired",
            rule="time-to-decide",
            satisfied_by="Have it asked for again.",
        )
    return False


def _require_asker_works_here(uow: UnitOfWork, request: Row) -> None:
    active = sa.select(people.c.active).where(people.c.id == request["asked_by"])
    held = offices_of(uow.connection, [request["asked_by"]]).get(request["asked_by"], ())
    roles = {office.role for office in held}
    if uow.connection.execute(active).scalar_one() and roles - {Role.ADMINISTRATOR.value}:
        return
    raise ConflictError(
        "Who asked holds no office here any more that could use it.",
        code="asker-left",
        rule="asker-in-office",
        satisfied_by="Refuse the request, or let it expire.",
    )


def _stands_below(uow: UnitOfWork, actor: Actor, asker_id: str, document: Row) -> bool:
    """Tell whether each office that lets the actor decide is below one that the asker holds.

    A leader stands above a head of the same unit, and both above everyone in the units below.
    """
    tree = UnitTree(
        (row.id, row.parent_id)
        for row in uow.connection.execute(sa.select(units.c.id, units.c.parent_id))
    )
    theirs = _ranked(offices_of(uow.connection, [asker_id]).get(asker_id, ()))
    mine = [
        office
        for office in _ranked(actor.offices)
        if document["unit_id"] in tree.below(office.unit_id)
    ]
    return all(any(_above(tree, upper, lower) for upper in theirs) for lower in mine)


def _ranked(held: Iterable[Office]) -> list[Office]:
    return [office for office in held if office.role in _RANKS]


def _above(tree: UnitTree, upper: Office, lower: Office) -> bool:
    if upper.unit_id == lower.unit_id:
        return _RANKS[upper.role] > _RANKS[lower.role]
    return lower.unit_id in tree.below(upper.unit_id)
