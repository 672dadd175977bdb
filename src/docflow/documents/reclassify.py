"""Another classification for a document: its texts at once, its files by a job right after.

Rules:
1. Raising is immediate: whoever is not cleared for the new level sees nothing from the commit on.
2. Lowering is somebody else's decision: `custody` calls `apply` when two people have agreed.
3. The texts of a document that becomes sealed are sealed in the same transaction: its subject, fields
   and file names, the reasons in its registers, what rooms above keep of it (receipts), and the
   details of its history so far.
4. Its files are sealed anew by a durable job (`reseal`), one object after the other. Until then they
   lie as they lay, and open for nobody who may not read the document.
5. What was in the clear may live on in copies and backups; docflow cannot take that back.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows
from docflow.db.ledger import seal_existing
from docflow.documents import resealing, rows, signature_checks
from docflow.documents.desk import Desk
from docflow.documents.sealed_rows import details_place, pending_place, reason_place
from docflow.documents.tables import data_keys, documents, files, register_entries
from docflow.documents.vault import LATER, SEALED
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem
from docflow.kernel.text import fold, normalise
from docflow.people.access import Permission


def raise_classification(
    desk: Desk, actor: Actor, document_id: str, to: str, *, reason: str, if_version: int
) -> tuple[str, int]:
    """Raise a document's classification; return the one it has now and its version.

    The actor may raise it above their own clearance, and then no longer sees it.

    Raises:
        ConflictError: if the level is not higher (code `lowering-needs-two`), or a signature is
            under way.
        InvalidInputError: if there is no such level, or it is above the ceiling.
    """
    with desk.database.unit_of_work(actor) as uow:
        row = rows.lock(uow, document_id)
        rows.require(actor, Permission.DOCUMENT_CLASSIFY, row)
        rows.require_version(row, if_version)
        details = {"reason": normalise(reason).strip()}
        now = raised(desk, uow, row, to, details)
        return now["classification"], now["version"]


def raised(
    desk: Desk, uow: UnitOfWork, row: Row, to: str, details: dict[str, Any] | None = None
) -> Row:
    """Raise a document's classification in the open unit of work; return its row as it is then."""
    desk.catalogue.check_classification(to)
    before = row["classification"]
    if to == before:
        return row
    if desk.catalogue.seed.classification.higher(before, to) == before:
        raise ConflictError(
            f"The document is classified {before!r}; to lower it to {to!r} takes two people.",
            code="lowering-needs-two",
            rule="lowering-by-two",
            satisfied_by="Ask for it with POST /v1/documents/{id}/lowerings; a second person decides.",
            fields=[FieldProblem("/classification", f"{before} or higher")],
            state=row["state"],
        )
    apply(desk, uow, row, to, Draft("document.classified", {"from": before, "to": to}, details))
    return rows.lock(uow, row["id"])


def apply(desk: Desk, uow: UnitOfWork, row: Row, to: str, draft: Draft) -> int:
    """Give a document another classification, higher or lower, in the open unit of work.

    Who may is for the caller to know. Its texts are sealed or opened here; a job that is enqueued in
    the same transaction does it to its files.

    Args:
        desk: the room's tools.
        uow: the open unit of work; its entry tells the change.
        row: the document's locked row.
        to: the new classification.
        draft: the entry; its `data` must have `to`.

    Returns:
        The document's new version.

    Raises:
        ConflictError: if a signature is under way (code `signing-in-progress`).
    """
    if row["pending"] and not row["pending"].get("failed"):
        raise ConflictError(
            "A signature is under way; wait for it.", code="signing-in-progress", state=row["state"]
        )
    was, will = desk.vault.is_sealed(row), desk.catalogue.is_sealed(to)
    values: dict[str, Any] = {"classification": to, "updated_at": uow.now}
    if will and row["data_key_id"] is not None:
        values |= desk.vault.rewrap_texts(uow, row, to)
        uow.remove(data_keys, None, data_keys.c.id == row["data_key_id"])
    if will and not was:
        values |= _sealed(desk, uow, {**row, **values})
    elif was and not will:
        values |= _opened(desk, uow, row)
    version = uow.change(documents, row, values, draft)
    if will and not was:
        _seal_history(desk, uow, {**row, **values})
    resealing.enqueue(desk, uow, row["id"], version)
    return version


def _sealed(desk: Desk, uow: UnitOfWork, row: Row) -> dict[str, Any]:
    """Seal the texts of a document; return its columns."""
    vault = desk.vault
    values = vault.seal_new(uow, row) if row["data_key_id"] is None else vault.seal_again(uow, row)
    row = {**row, **values}
    for file in _files(uow, row["id"]):
        named = vault.name_columns(uow.connection, row, file["id"], file["name"])
        uow.alter(files, row["id"], files.c.id == file["id"], named)
    for entry in _voided(uow, row["id"]):
        place = reason_place(row["id"])
        reason = vault.seal_line(row, place, entry["void_reason"], uow.connection)
        _put_reason(uow, row["id"], entry["id"], reason)
    if row["pending"]:
        place = pending_place(row["id"])
        asked = vault.seal_json(row, place, row["pending"]["asked"], uow.connection)
        values["pending"] = {**row["pending"], "asked": asked}
    for texts in (signature_checks.reseal_reports, *desk.elsewhere):
        texts(desk, uow, row, sealing=True)
    return values


def _opened(desk: Desk, uow: UnitOfWork, row: Row) -> dict[str, Any]:
    """Open the texts of a document; return its columns. Its history stays sealed."""
    vault = desk.vault
    texts = vault.texts(row, uow.connection)
    for file in vault.with_names(row, _files(uow, row["id"]), uow.connection):
        named = {"name": file["name"], "sealed_name": None}
        uow.alter(files, row["id"], files.c.id == file["id"], named)
    for entry in _voided(uow, row["id"]):
        reason = vault.open_line(row, reason_place(row["id"]), entry["void_reason"], uow.connection)
        _put_reason(uow, row["id"], entry["id"], reason)
    values: dict[str, Any] = {
        "sealed_content": None,
        "subject": texts.subject,
        "subject_folded": fold(texts.subject),
        "fields": texts.fields,
    }
    if row["pending"]:
        place = pending_place(row["id"])
        asked = vault.open_json(row, place, row["pending"]["asked"], uow.connection)
        values["pending"] = {**row["pending"], "asked": asked}
    for elsewhere in (signature_checks.reseal_reports, *desk.elsewhere):
        elsewhere(desk, uow, row, sealing=False)
    return values


def _seal_history(desk: Desk, uow: UnitOfWork, row: Row) -> None:
    def seal(entry_id: str, details: Mapping[str, Any]) -> dict[str, Any]:
        place = details_place(entry_id)
        return {**desk.vault.seal_json(row, place, details, uow.connection), LATER: True}

    seal_existing(uow.connection, "document", row["id"], seal, sealed_by=SEALED)


def _files(uow: UnitOfWork, document_id: str) -> list[Row]:
    return all_rows(uow.connection, sa.select(files).where(files.c.document_id == document_id))


def _voided(uow: UnitOfWork, document_id: str) -> list[Row]:
    table = register_entries.c
    statement = sa.select(register_entries).where(
        table.document_id == document_id, table.void_reason.is_not(None)
    )
    return all_rows(uow.connection, statement)


def _put_reason(uow: UnitOfWork, document_id: str, entry_id: str, reason: str) -> None:
    uow.alter(
        register_entries, document_id, register_entries.c.id == entry_id, {"void_reason": reason}
    )
