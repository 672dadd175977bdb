"""Has this incoming document been received before? Told, never silently accepted [ND30 Annex VI].

Two documents are taken for the same if issuer, symbol and date agree, or if the main file's bytes do.
"""

from datetime import date

import sqlalchemy as sa

from docflow.db import Row, all_rows
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem
from docflow.kernel.text import fold
from docflow.people import access

_MOST = 20


def serial_keys(
    issuer: str | None, symbol: str | None, day: date | None, sha256: str | None
) -> list[str]:
    """Return the keys to serialise on, so that two posts at once cannot miss each other."""
    keys = [f"bytes {sha256}"] if sha256 else []
    if issuer and symbol and day:
        keys.append(f"origin {fold(issuer)}|{symbol}|{day.isoformat()}")
    return sorted(keys)


def find_duplicates(
    connection: sa.Connection,
    *,
    issuer: str | None,
    symbol: str | None,
    day: date | None,
    sha256: str | None,
    besides: str | None = None,
) -> list[Row]:
    """Return the incoming documents that this one duplicates, oldest first, at most 20."""
    same = []
    if issuer and symbol and day:
        same.append(
            sa.and_(
                documents.c.issuer_folded == fold(issuer),
                documents.c.issuer_symbol == symbol,
                documents.c.issuer_date == day,
            )
        )
    if sha256:
        same.append(documents.c.main_sha256 == sha256)
    if not same:
        return []
    condition = sa.and_(documents.c.direction == "incoming", sa.or_(*same))
    if besides is not None:
        condition = sa.and_(condition, documents.c.id != besides)
    statement = sa.select(documents).where(condition).order_by(documents.c.id).limit(_MOST)
    return all_rows(connection, statement)


def report(actor: Actor, found: list[Row]) -> ConflictError:
    """Return the refusal that tells of duplicates; ids only of what the actor may read."""
    known = [
        row["id"]
        for row in found
        if access.decide(actor, access.Permission.DOCUMENT_READ, facts_for_access(row)).allowed
    ]
    return ConflictError(
        "This document was received before: issuer, symbol and date, or the very bytes, agree with "
        f"{len(found)} received document{'s' if len(found) > 1 else ''}.",
        code="duplicate-document",
        rule="no-silent-duplicate",
        satisfied_by="If it must be received again, post it with `accept_duplicate` and a reason.",
        fields=[FieldProblem("/accept_duplicate", "give the reason for receiving it again")],
        duplicates=known,
    )


def facts_for_access(row: Row) -> access.DocumentFacts:
    """Return what the access rule needs to know of a document's row."""
    return access.DocumentFacts(
        id=row["id"],
        direction=row["direction"],
        state=row["state"],
        unit_id=row["unit_id"],
        author_id=row["author_id"],
        assignee_id=row["assignee_id"],
        classification=row["classification"],
    )
