"""What came after a signature and could hide what was signed, though each rule on changes admits it.

Rules:
- A signature that came later may show something, but not much of a page: neither alone, nor together
  with others in fields that came later.
- A field that came later and that nobody signed shows nothing, nor does one of a time stamp: it names
  nobody who would answer for what is seen.
- What counts as later is what the form did not hold: an object may have waited in the file unused. What
  counts of a page is what is seen of the pages that name the field, whatever page the field names.
- Where the file ends, the newest signature ends, or a version that came after it: nothing else follows.
- The room kept for a signature, which no signature covers, holds the signature and zeros.

Source: ISO 32000-2, 12.8 and 14.11.2 (page boundaries); shadow attacks and evil annotations
(pdf-insecurity.org).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, BinaryIO, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import DictionaryObject, IndirectObject, Reference
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from docflow.signing.pageframe import Box, inherited
from docflow.signing.verifying.additions import entry, fields_of, pages_of

MAX_SHARE: Final = 0.2
"""How much of its page a later signature may cover, and later fields together."""
_A4: Final = (0.0, 0.0, 595.0, 842.0)
_CORNERS: Final = 4
_BLANK: Final = b"\r\n\t \0\f"
_MOST_BLANK: Final = 8
_END: Final = b"%%EOF"
_LARGEST_XREF: Final = 64 << 20


class Shows:
    """Which pages of a file show an annotation, looked up once however many fields ask."""

    def __init__(self, reader: PdfFileReader) -> None:
        """Take the reader of a file; nothing is read yet."""
        self._reader = reader

    @cached_property
    def pages(self) -> dict[Reference, list[Any]]:
        """The pages that show an annotation, by its reference."""
        return _pages(self._reader)


class ShownField:
    """A signature field as the file shows it at its end, looked at once however many signatures ask."""

    def __init__(self, name: str, field: IndirectObject, shows: Shows) -> None:
        """Take a field; nothing is read of it yet."""
        self.name = name
        self.reference: Reference = field.reference
        self._field = field
        self._shows = shows

    @cached_property
    def widgets(self) -> tuple[tuple[int, float], ...]:
        """Of each widget the page of which it covers most, and what share of that."""
        field: DictionaryObject = self._field.get_object()  # type: ignore[no-untyped-call]
        found = (
            _share(widget.get_object(), self._shows.pages.get(widget.reference, []))
            for widget in _widgets(self._field, field)
        )
        return tuple((page, share) for share, page in found)


def hides(
    reader: PdfFileReader,
    fields: Iterable[ShownField],
    since: int,
    later: Iterable[EmbeddedPdfSignature],
) -> str | None:
    """Tell in a sentence if a signature field hides part of what was signed in revision `since`.

    Args:
        reader: of the whole file.
        fields: all signature fields of the file.
        since: the revision of the signature that is judged.
        later: the signatures that may be later ones.
    """
    signed = {one.field_name: one for one in later if one.signed_revision > since}
    together: dict[int, float] = defaultdict(float)
    before = fields_of(reader.get_historical_resolver(since))
    for field in fields:
        name, old = field.name, field.reference in before
        if old and name not in signed:
            continue
        for page, share in field.widgets:
            if share and name not in signed:
                return f"The field {name}, which nobody signed, was put on a page after signing."
            if share and signed[name].sig_object_type == "/DocTimeStamp":
                return f"The time stamp {name} is seen on a page, and nobody signed what it shows."
            if not old:
                together[page] += share
            if max(share, together[page]) > MAX_SHARE:
                return _too_much(name, max(share, together[page]))
    return None


def _too_much(name: str, share: float) -> str:
    return (
        f"With the later signature {name}, {share:.0%} of a page is covered, and at most {MAX_SHARE:.0%} "
        "may be covered by what comes after signing."
    )


def _widgets(reference: Any, field: DictionaryObject) -> Iterator[Any]:
    yield reference
    yield from (one for one in entry(field, "/Kids", ()) if isinstance(one, generic.IndirectObject))


def _pages(reader: PdfFileReader) -> dict[generic.Reference, list[Any]]:
    """Return the pages that show an annotation, by its reference."""
    found: dict[generic.Reference, list[Any]] = defaultdict(list)
    for page in pages_of(reader):
        for annotation in entry(page.get_object(), "/Annots", ()):
            if isinstance(annotation, generic.IndirectObject):
                found[annotation.reference].append(page)
    return found


def _share(widget: DictionaryObject, pages: list[Any]) -> tuple[float, int]:
    """Return what part of what is seen of a page a widget covers, the largest, and of which page.

    Of one that no page shows, what counts is the page that it names; without any, A4.
    """
    rectangle = _box(entry(widget, "/Rect", ()))
    if rectangle is None:
        return 0.0, 0
    named = [widget.raw_get("/P")] if "/P" in widget else [None]
    shares = []
    for page in pages or named:
        seen = _seen(page)
        share = _area(_overlap(rectangle, seen)) / (_area(seen) or 1.0)
        shares.append((share, getattr(page, "idnum", 0)))
    return max(shares)


def _seen(page: Any) -> Box:
    if page is None:
        return _A4
    page = page.get_object()
    media = _box(inherited(page, "/MediaBox")) or _A4
    crop = _box(inherited(page, "/CropBox"))
    seen = _overlap(media, crop) if crop else media
    return seen if _area(seen) else media


def _box(values: Any) -> Box | None:
    numbers = [float(one) for one in values or ()]
    if len(numbers) != _CORNERS:
        return None
    a, b, c, d = numbers
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _overlap(one: Box, other: Box) -> Box:
    left, bottom = max(one[0], other[0]), max(one[1], other[1])
    return left, bottom, max(left, min(one[2], other[2])), max(bottom, min(one[3], other[3]))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def follows(file: BinaryIO, reader: PdfFileReader, covered: int) -> str | None:
    """Tell in a sentence if bytes follow that belong to no version of the file.

    Args:
        file: the file.
        reader: of it.
        covered: where the newest signature's bytes end.
    """
    size = file.seek(0, 2)
    file.seek(covered)
    if size - covered <= _MOST_BLANK and not file.read(_MOST_BLANK).strip(_BLANK):
        return None
    newest = int(reader.last_startxref or 0)
    if newest >= covered and size - newest <= _LARGEST_XREF:
        file.seek(newest)
        end = file.read(size - newest)
        told, _, after = end.partition(_END)
        if told and _END in end and len(after) <= _MOST_BLANK and not after.strip(_BLANK):
            return None
    return "Bytes follow at the end of the file that belong to no version of it."
