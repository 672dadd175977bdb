"""What the room works with: one frozen object, made by `bootstrap`."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import sqlalchemy as sa

from docflow.conversion import Converter
from docflow.db import Database, Row, UnitOfWork
from docflow.documents.catalogue import Catalogue
from docflow.documents.shelf import Shelf
from docflow.documents.signer_choice import SigningPolicy
from docflow.documents.vault import Vault
from docflow.people.directory import Directory
from docflow.people.openers import Openers
from docflow.signing.choice import LevelPolicy
from docflow.signing.signers import Signers
from docflow.storage import ObjectStore, Staging


class Enqueue(Protocol):
    """Puts a job into the transaction that needs it (`JobEngine.enqueue`)."""

    def __call__(
        self,
        uow: UnitOfWork,
        *,
        kind: str,
        job_id: str,
        subject_id: str,
        payload: dict[str, Any],
    ) -> None:
        """Enqueue, in the caller's transaction; the same `job_id` twice runs nothing twice."""
        ...


class RequireSeen(Protocol):
    """Refuses a capacity that nobody would see on a page that is signed already."""

    def __call__(self, connection: sa.Connection, document_id: str, seat: int | None, /) -> None:
        """Refuse it, if the personal signature has no place on the page.

        `seat` is which of the file's places it has; None for the next one.

        Raises:
            ConflictError: code `capacity-unseen`.
        """
        ...


class TextsElsewhere(Protocol):
    """Seals or opens what a room above keeps of a document's texts, with the document itself."""

    def __call__(self, desk: "Desk", uow: UnitOfWork, row: Row, /, *, sealing: bool) -> None:
        """Do it in the caller's transaction.

        Args:
            desk: the room's tools.
            uow: the open unit of work; the caller writes the entry.
            row: the document, with the key of its texts.
            sealing: whether the texts are to be sealed; else they are to be opened.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may have at most."""

    annexes: int = 20
    pages: int = 2000
    recipients: int = 200


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is made of files that cannot be signed as they come.

    Attributes:
        converter: makes PDF/A of office files; None: they are refused.
        clean: whether PDFs that act or change are cleaned; else they are refused.
        lacks: what has to be here for a converter.
    """

    converter: Converter | None = None
    clean: bool = False
    lacks: Literal["libreoffice", "sandbox"] = "libreoffice"


@dataclass(frozen=True, slots=True)
class Desk:
    """Database, files, lists, workflows and jobs of the documents room."""

    database: Database
    store: ObjectStore
    staging: Staging
    catalogue: Catalogue
    shelf: Shelf
    vault: Vault
    directory: Directory
    enqueue: Enqueue
    signers: Signers
    openers: Openers
    levels: LevelPolicy
    require_seen: RequireSeen
    limits: Limits = Limits()
    inputs: Inputs = Inputs()
    policy: SigningPolicy = field(default_factory=SigningPolicy)
    elsewhere: tuple[TextsElsewhere, ...] = ()
