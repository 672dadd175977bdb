"""What the organisation's escrow key may open again: a delivered file, given out after two people agreed.

Rules:
- Asking and approving is not done here: `RequireApproved` answers for it, and nothing is given
  without its answer.
- What is given is the file as it was delivered, encrypted; who gets it still needs the escrow key.
- Each use is history, committed before the first byte leaves.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, one_row
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ForbiddenError, NotFoundError
from docflow.release.encrypt import MEDIA_TYPE
from docflow.release.tables import deliveries, delivery_files


@dataclass(frozen=True, slots=True)
class Approved:
    """A recovery that two people agreed on: of which document, and until when."""

    document_id: str
    until: datetime


class RequireApproved(Protocol):
    """Answers, inside the caller's transaction, for a request of the kind `recovery`."""

    def __call__(self, uow: UnitOfWork, actor: Actor, request_id: str, /) -> Approved:
        """Return what was approved.

        Raises:
            NotFoundError: if the actor asked for no such recovery.
            ForbiddenError, ConflictError: if it is not approved, or no longer.
        """
        ...


class Recoveries:
    """Gives out escrow-encrypted files of deliveries."""

    def __init__(self, desk: Desk, require_approved: RequireApproved) -> None:
        self._desk = desk
        self._require_approved = require_approved

    def file_to_download(self, actor: Actor, request_id: str, position: int = 0) -> Row:
        """Return a file that the escrow key opens; that it was given is history from here on.

        Args:
            actor: who asked for the recovery.
            request_id: the approved request.
            position: of the file in its document; 0 is the main file.

        Raises:
            NotFoundError: if there is no such request (code `recovery-not-found`), or nothing of the
                document was encrypted to an escrow (code `not-recoverable`).
            ForbiddenError: if the time of the approval is over (code `recovery-over`).
        """
        with self._desk.database.unit_of_work(actor) as uow:
            approved = self._require_approved(uow, actor, request_id)
            if uow.now >= approved.until:
                raise ForbiddenError(
                    f"The approval of this recovery ended on {rfc3339(approved.until)}.",
                    code="recovery-over",
                    satisfied_by="Ask for another recovery, and have a second person approve it.",
                )
            document = rows.lock(uow, approved.document_id)
            found = _escrowed(uow, approved.document_id, position)
            told = ("delivery_id", "sha256", "recovery_sha256")
            data = {"request": request_id} | {name: found[name] for name in told}
            uow.note(documents, document, Draft("document.recovered", data))
        return found | {"media_type": MEDIA_TYPE}


def _escrowed(uow: UnitOfWork, document_id: str, position: int) -> Row:
    table = delivery_files
    found = one_row(
        uow.connection,
        sa.select(table)
        .join(deliveries, deliveries.c.id == table.c.delivery_id)
        .where(
            table.c.document_id == document_id,
            table.c.position == position,
            table.c.recovery_sha256.is_not(None),
        )
        .order_by(table.c.id)
        .limit(1),
    )
    if found is None:
        raise NotFoundError(
            "Nothing of this document was encrypted to a recovery certificate.",
            code="not-recoverable",
        )
    return found
