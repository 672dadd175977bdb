"""Notices: what people are told about documents of theirs, in the transaction that it is about.

A notice holds no content: its kind, the document and the request. Which document it is about is
shown only while the person may read that document; what it says does not depend on the document.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from docflow.custody.model import DECIDES, Custody, Kind
from docflow.custody.tables import custody_requests, notices
from docflow.db import Database, Row, UnitOfWork, all_rows
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.errors import NotFoundError
from docflow.kernel.ids import new_id
from docflow.people import access
from docflow.people.rules import RULES
from docflow.people.tables import clearances, offices, people, units
from docflow.people.vocabulary import Permission

TEXTS: Final = {
    "break-glass-asked": "Someone asks for break-glass access to a document that you may decide on.",
    "break-glass-opened": "A document of yours was opened to someone by break-glass access.",
    "break-glass-approved": "The break-glass access that you asked for was approved.",
    "lowering-asked": "Someone asks to lower the classification of a document that you may decide on.",
    "lowering-approved": "The lower classification that you asked for was approved.",
    "lowering-refused": "The lower classification that you asked for was refused.",
    "recovery-asked": "Someone asks for the recovery copy of a document that you may decide on.",
    "recovery-opened": "The recovery copy of a document of yours was opened to someone.",
    "recovery-approved": "The recovery copy that you asked for was approved.",
    "recovery-refused": "The recovery copy that you asked for was refused.",
}
"""What each kind of notice says."""

_NOTICES = notices.c


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as its person sees it.

    `document_id` is None while the person may not read the document; `request_id` stays.
    """

    id: str
    kind: str
    text: str
    document_id: str | None
    request_id: str
    at: datetime
    seen_at: datetime | None


# -- telling -----------------------------------------------------------------------------------------


def tell(
    uow: UnitOfWork, kind: str, document_id: str, request_id: str, person_ids: Iterable[str]
) -> None:
    """Write a notice for each of these people."""
    rows = [
        {
            "id": new_id(),
            "person_id": person_id,
            "kind": kind,
            "document_id": document_id,
            "request_id": request_id,
            "at": uow.now,
            "seen_at": None,
        }
        for person_id in sorted(set(person_ids))
    ]
    uow.put(notices, *rows)


def tell_owners(custody: Custody, uow: UnitOfWork, kind: str, document: Row, request: Row) -> None:
    """Tell the document's author, its assignee and who acts as head of its unit; not who asked."""
    owners = {document["author_id"], document["assignee_id"]}
    owners |= custody.desk.directory.unit_heads(uow.connection, document["unit_id"])
    here = _at_work(uow.connection, owners - {None, request["asked_by"]})
    tell(uow, kind, document["id"], request["id"], here)


def _at_work(connection: sa.Connection, ids: Collection[str]) -> list[str]:
    statement = sa.select(people.c.id).where(
        people.c.id.in_(sorted(ids)), people.c.active, people.c.kind == "person"
    )
    return list(connection.execute(statement).scalars())


def tell_deciders(
    custody: Custody, uow: UnitOfWork, kind: Kind, document: Row, request_id: str
) -> None:
    """Tell everyone who may decide on a request: cleared, and in office for the document's unit."""
    up = (
        sa.select(units.c.id, units.c.parent_id)
        .where(units.c.id == document["unit_id"])
        .cte("up", recursive=True)
    )
    above = sa.select(units.c.id, units.c.parent_id)
    up = up.union_all(above.join(up, units.c.id == up.c.parent_id))
    statement = (
        sa.select(people.c.id, clearances.c.level)
        .join(offices, offices.c.person_id == people.c.id)
        .join(up, up.c.id == offices.c.unit_id)
        .outerjoin(
            clearances,
            sa.and_(clearances.c.person_id == people.c.id, clearances.c.expires_at > uow.now),
        )
        .where(
            people.c.active,
            people.c.kind == "person",
            people.c.id != uow.actor.id,
            offices.c.role.in_(RULES[DECIDES[kind]].reasons),
        )
    )
    levels = custody.desk.catalogue.seed.classification
    wanted = [
        row.id
        for row in uow.connection.execute(statement)
        if document["classification"] in levels.cleared(row.level)
    ]
    tell(uow, f"{kind}-asked", document["id"], request_id, wanted)


# -- reading -----------------------------------------------------------------------------------------


def find(
    database: Database,
    actor: Actor,
    *,
    unseen: bool = False,
    before: str | None = None,
    limit: int = 50,
) -> list[Notice]:
    """Return up to `limit` of the actor's own notices, newest first.

    Args:
        database: where they are.
        actor: whose.
        unseen: only those that were not seen yet.
        before: the id of the last notice of the page before; None for the first page.
        limit: how many.

    Raises:
        ForbiddenError: if the actor is no person with a session.
    """
    access.require(actor, Permission.NOTICE_READ)
    conditions = [_NOTICES.person_id == actor.id]
    if unseen:
        conditions.append(_NOTICES.seen_at.is_(None))
    if before is not None:
        conditions.append(_NOTICES.id < before)
    with database.read() as connection:
        return _find(connection, actor, conditions, limit)


def _find(
    connection: sa.Connection, actor: Actor, conditions: list[sa.ColumnElement[bool]], limit: int
) -> list[Notice]:
    known = sa.case((access.readable(actor, documents), documents.c.id), else_=None)
    statement = (
        sa.select(notices, known.label("shown_id"))
        .join(documents, documents.c.id == _NOTICES.document_id)
        .join(custody_requests, custody_requests.c.id == _NOTICES.request_id)
        .where(*conditions)
        .order_by(_NOTICES.id.desc())
        .limit(limit)
    )
    return [
        Notice(
            id=row["id"],
            kind=row["kind"],
            text=TEXTS[row["kind"]],
            document_id=row["shown_id"],
            request_id=row["request_id"],
            at=row["at"],
            seen_at=row["seen_at"],
        )
        for row in all_rows(connection, statement)
    ]


def see(database: Database, actor: Actor, notice_id: str) -> Notice:
    """Mark one of the actor's notices as seen; seeing it again changes nothing.

    Raises:
        NotFoundError: if the actor has no such notice.
        ForbiddenError: if the actor is no person with a session.
    """
    access.require(actor, Permission.NOTICE_READ)
    own = sa.and_(_NOTICES.id == notice_id, _NOTICES.person_id == actor.id)
    with database.unit_of_work(actor) as uow:
        uow.alter(notices, None, sa.and_(own, _NOTICES.seen_at.is_(None)), {"seen_at": uow.now})
        found = _find(uow.connection, actor, [own], 1)
    if not found:
        raise NotFoundError("You have no such notice.", code="notice-not-found")
    return found[0]


def unseen(database: Database, actor: Actor) -> int:
    """Return how many notices the actor has not seen."""
    statement = (
        sa.select(sa.func.count())
        .select_from(notices)
        .where(_NOTICES.person_id == actor.id, _NOTICES.seen_at.is_(None))
    )
    with database.read() as connection:
        return int(connection.execute(statement).scalar_one())


def sweep(database: Database, older_than: timedelta) -> int:
    """Forget notices that were seen longer than this ago; return how many."""
    with database.unit_of_work(SERVICE) as uow:
        return uow.remove(notices, None, _NOTICES.seen_at < uow.now - older_than)
