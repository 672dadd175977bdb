"""Has this incoming document been received before? Told, never silently accepted [ND30 Annex VI].

Two documents are taken for the same if issuer, symbol and date agree, or if the main file's bytes do.
"""

from datetime import date
from functools import cache

import sqlalchemy as sa

from docflow.db import Prepared, Row
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
    origin = {}
    if issuer and symbol and day:
        origin = {"issuer": fold(issuer), "symbol": symbol, "day": day}
    if not origin and not sha256:
        return []
    statement = _same(by_origin=bool(origin), by_bytes=bool(sha256))
    values = {**origin, "sha256": sha256} if sha256 else origin
    return statement.rows(connection, {**values, "besides": besides or ""})


@cache
def _same(*, by_origin: bool, by_bytes: bool) -> Prepared:
    """Return the statement that finds duplicates by one mark or both, composed once."""
    same = []
    if by_origin:
        same.append(
            sa.and_(
                documents.c.issuer_folded == sa.bindparam("issuer"),
                documents.c.issuer_symbol == sa.bindparam("symbol"),
                documents.c.issuer_date == sa.bindparam("day"),
            )
        )
    if by_bytes:
        same.append(documents.c.main_sha256 == sa.bindparam("sha256"))
    condition = sa.and_(
        documents.c.direction == "incoming",
        documents.c.id != sa.bindparam("besides"),
        sa.or_(*same),
    )
    return Prepared(sa.select(documents).where(condition).order_by(documents.c.id).limit(_MOST))


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
