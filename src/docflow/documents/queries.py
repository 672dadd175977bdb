"""Find documents and show one. Every list carries the access rule's SQL condition and is keyset-paged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from docflow.db import Prepared, Row, all_rows, one_row
from docflow.documents import conversions, lookups, reading, rows, signature_checks
from docflow.documents.desk import Desk
from docflow.documents.tables import document_recipients, documents, files, workflows
from docflow.kernel.actor import Actor
from docflow.kernel.errors import NotFoundError
from docflow.kernel.text import fold
from docflow.people import access
from docflow.people.tables import people, recipients, units
from docflow.workflow.decision import available as workflow_available
from docflow.workflow.facts import Available


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; None does not narrow."""

    direction: str | None = None
    state: str | None = None
    unit: str | None = None
    assignee: str | None = None
    author: str | None = None
    type_code: str | None = None
    urgency: str | None = None
    symbol: str | None = None
    text: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    due_before: datetime | None = None
    issuer_date: date | None = None


_EXACT = ("direction", "state", "type_code", "urgency", "symbol", "issuer_date")

_author = people.alias("author")
_assignee = people.alias("assignee")
_SHOWN = (
    sa.select(
        documents,
        units.c.code.label("unit_code"),
        units.c.name.label("unit_name"),
        _author.c.name.label("author_name"),
        _author.c.login.label("author_login"),
        _assignee.c.name.label("assignee_name"),
        _assignee.c.login.label("assignee_login"),
        workflows.c.name.label("workflow_name"),
        workflows.c.workflow_version,
        workflows.c.sha256.label("workflow_sha256"),
    )
    .join(units, units.c.id == documents.c.unit_id)
    .join(_author, _author.c.id == documents.c.author_id)
    .outerjoin(_assignee, _assignee.c.id == documents.c.assignee_id)
    .join(workflows, workflows.c.id == documents.c.workflow_id)
)

_ID = sa.bindparam("document_id", type_=sa.String(36))
_SHOWN_BY_ID = Prepared(_SHOWN.where(documents.c.id == _ID))
_RECIPIENTS = Prepared(
    sa.select(recipients)
    .join(document_recipients, document_recipients.c.recipient_id == recipients.c.id)
    .where(document_recipients.c.document_id == _ID)
    .order_by(document_recipients.c.position)
)
_FILES = Prepared(
    sa.select(files)
    .where(files.c.document_id == _ID)
    .order_by(files.c.current.desc(), files.c.position, files.c.id)
)


def find(
    desk: Desk, actor: Actor, filters: Filters, *, before: str | None, limit: int
) -> list[Row]:
    """Return up to `limit` documents that the actor may read, newest first.

    Args:
        desk: the room's tools.
        actor: who asks.
        filters: what to narrow to.
        before: the id of the last document of the page before; None for the first page.
        limit: how many.
    """
    with desk.database.read() as connection:
        conditions = [access.readable(actor, documents)]
        conditions += _conditions(connection, filters)
        if before is not None:
            conditions.append(documents.c.id < before)
        statement = _SHOWN.where(*conditions).order_by(documents.c.id.desc()).limit(limit)
        return all_rows(connection, statement)


def _conditions(connection: sa.Connection, filters: Filters) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for name in _EXACT:
        value = getattr(filters, name)
        if value is not None:
            conditions.append(documents.c[name] == value)
    if filters.unit is not None:
        unit_id = lookups.unit_id(connection, filters.unit)
        conditions.append(documents.c.unit_id == unit_id)
    for name in ("assignee", "author"):
        login = getattr(filters, name)
        if login is not None:
            person_id = lookups.person_id(connection, login, f"/{name}")
            conditions.append(documents.c[f"{name}_id"] == person_id)
    if filters.created_from is not None:
        conditions.append(documents.c.created_at >= filters.created_from)
    if filters.created_before is not None:
        conditions.append(documents.c.created_at < filters.created_before)
    if filters.due_before is not None:
        conditions.append(documents.c.due_at < filters.due_before)
    if filters.text is not None:
        conditions.append(_matches(connection, filters.text))
    return conditions


def _matches(connection: sa.Connection, text: str) -> sa.ColumnElement[bool]:
    """Every word of `text` occurs in the subject; the last one may be a beginning."""
    words = ["".join(c for c in word if c.isalnum()) for word in fold(text).split()]
    words = [word for word in words if word]
    if not words:
        return sa.false()
    if connection.dialect.name == "sqlite":
        # quoted, so that nothing in a word is an operator of the query language
        query = " ".join([f'"{word}"' for word in words[:-1]] + [f'"{words[-1]}"*'])
        found = sa.table("documents_search", sa.column("document_id"), sa.column("subject"))
        return documents.c.id.in_(
            sa.select(found.c.document_id).where(sa.literal_column("documents_search").match(query))
        )
    query = " & ".join([*words[:-1], f"{words[-1]}:*"])
    vector = sa.func.to_tsvector(sa.literal_column("'simple'"), documents.c.subject_folded)
    return vector.op("@@")(sa.func.to_tsquery(sa.literal_column("'simple'"), query))


@dataclass(frozen=True, slots=True)
class Shown:
    """A document with everything that its page shows."""

    row: Row
    files: Sequence[Row]
    recipients: Sequence[Row]
    available: Sequence[Available]
    remind_at: Sequence[datetime]
    signatures: Sequence[Row] = ()


def show(desk: Desk, actor: Actor, document_id: str) -> Shown:
    """Return a document, its files and recipients, and what the actor may do.

    Of a sealed document the texts are opened, and that is history before.

    Raises:
        NotFoundError: if there is none that the actor may know of.
    """
    with desk.database.read() as connection:
        row = _SHOWN_BY_ID.row(connection, {"document_id": document_id})
        if row is None:
            raise rows.no_document()
        rows.require(actor, access.Permission.DOCUMENT_READ, row)
    reading.recorded(desk, actor, row, access.Permission.DOCUMENT_READ, what="page")
    with desk.database.read() as connection:
        row = desk.vault.opened(row, connection)
        listed = desk.vault.with_names(row, list_files(connection, document_id), connection)
        given = _RECIPIENTS.rows(connection, {"document_id": document_id})
        current = {(f["role"], f["form"]) for f in listed if f["current"]}
        full = {
            **row,
            "has_main_file": ("main", "original") in current,
            "conversion": conversions.state_of(listed),
            "signed_person": ("main", "signed") in current,
            "sealed": ("main", "released") in current,
            "recipients_count": len(given),
        }
        definition = rows.pinned(desk, row).compiled.definition
        remind = definition.states[row["state"]].remind
        return Shown(
            row,
            listed,
            given,
            _available(desk, connection, actor, full),
            desk.catalogue.remind_at(definition.calendar, row["due_at"], remind),
            signature_checks.opened(desk, connection, row)
            if row["direction"] == "incoming"
            else (),
        )


def list_files(connection: sa.Connection, document_id: str) -> list[Row]:
    """Return every file of a document, current ones first, in order."""
    return _FILES.rows(connection, {"document_id": document_id})


def available(desk: Desk, actor: Actor, document_id: str) -> tuple[Row, list[Available]]:
    """Return a document's row and each transition the actor could ask for, with why not."""
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
        rows.require(actor, access.Permission.DOCUMENT_READ, row)
        return row, _available(desk, connection, actor, row)


def _available(desk: Desk, connection: sa.Connection, actor: Actor, row: Row) -> list[Available]:
    facts = rows.facts_of(desk, connection, actor, row)
    return workflow_available(rows.pinned(desk, row).compiled, facts)


def file_to_open(desk: Desk, actor: Actor, document_id: str, file_id: str) -> Row:
    """Return the row of a file whose bytes the actor may have, with its name in the open.

    Of a sealed document, that they are read is history before this returns.

    Raises:
        NotFoundError: if there is no such document or file.
        ForbiddenError: if the actor may know of it, but not open it.
    """
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
        rows.require(actor, access.Permission.DOCUMENT_OPEN, row)
        found = one_row(
            connection,
            sa.select(files).where(files.c.id == file_id, files.c.document_id == document_id),
        )
        if found is None:
            raise NotFoundError("This document has no such file.", code="file-not-found")
    told = {"what": "file", "file": found["id"], "sha256": found["sha256"]}
    reading.recorded(desk, actor, row, access.Permission.DOCUMENT_OPEN, **told)
    return desk.vault.with_names(row, [found])[0]


__all__ = [
    "Filters",
    "Shown",
    "available",
    "file_to_open",
    "find",
    "list_files",
    "show",
]
