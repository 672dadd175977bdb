"""What a file must be before it is accepted: told from its content, not from its name."""

from dataclasses import dataclass
from typing import Literal

from docflow.conversion import CONFINED_TYPES, OFFICE_TYPES, Converter, require_convertible
from docflow.documents.desk import Desk
from docflow.kernel.errors import ConflictError, InvalidInputError, UnsupportedContentError
from docflow.kernel.text import normalise
from docflow.signing.inspection import PdfFacts, inspect_pdf, require_signable
from docflow.signing.sniff import is_cms, sniff
from docflow.storage import StagedFile
from docflow.workflow.machine import CompiledWorkflow

PDF = "application/pdf"
_CONTAINER = "application/vnd.etsi.asic"
_MAX_NAME = 255

Making = Literal["convert", "clean"]
"""What a job makes of a received file before it counts: PDF/A of an office file, or a flat PDF."""


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
    making: Making | None = None  # what has to be made of it first


def check_file(
    desk: Desk,
    received: ReceivedFile,
    *,
    role: str,
    workflow: CompiledWorkflow,
    classification: str,
) -> CheckedFile:
    """Check a received file.

    A main file is a PDF. Every PDF is opened: a broken, encrypted or scripted one is refused. What
    will be released must be signable, so an outgoing document's files are all unsigned flat PDFs, or
    become so: an office file where there is a converter, a PDF to be cleaned where that is the policy.
    Where the workflow releases in a container, annexes that are no PDF are kept as they came.

    Raises:
        UnsupportedContentError: if the type is not accepted here (also: no converter, or none that may
            be used).
        ConflictError: if an office file is classified too high to be converted.
        InvalidInputError: if the file is empty or its content is refused (`pdf-…`, `office-…`).
    """
    staged, direction = received.staged, workflow.definition.direction
    as_it_came = role == "annex" and (direction == "incoming" or workflow.container)
    if staged.size == 0:
        raise InvalidInputError(f"The file {received.name!r} is empty.", code="file-empty")
    media_type = sniff(staged.head)
    name = normalise(received.name)[:_MAX_NAME]
    if direction == "outgoing" and media_type in OFFICE_TYPES and not as_it_came:
        _require_converter(desk, received, media_type, classification)
        return CheckedFile(name, staged, media_type, None, making="convert")
    if media_type != PDF and not as_it_came:
        raise _not_a_pdf(received.name, role, media_type)
    pages: int | None = None
    making: Making | None = None
    may_be_signed = media_type.startswith(_CONTAINER) or is_cms(staged.head)
    if media_type == PDF:
        cleaning = desk.inputs.clean and direction == "outgoing"
        with staged.open() as source:
            facts = inspect_pdf(source, max_pages=desk.limits.pages, allow_active=cleaning)
        if cleaning and not facts.signed and needs_cleaning(facts):
            making = "clean"
        elif direction == "outgoing":
            require_signable(facts)
        pages, may_be_signed = facts.pages, facts.signed
    return CheckedFile(name, staged, media_type, pages, may_be_signed, making)


def _not_a_pdf(name: str, role: str, media_type: str) -> UnsupportedContentError:
    what, way_out = "The main file", ""
    if role == "annex":
        what = "An annex of an outgoing document"
        way_out = " A workflow that releases in a container (ASiC-E) takes annexes of any kind."
    return UnsupportedContentError(
        f"{what} must be a PDF; {name!r} looks like {media_type}.",
        code="not-a-pdf",
        rule="pdf-required",
        satisfied_by=f"Save the document as PDF with the program that made it.{way_out}",
    )


def needs_cleaning(facts: PdfFacts) -> bool:
    """Tell whether a PDF has something that can act, hide or change."""
    return bool(facts.active or facts.has_layers or facts.has_embedded_files or facts.form_fields)


def converter_of(desk: Desk, name: str, media_type: str, classification: str) -> Converter:
    """Return what converts a document's office file; one that reads from the disk reads nothing sealed.

    Raises:
        UnsupportedContentError: code `converter-missing`, or `converter-unconfined` where this service
            may not convert as it stands.
        ConflictError: code `conversion-classified`.
    """
    converter = desk.inputs.converter
    lacks_sandbox = desk.inputs.lacks == "sandbox" if converter is None else not converter.confined
    if lacks_sandbox and (converter is None or media_type in CONFINED_TYPES):
        raise UnsupportedContentError(
            f"{name!r} is an office file, and this service may not convert it: nothing would keep the "
            "machine's files from the converter.",
            code="converter-unconfined",
            rule="converter-confined",
            satisfied_by="Save the document as PDF, or have the operator install bubblewrap where it may "
            "make namespaces.",
        )
    if converter is None or not converter.reads(media_type):
        raise UnsupportedContentError(
            f"{name!r} is an office file, and this service has no converter for it.",
            code="converter-missing",
            rule="pdf-required",
            satisfied_by="Save the document as PDF, or have the operator install LibreOffice "
            "with the part that reads it.",
        )
    if not converter.confined and desk.catalogue.is_sealed(classification):
        raise ConflictError(
            "An office file of a confidential document is not converted here: without a sandbox the "
            "converter would need it in the clear on the disk.",
            code="conversion-classified",
            rule="no-plaintext-on-disk",
            satisfied_by="Save the document as PDF with the program that made it.",
        )
    return converter


def _require_converter(
    desk: Desk, received: ReceivedFile, media_type: str, classification: str
) -> None:
    converter_of(desk, received.name, media_type, classification)
    with received.staged.open() as source:
        require_convertible(source, media_type)
