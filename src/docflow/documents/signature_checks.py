"""The signatures of received files: what is asked for when a file comes in, and what was found.

A file that may carry signatures has a row from the transaction in which it comes in; the job that the
same transaction asks for fills it. Until then the signatures are pending, and no guard takes them for
valid.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from docflow.db import Prepared, Row, UnitOfWork, all_rows
from docflow.documents.content import CheckedFile
from docflow.documents.desk import Desk
from docflow.documents.sealed_rows import report_place
from docflow.documents.tables import files, signature_checks
from docflow.signing.report import NOT_SIGNED, PASSED
from docflow.workflow.facts import SignatureState

KIND = "arrival"
_OF_DOCUMENT = Prepared(
    sa.select(signature_checks)
    .join(files, files.c.id == signature_checks.c.file_id)
    .where(
        signature_checks.c.document_id == sa.bindparam("document_id"),
        files.c.current,
    )
    .order_by(files.c.position, files.c.id)
)
_MAIN = Prepared(
    sa.select(files.c.id).where(
        files.c.document_id == sa.bindparam("document_id"), files.c.role == "main", files.c.current
    )
)


def request(
    desk: Desk,
    uow: UnitOfWork,
    document_id: str,
    direction: str,
    received: Sequence[tuple[CheckedFile, Mapping[str, Any]]],
) -> None:
    """Ask, in the transaction that takes the files in, for the verification of their signatures.

    Args:
        desk: the room's tools.
        uow: the open unit of work, which also writes the document's entry.
        document_id: the document.
        direction: only what comes in is verified; what goes out is unsigned until docflow signs it.
        received: each file as checked, and its row.
    """
    signed = [row for checked, row in received if checked.may_be_signed]
    if direction != "incoming" or not signed:
        return
    job_id = f"{KIND}-{signed[0]['id']}"
    uow.put(
        signature_checks,
        *({"file_id": r["id"], "document_id": document_id, "job_id": job_id} for r in signed),
    )
    desk.enqueue(
        uow,
        kind=KIND,
        job_id=job_id,
        subject_id=document_id,
        payload={"document_id": document_id, "files": [row["id"] for row in signed]},
    )


def of_document(connection: sa.Connection, document_id: str) -> list[Row]:
    """Return the checks of a document's current files, in order of the files."""
    return _OF_DOCUMENT.rows(connection, {"document_id": document_id})


def opened(desk: Desk, connection: sa.Connection, document: Row) -> list[Row]:
    """Return the checks of a document's current files, with reports that were sealed opened."""
    return [
        row
        if row["report"] is None
        else {
            **row,
            "report": desk.vault.open_json(
                document, report_place(row["file_id"]), row["report"], connection
            ),
        }
        for row in of_document(connection, document["id"])
    ]


def reseal_reports(desk: Desk, uow: UnitOfWork, row: Row, /, *, sealing: bool) -> None:
    """Seal or open what reports say of signers, of a document whose classification changes."""
    table = signature_checks
    statement = sa.select(table).where(
        table.c.document_id == row["id"], table.c.report.is_not(None)
    )
    turn = desk.vault.seal_json if sealing else desk.vault.open_json
    for check in all_rows(uow.connection, statement):
        place = report_place(check["file_id"])
        report = turn(row, place, check["report"], uow.connection)
        uow.alter(table, row["id"], table.c.file_id == check["file_id"], {"report": report})


def state_of(connection: sa.Connection, document_id: str) -> SignatureState:
    """Tell what the signatures of a document's current files are worth together.

    `valid`: the main file is signed, by itself or in a file beside it, and every signature passed. A
    timestamp is no signature: it names nobody.
    """
    found = [row for row in of_document(connection, document_id) if not _without_signature(row)]
    if any(row["indication"] is None for row in found):
        return "pending"
    if any(row["indication"] != PASSED for row in found):
        return "not-valid"
    main = _MAIN.row(connection, {"document_id": document_id})
    if main is None:
        return "unsigned"
    signed = {row["data_file_id"] or row["file_id"] for row in found}
    return "valid" if main["id"] in signed else "unsigned"


def _without_signature(row: Row) -> bool:
    """Tell whether a file bears no signature; versions before took good timestamps for signatures."""
    if row["indication"] != PASSED:
        return bool(row["indication"] == NOT_SIGNED)
    report = row["report"]
    told = report.get("signatures") or [] if isinstance(report, dict) else []
    return bool(told) and all(one.get("kind") == "timestamp" for one in told)


__all__ = ["KIND", "of_document", "opened", "request", "reseal_reports", "state_of"]
