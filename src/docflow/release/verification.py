"""Is this PDF signed, intact and ours? For any file, judged in a process that can be killed."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from docflow.db import Row, one_row
from docflow.documents.duplicates import facts_for_access
from docflow.documents.tables import documents, files
from docflow.kernel.actor import Actor
from docflow.people import access
from docflow.release.studio import Studio
from docflow.release.tables import deliveries
from docflow.signing.isolated import verify_isolated
from docflow.storage import MemoryFile, StagedFile


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        report: per signature and overall, as `VerificationReport.to_dict` gives it.
        ours: whether every signature leads to this organisation's own root and is good.
        released_here: whether these very bytes were released by this instance.
        document: id, symbol and state of that document, for those who may read it.
    """

    report: dict[str, Any]
    ours: bool
    released_here: bool
    document: Row | None


def verify_file(studio: Studio, actor: Actor, staged: StagedFile, seconds: float) -> Verification:
    """Verify a staged PDF; the caller discards it.

    Args:
        studio: the room's tools.
        actor: who asks.
        staged: the file.
        seconds: how long the judging process may take.
    """
    access.require(actor, access.Permission.VERIFICATION_CREATE)
    with staged.open() as source, MemoryFile.of(source) as file:  # it may be a confidential one
        report = verify_isolated(
            file.path,
            studio.signers.roots,
            now=studio.desk.database.clock.now(),
            own_roots=studio.signers.own_roots,
            timeout_s=seconds,
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
    return Verification(report.to_dict(), ours, row is not None, document)


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
