"""Look into a PDF before it may come in: whole, open, without scripts, of bearable size.

Rules:
- A stranger wrote the file. Nothing here recurses over it, counts without a limit or decodes a
  stream (qpdf itself decodes cross-reference and object streams, within the limits set below).
- Whatever the parser throws becomes one of the refusals below; nothing else comes out.
- A file is judged as it lies there: no repair. What needs repair is refused, because two readers
  may repair it to two different documents.

Refusals (InvalidInputError): pdf-empty, pdf-broken, pdf-encrypted, pdf-scripted,
pdf-too-many-pages; and for what is to be signed: pdf-signed, pdf-layered, pdf-attachments.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pikepdf
from pikepdf import settings

from docflow.kernel.errors import InvalidInputError

MAX_PAGES = 2_000
MAX_OBJECTS = 400_000
_MIB = 1 << 20

# Process-wide in qpdf: how much a filter may make out of one stream, how deep an object may nest.
settings.set_qpdf_limits(
    flate_max_memory=64 * _MIB,
    run_length_max_memory=64 * _MIB,
    png_max_memory=64 * _MIB,
    tiff_max_memory=64 * _MIB,
    parser_max_nesting=100,
    max_stream_filters=8,
    doc_max_warnings=100,
)

# Actions that run something or send something (ISO 32000-2, 12.6.4), and what starts them unasked.
ACTIVE_ACTIONS = {
    "/JavaScript": "JavaScript",
    "/Launch": "an action that starts a program",
    "/SubmitForm": "an action that sends a form",
    "/ImportData": "an action that imports data",
    "/Rendition": "an action that plays media with scripts",
    "/RichMediaExecute": "an action of rich media",
    "/GoToE": "a jump into an embedded file",
}
ACTIVE_KEYS = {"/JavaScript": "JavaScript", "/JS": "JavaScript", "/XFA": "an XFA form"}
ACTIVE_SUBTYPES = {"/RichMedia": "rich media", "/Screen": "a media player", "/Movie": "a film"}
# A cheap look over an object's own bytes decides whether the slow look is worth it.
_SUSPECT = re.compile(
    rb"/(?:JavaScript|JS|Launch|SubmitForm|ImportData|Rendition|RichMedia\w*|GoToE|XFA|Screen|Movie"
    rb"|EmbeddedFiles?|EF|ByteRange|OCGs?|FT)\b"
)
_NO_PAGE = "The PDF has no page; at least one is needed."
_MAGIC = b"%PDF-"
# What sloppy producers do and no two readers understand differently.
_HARMLESS_WARNINGS = (
    "reported number of objects",  # a wrong /Size
    "Resources is missing or invalid",  # on a page that draws nothing from them
)


@dataclass(frozen=True, slots=True)
class PdfFacts:
    """What an accepted PDF is made of."""

    pages: int
    version: str
    signed: bool
    form_fields: int
    has_embedded_files: bool
    has_layers: bool
    size_bytes: int
    active: tuple[str, ...] = ()  # what runs or sends, where that was allowed


@dataclass(slots=True)
class _Findings:
    active: dict[str, None]
    signed: bool = False
    form_fields: int = 0
    embedded: bool = False
    layers: bool = False


def inspect_pdf(
    source: Path | BinaryIO,
    *,
    max_pages: int = MAX_PAGES,
    max_objects: int = MAX_OBJECTS,
    allow_active: bool = False,
) -> PdfFacts:
    """Return the facts about the PDF in `source`, a path or a seekable binary stream.

    With `allow_active`, active content is told and not refused: the file is to be cleaned of it.

    Raises:
        InvalidInputError: with code pdf-empty, pdf-broken, pdf-encrypted, pdf-scripted or
            pdf-too-many-pages.
        OSError: if the file cannot be read.
    """
    size = _size_bytes(source)
    if size == 0:
        _refuse("pdf-empty", "The file is empty; a PDF with at least one page is needed.")
    try:
        if _head(source) != _MAGIC:
            raise ValueError("it does not begin with %PDF-")
        with _opened(source) as pdf:
            facts, found = _examined(pdf, size, max_objects)
    except (InvalidInputError, FileNotFoundError):
        raise
    except pikepdf.PasswordError as error:
        raise _encrypted() from error
    except Exception as error:
        if "no pages found" in str(error):
            _refuse("pdf-empty", _NO_PAGE)
        raise InvalidInputError(
            "The file is not a whole, well-formed PDF: "
            f"{_short(error)}. Save it again as PDF with the program that made it.",
            code="pdf-broken",
        ) from error
    if found.active and not allow_active:
        _refuse(
            "pdf-scripted",
            f"The PDF carries {', '.join(found.active)}; only documents without active content are "
            "accepted. Print it to a new PDF.",
        )
    if facts.pages == 0:
        _refuse("pdf-empty", _NO_PAGE)
    if facts.pages > max_pages:
        _refuse(
            "pdf-too-many-pages",
            f"The PDF has {facts.pages} pages; at most {max_pages} are accepted in one file.",
        )
    return facts


def require_signable(facts: PdfFacts) -> None:
    """Refuse a PDF that docflow could not sign so that everyone sees the same thing.

    Raises:
        InvalidInputError: with code pdf-signed, pdf-layered or pdf-attachments.
    """
    if facts.signed:
        _refuse(
            "pdf-signed",
            "The PDF already carries a signature; number and date must be on the page before the "
            "first signature. Give the unsigned file.",
        )
    if facts.has_layers:
        _refuse(
            "pdf-layered",
            "The PDF has layers that a reader can switch on and off, so two people could see two "
            "documents. Print it to a flat PDF.",
        )
    if facts.has_embedded_files:
        _refuse(
            "pdf-attachments",
            "The PDF has files inside that its pages do not show. Give them as annexes of their "
            "own.",
        )


def _opened(source: Path | BinaryIO) -> pikepdf.Pdf:
    if isinstance(source, Path):
        return pikepdf.open(
            source,
            attempt_recovery=False,
            suppress_warnings=True,
            access_mode=pikepdf.AccessMode.mmap,
        )
    source.seek(0)
    return pikepdf.open(source, attempt_recovery=False, suppress_warnings=True)


def _examined(pdf: pikepdf.Pdf, size_bytes: int, max_objects: int) -> tuple[PdfFacts, _Findings]:
    if pdf.is_encrypted:
        raise _encrypted()
    if len(pdf.objects) > max_objects:
        _refuse(
            "pdf-broken",
            f"The PDF is made of {len(pdf.objects)} objects; at most {max_objects} are accepted.",
        )
    found = _Findings(active={})
    for thing in pdf.objects:
        _look_at(thing, found)
    _look_deeper(_as_dictionary(pdf.trailer), found)
    pages = len(pdf.pages)
    warnings = [
        warning
        for warning in map(str, pdf.get_warnings())
        if not any(harmless in warning for harmless in _HARMLESS_WARNINGS)
    ]
    if warnings:
        _refuse(
            "pdf-broken",
            f"The PDF is damaged: {_short(warnings[0])}. Save it again as PDF with the program "
            "that made it.",
        )
    facts = PdfFacts(
        pages=pages,
        version=pdf.pdf_version,
        signed=found.signed,
        form_fields=found.form_fields,
        has_embedded_files=found.embedded,
        has_layers=found.layers,
        size_bytes=size_bytes,
        active=tuple(found.active),
    )
    return facts, found


def _look_at(thing: Any, found: _Findings) -> None:
    dictionary = _as_dictionary(thing)
    if dictionary is None:
        if _name(thing) in ACTIVE_ACTIONS:  # an action's name kept as an object of its own
            found.active[ACTIVE_ACTIONS[_name(thing)]] = None
        elif isinstance(thing, pikepdf.Array) and _SUSPECT.search(thing.unparse(resolved=True)):
            _look_deeper(thing, found)
    elif _SUSPECT.search(dictionary.unparse(resolved=True)):
        _look_deeper(dictionary, found)


def _as_dictionary(thing: Any) -> Any:
    """Return the dictionary of a dictionary or stream, else None."""
    if isinstance(thing, pikepdf.Stream):
        return thing.stream_dict
    return thing if isinstance(thing, pikepdf.Dictionary) else None


def _look_deeper(top: Any, found: _Findings) -> None:
    """Judge every dictionary written directly inside `top`; references are visited alone."""
    for dictionary in _direct_dictionaries(top):
        for key, value in dictionary.items():
            _judge(key, _name(value), found)


def _judge(key: str, name: str, found: _Findings) -> None:
    if key in ACTIVE_KEYS:
        found.active[ACTIVE_KEYS[key]] = None
    elif key == "/S" and name in ACTIVE_ACTIONS:
        found.active[ACTIVE_ACTIONS[name]] = None
    elif key == "/Subtype" and name in ACTIVE_SUBTYPES:
        found.active[ACTIVE_SUBTYPES[name]] = None
    elif key in {"/EmbeddedFiles", "/EF"} or (key == "/Type" and name == "/EmbeddedFile"):
        found.embedded = True
    elif key == "/OCGs":
        found.layers = True
    elif key == "/ByteRange":
        found.signed = True
    elif key == "/FT":
        found.form_fields += 1


def _direct_dictionaries(top: Any) -> Iterator[Any]:
    waiting = [top]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, pikepdf.Dictionary):
            yield thing
            children = [child for _, child in thing.items()]
        elif isinstance(thing, pikepdf.Array):
            children = list(thing)
        else:
            continue
        waiting += [
            child
            for child in children
            if isinstance(child, pikepdf.Dictionary | pikepdf.Array) and not child.is_indirect
        ]


def _name(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.Name) else ""


def _head(source: Path | BinaryIO) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(len(_MAGIC))
    source.seek(0)
    return source.read(len(_MAGIC))


def _size_bytes(source: Path | BinaryIO) -> int:
    if isinstance(source, Path):
        return source.stat().st_size
    return source.seek(0, 2)


def _encrypted() -> InvalidInputError:
    return InvalidInputError(
        "The PDF is encrypted or restricted by a password; give the file without protection.",
        code="pdf-encrypted",
    )


def _refuse(code: str, detail: str) -> NoReturn:
    raise InvalidInputError(detail, code=code)


def _short(problem: object) -> str:
    """Return the parser's complaint in one line without the path of the file."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    text = re.sub(r"^(?:stream <[^>]*>|/[^:]*?)(?:,? \(?object [^:]*)?: ", "", text)
    return text[:200].rstrip(".")
