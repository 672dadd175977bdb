"""What the scan found: kept until it is healed, and told in the history of the document.

A finding is one fault of one object for one document and one table. It is written once, looked at
again, and cleared when the object is found whole; then the same fault later is a new finding.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from docflow.db import Database, Draft, Row, UnitOfWork, all_rows
from docflow.documents import rows
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE
from docflow.kernel.ids import new_id
from docflow.upkeep.inspect import Fault
from docflow.upkeep.tables import storage_findings

_OPEN = storage_findings.c.cleared_at.is_(None)


@dataclass(frozen=True, slots=True)
class Noted:
    """How many findings are new, and how many were cleared."""

    found: int
    cleared: int


def note(database: Database, key: str, faults: Sequence[Fault]) -> Noted:
    """Note what was seen of an object now: keep, add and clear findings of it, in one transaction."""
    with database.unit_of_work(SERVICE) as uow:
        known = _open_of(uow.connection, key)
        open_ids = {_identity(row): row["id"] for row in known}
        seen = {_identity(_as_row(key, fault)): fault for fault in faults}
        new = [fault for identity, fault in seen.items() if identity not in open_ids]
        healed = [row for row in known if _identity(row) not in seen]
        still = [row["id"] for row in known if _identity(row) in seen]
        if still:
            uow.alter(
                storage_findings, None, storage_findings.c.id.in_(still), {"checked_at": uow.now}
            )
        for fault in new:
            _add(uow, _as_row(key, fault))
        for row in healed:
            _clear(uow, row)
    return Noted(len(new), len(healed))


def due(database: Database, checked_before: datetime, limit: int) -> list[str]:
    """Return the keys of open findings that were looked at least lately, each once."""
    with database.read() as connection:
        statement = (
            sa.select(storage_findings.c.key)
            .where(_OPEN, storage_findings.c.checked_at < checked_before)
            .where(storage_findings.c.key != "")
            .order_by(storage_findings.c.checked_at)
            .limit(limit)
        )
        return list(dict.fromkeys(connection.execute(statement).scalars()))


def with_findings(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """Return those of some keys that have an open finding."""
    statement = sa.select(storage_findings.c.key).where(storage_findings.c.key.in_(keys), _OPEN)
    return set(connection.execute(statement).scalars())


def count_open(connection: sa.Connection) -> dict[str, int]:
    """Return how many findings of each kind are open."""
    statement = (
        sa.select(storage_findings.c.kind, sa.func.count())
        .where(_OPEN)
        .group_by(storage_findings.c.kind)
    )
    return {kind: int(count) for kind, count in connection.execute(statement)}


def page(connection: sa.Connection, *, cleared: bool, before: str | None, limit: int) -> list[Row]:
    """Return up to `limit` findings, newest first: those that are open, or also cleared ones."""
    statement = sa.select(storage_findings).order_by(storage_findings.c.id.desc()).limit(limit)
    if not cleared:
        statement = statement.where(_OPEN)
    if before is not None:
        statement = statement.where(storage_findings.c.id < before)
    return all_rows(connection, statement)


def _open_of(connection: sa.Connection, key: str) -> list[Row]:
    return all_rows(
        connection, sa.select(storage_findings).where(storage_findings.c.key == key, _OPEN)
    )


def _identity(row: Row) -> tuple[Any, ...]:
    return row["kind"], row["source"], row["document_id"]


def _as_row(key: str, fault: Fault) -> Row:
    row = fault.reference
    return {
        "kind": fault.kind,
        "key": key,
        "source": row.source if row else "",
        "document_id": row.document_id if row else None,
        "detail": fault.detail,
    }


def _add(uow: UnitOfWork, row: Row) -> None:
    finding = {**row, "id": new_id(), "found_at": uow.now, "checked_at": uow.now}
    uow.put(storage_findings, {**finding, "cleared_at": None})
    if row["document_id"] is not None:
        subject = rows.lock(uow, row["document_id"])
        uow.note(documents, subject, Draft("document.storage-fault", _told(finding)))


def _clear(uow: UnitOfWork, row: Row) -> None:
    uow.alter(
        storage_findings,
        None,
        storage_findings.c.id == row["id"],
        {"checked_at": uow.now, "cleared_at": uow.now},
    )
    if row["document_id"] is not None:
        subject = rows.lock(uow, row["document_id"])
        uow.note(documents, subject, Draft("document.storage-healed", _told(row)))


def _told(row: Row) -> dict[str, Any]:
    """Return what history says of a finding: digests and names of tables, never content."""
    return {"finding": row["id"], "kind": row["kind"], "object": row["key"], "row": row["source"]}
