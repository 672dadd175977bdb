"""Make a flat, still PDF of one that acts or changes: what was approved is then what is signed.

Rules:
- Only an unsigned PDF is touched. What comes out is a new file; the one that came in stays as it was.
- Fields and annotations become part of the page as they look; what runs, sends or embeds is taken out.
- A layer that is shown becomes plain content. Where a layer is hidden, nobody but the author can say
  what the document is, and the file is refused.
- The result is judged like any other input: ask `inspect_pdf` and `require_signable` of it.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import pikepdf

from docflow.kernel.errors import InvalidInputError
from docflow.signing.inspection import (
    ACTIVE_ACTIONS,
    ACTIVE_KEYS,
    ACTIVE_SUBTYPES,
    inspect_pdf,
)

_DROPPED_KEYS: Final = frozenset(
    {*ACTIVE_KEYS, "/AA", "/AF", "/EF", "/EmbeddedFiles", "/OC", "/OCProperties", "/AcroForm",
     "/Collection", "/RichMediaContent"}
)  # fmt: skip
_DROPPED_SUBTYPES: Final = frozenset(
    {*ACTIVE_SUBTYPES, "/FileAttachment", "/3D", "/Sound", "/Widget"}
)


def clean_pdf(source: BinaryIO, target: BinaryIO) -> None:
    """Write a cleaned copy of the PDF in `source` into `target`.

    Args:
        source: a seekable stream with an unsigned PDF that `inspect_pdf` accepts, or would but for its
            active content.
        target: an open binary stream, empty.

    Raises:
        InvalidInputError: with code pdf-signed, pdf-layered, pdf-form-unshown, or pdf-broken if nothing
            flat can be made.
    """
    facts = inspect_pdf(source, allow_active=True)
    if facts.signed:
        raise InvalidInputError(
            "The PDF already carries a signature, and a signed file is never altered. Give the unsigned "
            "file.",
            code="pdf-signed",
        )
    source.seek(0)
    try:
        with pikepdf.open(source, attempt_recovery=False, suppress_warnings=True) as pdf:
            _require_all_shown(pdf)
            if "/AcroForm" in pdf.Root:
                pdf.generate_appearance_streams()
                _require_fields_shown(pdf)
            pdf.flatten_annotations("all")
            _still(pdf)
            pdf.save(target, linearize=False, deterministic_id=True)
    except (pikepdf.PdfError, ValueError, TypeError) as error:
        raise InvalidInputError(
            "No flat PDF can be made of this file. Print it to a new PDF.", code="pdf-broken"
        ) from error


def _require_all_shown(pdf: pikepdf.Pdf) -> None:
    """Refuse a PDF some of whose layers are hidden, at once or on some occasion (ISO 32000-2, 8.11)."""
    properties = pdf.Root.get("/OCProperties")
    if not isinstance(properties, pikepdf.Dictionary):
        return
    default = properties.get("/D", pikepdf.Dictionary())
    hidden = (
        str(default.get("/BaseState", pikepdf.Name.ON)) != "/ON"
        or _filled(default.get("/OFF"))
        or _filled(default.get("/AS"))
        or any(_is_membership(part) for thing in pdf.objects for part in _containers(thing))
    )
    if hidden:
        raise InvalidInputError(
            "The PDF has layers of which some are hidden, and only its author can say which belong to "
            "the document. Print it to a flat PDF.",
            code="pdf-layered",
        )


def _require_fields_shown(pdf: pikepdf.Pdf) -> None:
    """Refuse a form with a value that has no appearance: each reader would draw its own, or nothing."""
    for thing in pdf.objects:
        if (
            not isinstance(thing, pikepdf.Dictionary)
            or thing.get("/Subtype") != pikepdf.Name.Widget
        ):
            continue
        parent = thing.get("/Parent", pikepdf.Dictionary())
        kind = thing.get("/FT", parent.get("/FT"))
        value = thing.get("/V", parent.get("/V"))
        if kind not in {pikepdf.Name.Tx, pikepdf.Name.Ch} or value is None or not str(value):
            continue
        if "/N" not in thing.get("/AP", pikepdf.Dictionary()):
            raise InvalidInputError(
                "The PDF has a form field with a value and nothing that says how it looks, so two people "
                "could see two documents. Print it to a flat PDF.",
                code="pdf-form-unshown",
            )


def _filled(thing: Any) -> bool:
    return isinstance(thing, pikepdf.Array) and len(thing) > 0


def _is_membership(thing: Any) -> bool:
    """Tell whether an object makes what is shown depend on several layers."""
    return isinstance(thing, pikepdf.Dictionary) and thing.get("/Type") == pikepdf.Name.OCMD


def _still(pdf: pikepdf.Pdf) -> None:
    """Take out of every object what runs, embeds or can be switched; what is left over is not saved."""
    for thing in list(pdf.objects):
        for container in _containers(thing):
            if isinstance(container, pikepdf.Array):
                for index in reversed(range(len(container))):
                    if _unwanted(container[index]):
                        del container[index]
                continue
            for key in list(container.keys()):
                if key in _DROPPED_KEYS or _unwanted(container[key]):
                    del container[key]


def _containers(top: Any) -> Iterator[Any]:
    """Yield the dictionaries and arrays written directly in an object."""
    waiting = [top.stream_dict if isinstance(top, pikepdf.Stream) else top]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, pikepdf.Dictionary):
            yield thing
            children = [child for _, child in thing.items()]
        elif isinstance(thing, pikepdf.Array):
            yield thing
            children = list(thing)
        else:
            continue
        waiting += [
            child
            for child in children
            if isinstance(child, pikepdf.Dictionary | pikepdf.Array) and not child.is_indirect
        ]


def _unwanted(value: Any) -> bool:
    """Tell whether a value is an action that acts, an annotation that does, or a layer."""
    if not isinstance(value, pikepdf.Dictionary):
        return False
    return (
        str(value.get("/S", "")) in ACTIVE_ACTIONS
        or str(value.get("/Subtype", "")) in _DROPPED_SUBTYPES
        or str(value.get("/Type", "")) == "/OCG"
    )
