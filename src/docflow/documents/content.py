"""What a file must be before it is accepted: told from its content, not from its name."""

from dataclasses import dataclass

from docflow.documents.desk import Desk
from docflow.kernel.errors import InvalidInputError, UnsupportedContentError
from docflow.kernel.text import normalise
from docflow.signing.inspection import inspect_pdf, require_signable
from docflow.signing.sniff import is_cms, sniff
from docflow.storage import StagedFile

PDF = "application/pdf"
_CONTAINER = "application/vnd.etsi.asic"
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A staged file and the name its sender gave it."""

    name: str
    staged: StagedFile


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A received file that passed the checks; `pages` only for PDFs."""

    name: str
    staged: StagedFile
    media_type: str
    pages: int | None
    may_be_signed: bool = False  # whether there are signatures to verify


def check_file(desk: Desk, received: ReceivedFile, *, role: str, direction: str) -> CheckedFile:
    """Check a received file.

    A main file is a PDF. Every PDF is opened: a broken, encrypted or scripted one is refused. What
    will be released must be signable, so an outgoing document's files are all unsigned flat PDFs.

    Raises:
        UnsupportedContentError: if the type is not accepted here.
        InvalidInputError: if the file is empty or its content is refused (codes `pdf-…`).
    """
    staged = received.staged
    if staged.size == 0:
        raise InvalidInputError(f"The file {received.name!r} is empty.", code="file-empty")
    media_type = sniff(staged.head)
    if media_type != PDF and (role == "main" or direction == "outgoing"):
        what = "The main file" if role == "main" else "An annex of an outgoing document"
        raise UnsupportedContentError(
            f"{what} must be a PDF; {received.name!r} looks like {media_type}.",
            code="not-a-pdf",
            rule="pdf-required",
            satisfied_by="Save the document as PDF with the program that made it.",
        )
    pages = None
    may_be_signed = media_type.startswith(_CONTAINER) or is_cms(staged.head)
    if media_type == PDF:
        with staged.open() as source:
            facts = inspect_pdf(source, max_pages=desk.limits.pages)
        if direction == "outgoing":
            require_signable(facts)
        pages, may_be_signed = facts.pages, facts.signed
    name = normalise(received.name)[:_MAX_NAME]
    return CheckedFile(name, staged, media_type, pages, may_be_signed)
