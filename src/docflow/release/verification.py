"""Is this file signed, intact and ours? For any file, judged in a process that can be killed."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from docflow.db import Row, one_row
from docflow.documents.duplicates import facts_for_access
from docflow.documents.tables import documents, files
from docflow.kernel.actor import Actor
from docflow.people import access
from docflow.release.studio import Studio
from docflow.release.tables import deliveries
from docflow.signing.report import VerificationReport
from docflow.storage import MemoryFile, StagedFile


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        report: per signature and overall.
        ours: whether every signature leads to this organisation's own root and is good.
        released_here: whether these very bytes were released by this instance.
        document: id, symbol and state of that document, for those who may read it.
    """

    report: VerificationReport
    ours: bool
    released_here: bool
    document: Row | None


def verify_file(
    studio: Studio, actor: Actor, staged: StagedFile, data: StagedFile | None = None
) -> Verification:
    """Verify a staged file; the caller discards it.

    Args:
        studio: the room's tools.
        actor: who asks.
        staged: the file.
        data: the file that it signs, where the signature is detached.
    """
    access.require(actor, access.Permission.VERIFICATION_CREATE)
    with ExitStack() as held:  # in memory: they may be confidential
        path = _in_memory(held, staged)
        report = studio.verifier.report(
            path,
            now=studio.desk.database.clock.now(),
            data=_in_memory(held, data) if data is not None else None,
        )
    signatures = report.signatures
    ours = bool(signatures) and all(
        one.ours and one.intact and one.valid and one.trusted for one in signatures
    )
    with studio.desk.database.read() as connection:
        row = one_row(
            connection,
            sa.select(documents)
            .join(files, files.c.document_id == documents.c.id)
            .where(files.c.sha256 == staged.sha256, files.c.form == "released")
            .limit(1),
        )
        known = row is not None and _may_know(connection, actor, row)
    document = None
    if row is not None and known:
        document = {name: row[name] for name in ("id", "symbol", "state")}
    return Verification(report, ours, row is not None, document)


def _in_memory(held: ExitStack, staged: StagedFile) -> Path:
    """Open a staged file into memory, and return its path there."""
    with staged.open() as source:
        return held.enter_context(MemoryFile.of(source)).path


def _may_know(connection: sa.Connection, actor: Actor, row: Row) -> bool:
    if access.decide(actor, access.Permission.DOCUMENT_READ, facts_for_access(row)).allowed:
        return True
    delivered = connection.execute(
        sa.select(deliveries.c.id).where(
            deliveries.c.document_id == row["id"],
            deliveries.c.recipient_id.in_(sorted(actor.recipient_ids)),
        )
    ).first()
    return delivered is not None
