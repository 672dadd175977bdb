"""Read history: one document's for those who may read it, all of it for auditors.

Rules: who may read a document may read its history; the whole history is the auditors'. Details
(reasons, subjects, names) are content: of a document's entries they are shown to those who may read
that document, whatever office they hold; of a sealed document's only in its own history, where reading
is recorded. Every list is keyset-paged, and whatever it is narrowed to,
it walks an index.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from docflow.db import METADATA, Database, Row, UtcDateTime, all_rows, one_row
from docflow.db.tables import history_entries, log_leaves
from docflow.documents import reading
from docflow.documents.desk import Desk
from docflow.documents.duplicates import facts_for_access
from docflow.documents.rows import no_document
from docflow.documents.sealed_rows import details_place
from docflow.documents.tables import documents
from docflow.documents.vault import SEALED
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.people import access
from docflow.people.access import Permission
from docflow.people.tables import people, recipients
from docflow.transparency.merkle import leaf_hash

DOCUMENT = "document"

_ENTRIES = history_entries.c
_KINDS = sorted(
    table.info["audited"] for table in METADATA.tables.values() if "audited" in table.info
)
_SHOWN = sa.select(history_entries, log_leaves.c["index"]).outerjoin(
    log_leaves, log_leaves.c.entry_id == _ENTRIES.id
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the whole history is narrowed to; None does not narrow.

    `action` is an action, or the words before its dot: `document` stands for all that begin with
    `document.`. `at_from` is included, `at_before` is not.
    """

    subject_kind: str | None = None
    subject_id: str | None = None
    action: str | None = None
    actor_id: str | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


def of_document(
    desk: Desk, actor: Actor, document_id: str, *, after: str | None, limit: int
) -> list[Row]:
    """Return up to `limit` entries of a document, in order.

    The details of a sealed document's entries are opened, and that is history before.

    Args:
        desk: the documents room's tools.
        actor: who asks.
        document_id: the document.
        after: the id of the last entry of the page before; None for the first page.
        limit: how many.

    Returns:
        One row per entry: `id`, `subject`, `seq`, `action`, `actor`, `at`, `data`, `details`,
        `details_withheld`, `leaf_hash`, `intact` (whether the leaf still has that hash) and
        `index` (None until it is sequenced).

    Raises:
        NotFoundError: if there is no document that the actor may know of.
        ForbiddenError: if the actor's key is not for reading history.
        InvalidInputError: if `after` is no entry of this document (code `bad-cursor`).
    """
    with desk.database.read() as connection:
        row = one_row(connection, sa.select(documents).where(documents.c.id == document_id))
        if row is None:
            raise no_document()
        access.require(actor, Permission.HISTORY_READ_DOCUMENT, facts_for_access(row))
    reading.recorded(desk, actor, row, Permission.HISTORY_READ_DOCUMENT, what="history")
    with desk.database.read() as connection:
        statement = _SHOWN.where(
            _ENTRIES.subject_kind == DOCUMENT, _ENTRIES.subject_id == document_id
        )
        if after is not None:
            last = _cursor(connection, after)
            if last["subject_id"] != document_id:
                raise _bad_cursor()
            statement = statement.where(_ENTRIES.subject_seq > last["subject_seq"])
        found = all_rows(connection, statement.order_by(_ENTRIES.subject_seq).limit(limit))
        return _show(connection, actor, [_open(desk, connection, row, item) for item in found])


def _open(desk: Desk, connection: sa.Connection, document: Row, entry: Row) -> Row:
    if not entry["details"]:
        return entry
    place = details_place(entry["id"])
    return {**entry, "details": desk.vault.open_json(document, place, entry["details"], connection)}


def everything(
    database: Database, actor: Actor, filters: Filters, *, before: str | None, limit: int
) -> list[Row]:
    """Return up to `limit` entries of the whole history, newest first, as `of_document` does.

    Args:
        database: where history is.
        actor: who asks; an auditor.
        filters: what to narrow to.
        before: the id of the last entry of the page before; None for the first page.
        limit: how many.

    Raises:
        ForbiddenError: if the actor is no auditor.
        InvalidInputError: if `before` is no entry (code `bad-cursor`).
    """
    access.require(actor, Permission.HISTORY_READ)
    with database.read() as connection:
        conditions = _conditions(filters)
        if before is not None:
            last = _cursor(connection, before)
            age = sa.tuple_(_ENTRIES.at, _ENTRIES.id)
            instant = sa.literal(last["at"], UtcDateTime())
            conditions.append(age < sa.tuple_(instant, sa.literal(last["id"])))
        ids = _newest(connection, filters, conditions, limit)
        statement = _SHOWN.where(_ENTRIES.id.in_(ids))
        found = all_rows(connection, statement.order_by(_ENTRIES.at.desc(), _ENTRIES.id.desc()))
        return _show(connection, actor, found)


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for name in ("subject_kind", "subject_id", "actor_id"):
        value = getattr(filters, name)
        if value is not None:
            conditions.append(_ENTRIES[name] == value)
    if filters.subject_id is not None and filters.subject_kind is None:
        conditions.append(_ENTRIES.subject_kind.in_(_KINDS))  # the index begins with the kind
    if filters.at_from is not None:
        conditions.append(_ENTRIES.at >= filters.at_from)
    if filters.at_before is not None:
        conditions.append(_ENTRIES.at < filters.at_before)
    return conditions


def _newest(
    connection: sa.Connection,
    filters: Filters,
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int,
) -> list[str]:
    """Return the ids of the newest entries that fulfil the conditions."""
    newest = sa.select(_ENTRIES.id, _ENTRIES.at).where(*conditions)
    by_age = (_ENTRIES.at.desc(), _ENTRIES.id.desc())
    if filters.action is None and (filters.subject_kind is None or filters.subject_id is not None):
        statement = newest.order_by(*by_age).limit(limit)
        return list(connection.execute(statement).scalars())
    # A rare action or kind among millions of others: walk the index of each action it can be,
    # and merge. There are some dozens of actions, so this costs the same however long history is.
    parts = [
        newest.where(_ENTRIES.action == action).order_by(*by_age).limit(limit).subquery()
        for action in _actions(connection, filters)
    ]
    if not parts:
        return []
    merged = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    statement = sa.select(merged.c.id).order_by(merged.c.at.desc(), merged.c.id.desc()).limit(limit)
    return list(connection.execute(statement).scalars())


def _actions(connection: sa.Connection, filters: Filters) -> list[str]:
    """Return the actions on file that the filters mean; an action is about one kind of subject."""
    found = sa.select(sa.func.min(_ENTRIES.action).label("action")).cte("found", recursive=True)
    following = (
        sa.select(sa.func.min(_ENTRIES.action))
        .where(_ENTRIES.action > found.c.action)
        .scalar_subquery()
    )
    found = found.union_all(sa.select(following).where(found.c.action.is_not(None)))
    kind = (
        sa.select(_ENTRIES.subject_kind)
        .where(_ENTRIES.action == found.c.action)
        .limit(1)
        .scalar_subquery()
    )
    statement = sa.select(found.c.action, kind.label("kind")).where(found.c.action.is_not(None))
    return [
        row.action
        for row in connection.execute(statement)
        if filters.subject_kind in (None, row.kind)
        and (filters.action is None or f"{row.action}.".startswith(f"{filters.action}."))
    ]


def _cursor(connection: sa.Connection, entry_id: str) -> Row:
    statement = sa.select(_ENTRIES.id, _ENTRIES.at, _ENTRIES.subject_id, _ENTRIES.subject_seq)
    row = one_row(connection, statement.where(_ENTRIES.id == entry_id))
    if row is None:
        raise _bad_cursor()
    return row


def _bad_cursor() -> InvalidInputError:
    return InvalidInputError(
        "The cursor is not one that this list gave.",
        code="bad-cursor",
        fields=[FieldProblem("query:cursor", "use next_cursor of the page before")],
    )


# -- how an entry is shown ---------------------------------------------------------------------------


def _show(connection: sa.Connection, actor: Actor, found: Sequence[Row]) -> list[Row]:
    names = _names(connection, {row["actor_id"] for row in found})
    open_to = _readable(connection, actor, found)
    return [_entry(row, names, open_to) for row in found]


def _entry(row: Row, names: dict[str, str], open_to: frozenset[str]) -> Row:
    withheld = row["subject_kind"] == DOCUMENT and row["subject_id"] not in open_to
    leaf = row["leaf"].encode()
    return {
        "id": row["id"],
        "subject": {"kind": row["subject_kind"], "id": row["subject_id"]},
        "seq": row["subject_seq"],
        "action": row["action"],
        "actor": {
            "id": row["actor_id"],
            "kind": row["actor_kind"],
            "name": names.get(row["actor_id"]),
        },
        "at": row["at"],
        "data": _data(leaf),
        "details": None if withheld or SEALED in (row["details"] or ()) else row["details"],
        "details_withheld": row["details"] is not None and (withheld or SEALED in row["details"]),
        "leaf_hash": row["leaf_hash"],
        "intact": leaf_hash(leaf).hex() == row["leaf_hash"],
        "index": row["index"],
    }


def _data(leaf: bytes) -> dict[str, Any]:
    """Return a leaf's data; of a leaf that someone spoilt nothing, for the rest must be readable."""
    try:
        data = json.loads(leaf)["data"]
    except (ValueError, TypeError, LookupError):
        return {}
    return data if isinstance(data, dict) else {}


def _readable(connection: sa.Connection, actor: Actor, found: Iterable[Row]) -> frozenset[str]:
    """Return which of the documents that entries are about the actor may read."""
    ids = {row["subject_id"] for row in found if row["subject_kind"] == DOCUMENT}
    if not ids:
        return frozenset()
    statement = sa.select(documents.c.id).where(
        documents.c.id.in_(sorted(ids)), access.readable(actor, documents)
    )
    return frozenset(connection.execute(statement).scalars())


def _names(connection: sa.Connection, ids: set[str]) -> dict[str, str]:
    """Return the names of those who acted; someone unknown has none."""
    names = {SERVICE.id: SERVICE.name}
    for table in (people, recipients):
        wanted = sorted(ids - names.keys())
        if wanted:
            statement = sa.select(table.c.id, table.c.name).where(table.c.id.in_(wanted))
            names |= {row.id: row.name for row in connection.execute(statement)}
    return names
