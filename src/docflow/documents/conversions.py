"""What is to be made of received files before they count: asked for when they come in, and how far it is.

An office file, or a PDF that has to be cleaned, is never current. It waits (`pending`) for the job that
the same transaction asks for; the PDF made of it becomes the current original, with it as its origin.
See `converting` for the job.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Row, UnitOfWork
from docflow.documents.content import CheckedFile
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.workflow.facts import ConversionState

KIND: Final = "convert"
OPEN: Final = sa.or_(files.c.conversion == "failed", files.c.conversion == "pending")
"""The files of which something is still to be made; a prepared statement takes no lists."""

OF_DOCUMENT: Final = (
    sa.select(sa.func.min(files.c.conversion))  # failed comes before pending
    .where(files.c.document_id == documents.c.id, OPEN)
    .scalar_subquery()
)

COUNTS: Final = sa.or_(files.c.current, OPEN)
"""The files that a document has, those included that are not yet as they will be."""


def has_main(connection: sa.Connection, document_id: str) -> bool:
    """Tell whether a document has a main file, or one that is being made into one."""
    statement = sa.select(files.c.id).where(
        files.c.document_id == document_id, files.c.role == "main", COUNTS
    )
    return connection.execute(statement.limit(1)).first() is not None


def columns_of(checked: CheckedFile) -> dict[str, Any]:
    """Return the columns of a received file's row that say whether it counts as it is."""
    waits = checked.making is not None
    return {
        "current": not waits,
        "conversion": "pending" if waits else None,
        "conversion_problem": None,
    }


def request(
    desk: Desk,
    uow: UnitOfWork,
    document_id: str,
    received: Sequence[tuple[CheckedFile, Mapping[str, Any]]],
) -> None:
    """Ask, in the transaction that takes the files in, for what has to be made of them."""
    for checked, row in received:
        if checked.making is None:
            continue
        desk.enqueue(
            uow,
            kind=KIND,
            job_id=f"{KIND}-{row['id']}",
            subject_id=document_id,
            payload={"file": row["id"], "making": checked.making},
        )


def drop(uow: UnitOfWork, document_id: str, which: sa.ColumnElement[bool]) -> int:
    """Note that files that waited, or failed, are no longer wanted; return how many."""
    waiting = sa.and_(which, OPEN)
    return uow.alter(files, document_id, waiting, {"conversion": "dropped"})


def state_of(listed: Iterable[Row]) -> ConversionState:
    """Tell how far the conversions of a document's files are."""
    found = {row["conversion"] for row in listed}
    if "failed" in found:
        return "failed"
    return "pending" if "pending" in found else ""
