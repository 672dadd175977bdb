"""Where the bytes of an upload go before anyone has looked at them: into staging, sealed if need be.

An `Intake` is for one document. It decides, for each file that comes, whether its bytes are sealed on
the way to the disk, and settles afterwards what could not be decided when they came.
"""

import json
from dataclasses import dataclass, field

from docflow.db import Row
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.sealed_rows import UNKNOWN
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError
from docflow.kernel.ids import new_id
from docflow.people import access
from docflow.people.access import Permission
from docflow.storage import SealedFile, StagedFile
from docflow.storage.staging import StagingFile


@dataclass(slots=True)
class Intake:
    """Receives the files of one document.

    Attributes:
        desk: the room's tools.
        document_id: the document, which may not be there yet.
        classification: at which its files are received; None while that is not known.
    """

    desk: Desk
    document_id: str = field(default_factory=new_id)
    classification: str | None = None

    def begin(self, metadata: bytes | None = None) -> StagingFile:
        """Start receiving a file.

        Args:
            metadata: what the caller says of the document (JSON), if it came before the file.
        """
        level = self.classification or _classification_in(metadata)
        if level is None or level not in self.desk.catalogue.seed.classification.allowed():
            return self.desk.vault.begin_unknown()
        return self.desk.vault.begin(self.document_id, new_id(), level)

    def level_of(self, row: Row) -> str:
        """Return the classification that a document has with a file received here."""
        before: str = row["classification"]
        higher = self.desk.catalogue.seed.classification.higher
        return before if self.classification is None else higher(before, self.classification)

    def settle(self, staged: StagedFile, classification: str) -> StagedFile:
        """Return a received file as the document's classification wants it."""
        return self.desk.vault.settle(staged, self.document_id, file_id(staged), classification)


def for_change(
    desk: Desk, actor: Actor, document_id: str, classification: str | None = None
) -> Intake:
    """Return the intake for another file of a document that is there.

    Args:
        desk: the room's tools.
        actor: who sends it.
        document_id: the document.
        classification: the file's own, if it is higher than the document's.

    Raises:
        NotFoundError, ForbiddenError: if the actor may not change the document, or is not cleared for
            the file.
        InvalidInputError: if there is no such classification, or it is above the ceiling.
    """
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
    rows.require(actor, Permission.DOCUMENT_EDIT, row)
    level = row["classification"]
    if classification is not None:
        desk.catalogue.check_classification(classification)
        access.require_cleared(actor, classification)
        level = desk.catalogue.seed.classification.higher(level, classification)
    return Intake(desk, document_id, level)


def file_id(staged: StagedFile) -> str:
    """Return the id of the row that a received file will have: what it is bound to if it is sealed."""
    if isinstance(staged, SealedFile) and staged.context.document != UNKNOWN:
        return staged.context.file
    return new_id()


def require_same(desk: Desk, staged: StagedFile, document_id: str, classification: str) -> None:
    """Refuse a file that was received for another classification than the document has now.

    Raises:
        ConflictError: with code `classification-changed`.
    """
    if not desk.catalogue.is_sealed(classification):
        same = not isinstance(staged, SealedFile)
    else:
        same = isinstance(staged, SealedFile) and (
            staged.context.document,
            staged.context.classification,
        ) == (document_id, classification)
    if not same:
        raise ConflictError(
            "The document's classification changed while the file was received; nothing was stored.",
            code="classification-changed",
            rule="file-as-its-document",
            satisfied_by="Read the document again and send the file once more.",
        )


def _classification_in(metadata: bytes | None) -> str | None:
    """Return what metadata says of the classification; None if it came too late or is no JSON."""
    if metadata is None:
        return None
    try:
        told = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    level = told.get("classification", "internal")
    return level if isinstance(level, str) else None
