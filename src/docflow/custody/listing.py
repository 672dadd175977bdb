"""Requests as they are shown: to who asked, to who may decide, and all of them to auditors.

Rules: who asked for break-glass access learns nothing of the document before it is opened to them.
What people wrote is content of the document: auditors see it if they may read the document.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from docflow.custody import words
from docflow.custody.model import DECIDES, Custody, Kind, Shown, State, Who
from docflow.custody.requests import no_request
from docflow.custody.tables import custody_requests
from docflow.db import Row, all_rows
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.people import access
from docflow.people.tables import people
from docflow.people.vocabulary import Permission

_REQUESTS = custody_requests.c
_ASKER = people.alias("asker")
_DECIDER = people.alias("decider")
_SHOWN = (
    sa.select(
        custody_requests,
        _ASKER.c.name.label("asker_name"),
        _DECIDER.c.name.label("decider_name"),
    )
    .join(_ASKER, _ASKER.c.id == _REQUESTS.asked_by)
    .outerjoin(_DECIDER, _DECIDER.c.id == _REQUESTS.decided_by)
)


def find(
    custody: Custody,
    actor: Actor,
    kind: Kind,
    *,
    state: State | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Shown]:
    """Return up to `limit` requests of a kind that the actor may see, newest first.

    Args:
        custody: the room's tools.
        actor: who asks.
        kind: which kind.
        state: only those that stand so, as the actor sees it.
        before: the id of the last request of the page before; None for the first page.
        limit: how many.
    """
    conditions = [_REQUESTS.kind == kind]
    if state is not None:
        conditions.append(_stands(custody, actor, state))
    if before is not None:
        conditions.append(_REQUESTS.id < before)
    return _find(custody, actor, kind, conditions, limit)


def one(custody: Custody, actor: Actor, kind: Kind, request_id: str) -> Shown:
    """Return one request.

    Raises:
        NotFoundError: if there is none of this kind that the actor may see.
    """
    conditions = [_REQUESTS.kind == kind, _REQUESTS.id == request_id]
    found = _find(custody, actor, kind, conditions, 1)
    if not found:
        raise no_request()
    return found[0]


def _find(
    custody: Custody,
    actor: Actor,
    kind: Kind,
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int,
) -> list[Shown]:
    statement = (
        _SHOWN.where(*conditions, _visible(actor, kind)).order_by(_REQUESTS.id.desc()).limit(limit)
    )
    with custody.desk.database.read() as connection:
        found = all_rows(connection, statement)
        ids = {row["document_id"] for row in found if row["document_id"] is not None}
        readable = _readable(connection, actor, ids)
        return [_show(custody, connection, actor, row, readable) for row in found]


def _visible(actor: Actor, kind: Kind) -> sa.ColumnElement[bool]:
    if access.decide(actor, Permission.CUSTODY_READ).allowed:
        return sa.true()
    may_decide = sa.select(documents.c.id).where(access.permitted(actor, DECIDES[kind], documents))
    return sa.or_(_REQUESTS.asked_by == actor.id, _REQUESTS.document_id.in_(may_decide))


def _stands(custody: Custody, actor: Actor, state: State) -> sa.ColumnElement[bool]:
    now = custody.desk.database.clock.now()
    hidden = sa.and_(
        _REQUESTS.decision == "refused",
        _REQUESTS.asked_by == actor.id,
        _REQUESTS.kind == "break-glass",
    )
    undecided = sa.or_(_REQUESTS.decision.is_(None), hidden)
    approved = _REQUESTS.decision == "approved"
    match state:
        case "open":
            return sa.and_(undecided, _REQUESTS.expires_at > now)
        case "expired":
            return sa.and_(undecided, _REQUESTS.expires_at <= now)
        case "refused":
            return sa.and_(_REQUESTS.decision == "refused", sa.not_(hidden))
        case "approved":
            return sa.and_(approved, sa.or_(_REQUESTS.until.is_(None), _REQUESTS.until > now))
        case "ended":
            return sa.and_(approved, _REQUESTS.until <= now)


def _readable(connection: sa.Connection, actor: Actor, ids: Collection[str]) -> frozenset[str]:
    statement = sa.select(documents.c.id).where(
        documents.c.id.in_(sorted(ids)), access.readable(actor, documents)
    )
    return frozenset(connection.execute(statement).scalars()) if ids else frozenset()


def _show(
    custody: Custody,
    connection: sa.Connection,
    actor: Actor,
    row: Row,
    readable: frozenset[str],
) -> Shown:
    own = row["asked_by"] == actor.id
    secret = own and row["kind"] == "break-glass" and row["decision"] != "approved"
    decided = row["decision"] is not None and not secret
    document_id = row["document_id"]
    withheld = not own and document_id is not None and document_id not in readable
    said = {} if withheld else words.of(custody, row, connection)
    now = custody.desk.database.clock.now()
    return Shown(
        id=row["id"],
        kind=row["kind"],
        state=_state(row, now, decided=decided),
        asked_for=said.get("asked_for"),
        reason=said.get("reason"),
        decision_reason=said.get("decision_reason") if decided else None,
        withheld=withheld,
        document_id=None if secret else document_id,
        data=row["data"],
        asked_by=Who(row["asked_by"], row["asker_name"]),
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        decided_by=Who(row["decided_by"], row["decider_name"]) if decided else None,
        decided_at=row["decided_at"] if decided else None,
        until=row["until"],
    )


def _state(row: Row, now: datetime, *, decided: bool) -> State:
    if not decided:
        return "open" if now < row["expires_at"] else "expired"
    if row["decision"] == "refused":
        return "refused"
    return "approved" if row["until"] is None or now < row["until"] else "ended"
