"""What a signature shows on the page, and where: the look of the persons' and the seal's field.

Rules:
- The boxes of all fields are fixed when the first person signs, because nothing may move afterwards; what
  a field shows is drawn when it is signed. Who signs later is not known then: their boxes are all of one
  size, and what they show is made smaller where it needs more.
- A field without a place is invisible. A look is a picture or lines of text, never fetched: pictures
  are in the file, text is drawn with an embedded face.
- The seal covers about one third of a personal signature, to its left, unless it has a place of its own.
- On a turned page everything stands upright for the reader.

Source: Decree 30/2020/ND-CP, Annex I; ISO 32000-2, 12.5.5 (a widget's appearance, its box and matrix).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from io import BytesIO
from itertools import combinations
from typing import Any, Final

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.stamp import BaseStampStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from docflow.kernel.errors import InvalidInputError
from docflow.kernel.text import normalise
from docflow.signing.archival import Archival, calibrated, without_half_tones
from docflow.signing.font import BOLD, DRAWING, REGULAR, Fonts, missing_characters, register
from docflow.signing.pageframe import PT_PER_MM, Box, Page, Spot, inherited
from docflow.signing.pictures import Picture
from docflow.signing.plan import Anchor
from docflow.signing.update import Update

TEXT_PT: Final = 10.0
_LEADING = 1.3
_ASCENT = 1.0
_COVERED = 1 / 3  # of the personal signature, by the seal
LATER_MM: Final = (56.0, 26.0)  # the box of a person who signs after the first
Size = tuple[float, float]
_SAME_PT = 0.5  # a box that differs from what it shows by less was made for it
_TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def undrawable(fonts: Fonts, text: str) -> str:
    """Return the characters of a text that cannot be drawn in every face, each once, in order."""
    register(fonts)
    text = normalise(text)
    return "".join(
        dict.fromkeys("".join(missing_characters(text, face) for face in (REGULAR, BOLD)))
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What one signature shows: lines of black text, and a picture under them; drawn with `fonts`."""

    fonts: Fonts
    picture: Picture | None = None
    lines: tuple[str, ...] = ()

    def size_pt(self) -> Size:
        """Return width and height on the page.

        Raises:
            InvalidInputError: code `stamp-text` for a character that the face cannot draw.
        """
        wide, high = self.picture_pt()
        if not self.lines:
            return wide, high
        register(self.fonts)
        if absent := missing_characters("".join(map(normalise, self.lines))):
            raise InvalidInputError(
                f"The text of a signature holds {absent!r}, which the typeface cannot draw.",
                code="stamp-text",
            )
        widths = [pdfmetrics.stringWidth(normalise(one), REGULAR, TEXT_PT) for one in self.lines]
        return max(wide, *widths), high + len(self.lines) * TEXT_PT * _LEADING

    def picture_pt(self) -> Size:
        """Return width and height of the picture on the page; nothing without one."""
        if self.picture is None:
            return 0.0, 0.0
        return self.picture.width_mm * PT_PER_MM, self.picture.height_mm * PT_PER_MM


@dataclass(frozen=True, slots=True)
class Looks:
    """What the signatures of a file show, and where; a signature without a place stays invisible.

    Without `seal_at`, the seal is put beside the `seal_beside`-th place, over a third of it, if seen.
    `later_at` are the places of the persons after the first. `alike` makes the first one's box as large as
    theirs, so that the page is the same whoever comes first.
    """

    person: Look | None = None
    person_at: Anchor | None = None
    seal: Look | None = None
    seal_at: Anchor | None = None
    later_at: tuple[Anchor | None, ...] = ()
    seal_beside: int = 1
    alike: bool = False


def written_at(moment: datetime, zone: tzinfo) -> str:
    """Write a moment as the decree does: `dd-mm-yyyy hh:mm:ss +07:00`."""
    there = moment.astimezone(zone)
    digits = f"{there:%z}"
    return f"{there:%d-%m-%Y %H:%M:%S} {digits[:3]}:{digits[3:5]}"


@dataclass(frozen=True, slots=True)
class Spots:
    """Where the fields of a file go; None for one that is not seen. `later` is as `Looks.later_at`."""

    person: Spot | None = None
    seal: Spot | None = None
    later: tuple[Spot | None, ...] = ()


def spots(reader: PdfFileReader, looks: Looks | None) -> Spots:
    """Return where the persons' fields and the seal's go.

    Raises:
        InvalidInputError: `stamp-anchor` for a page that is not there or a look that leaves it,
            `stamp-overlap` for persons' signatures over one another (and of boxes that are alike, for
            the seal over one that it is not beside), `stamp-text` for a character that cannot be drawn.
    """
    if looks is None:
        return Spots()
    wide, high = (length * PT_PER_MM for length in LATER_MM)
    boxes: list[_Boxed | None] = [None]
    if looks.person is not None and looks.person_at is not None:
        size = looks.person.size_pt()
        boxes = [_boxed(reader, looks.person_at, (wide, high) if looks.alike else size)]
    boxes += [_boxed(reader, at, (wide, high)) if at else None for at in looks.later_at]
    person, *later = [
        boxed and boxed[0].spot(_what(number), boxed[1]) for number, boxed in enumerate(boxes, 1)
    ]
    seal = None
    if looks.seal is not None and looks.seal_at is not None:
        page = Page.of(reader, looks.seal_at.page)
        seal = page.spot("seal", page.place(looks.seal_at, looks.seal.size_pt()))
    elif looks.seal is not None and (beside := boxes[looks.seal_beside - 1]) is not None:
        seal = _beside(beside, looks.seal.size_pt())
    _require_apart((person, *later))
    if looks.alike:
        _require_seal_apart(seal, looks.seal_beside, (person, *later))
    return Spots(person, seal, tuple(later))


_Boxed = tuple[Page, Box]


def _boxed(reader: PdfFileReader, at: Anchor, size: Size) -> _Boxed:
    page = Page.of(reader, at.page)
    return page, page.place(at, size)


def _beside(boxed: _Boxed, size: Size) -> Spot:
    page, (left, top, width, height) = boxed
    across, high = size
    return page.spot(
        "seal", (left + width * _COVERED - across, top + (height - high) / 2, across, high)
    )


def _what(number: int) -> str:
    return "personal signature" if number == 1 else f"personal signature {number}"


def _require_apart(persons: Sequence[Spot | None]) -> None:
    placed = [(number, spot) for number, spot in enumerate(persons, 1) if spot is not None]
    for (one, first), (other, second) in combinations(placed, 2):
        if first.overlaps(second):
            raise InvalidInputError(
                f"Personal signature {other} would cover personal signature {one}. Give them places "
                f"apart from one another; each later one needs {LATER_MM[0]:.0f} × {LATER_MM[1]:.0f} mm.",
                code="stamp-overlap",
            )


def _require_seal_apart(seal: Spot | None, beside: int, persons: Sequence[Spot | None]) -> None:
    """Refuse a seal that would hide a part of a signature that it is not beside."""
    for number, spot in enumerate(persons, 1):
        if seal is not None and spot is not None and number != beside and seal.overlaps(spot):
            raise InvalidInputError(
                f"The seal, beside personal signature {beside}, would cover personal signature {number}. "
                "Leave it room to the left.",
                code="stamp-overlap",
            )


@dataclass(frozen=True)
class Drawn(BaseStampStyle):
    """The style that pyHanko asks when it signs a visible field: draws a look into its widget."""

    look: Look | None = None

    def create_stamp(self, writer: BasePdfFileWriter, box: Any, text_params: Any) -> Any:  # noqa: ARG002
        """Return what draws the look."""
        if self.look is None:
            raise ValueError("a visible field is signed without a look")
        claim = Archival.of_reader(writer.prev) if isinstance(writer, Update) else None
        return _Drawing(writer, self.look, claim)


@dataclass(frozen=True, slots=True)
class _Drawing:
    writer: BasePdfFileWriter
    look: Look
    claim: Archival | None

    def apply_appearance(self, widget: Any) -> None:
        """Give a widget the look as its normal appearance, upright for the reader."""
        turned = _turned(widget)
        data = _appearance(self.look, _seen(widget, turned), self.claim)
        reader = PdfFileReader(BytesIO(data))
        form = self.writer.import_page_as_xobject(reader)
        if turn := _TURNS.get(turned):
            form.get_object()["/Matrix"] = generic.ArrayObject(
                map(generic.NumberObject, (*turn, 0, 0))
            )
        appearance: Any = generic.DictionaryObject()  # type: ignore[no-untyped-call]
        appearance["/N"] = form
        widget["/AP"] = appearance


def _turned(widget: Any) -> int:
    return int(inherited(widget["/P"], "/Rotate") or 0) % 360 if "/P" in widget else 0


def _seen(widget: Any, turned: int) -> Size:
    """Return width and height of a widget as a reader sees them."""
    left, bottom, right, top = map(float, widget["/Rect"])
    unit = float(widget["/P"].get("/UserUnit", 1)) if "/P" in widget else 1.0
    width, height = abs(right - left) * unit, abs(top - bottom) * unit
    return (height, width) if turned in (90, 270) else (width, height)


def _appearance(look: Look, box: Size, claim: Archival | None) -> bytes:
    """Draw a look on a page of the size of a box, or of its own where the box was made for it."""
    own = look.size_pt()
    size = own if all(abs(a - b) < _SAME_PT for a, b in zip(own, box, strict=True)) else box
    if not look.lines:
        return _drawn_once(look, size, claim)
    return _kept(_drawn(look, size, soft=_soft(claim)), look, claim)


def _soft(claim: Archival | None) -> bool:
    return claim is None or claim.admits_soft_masks


def _kept(drawn: bytes, look: Look, claim: Archival | None) -> bytes:
    """Return a drawing whose colours are right in a file with this claim."""
    if claim is None or (claim.admits_rgb if look.picture else claim.inks):
        return drawn
    return calibrated(drawn)


@functools.lru_cache(maxsize=64)
def _drawn_once(look: Look, size: Size, claim: Archival | None) -> bytes:
    """Draw a picture once, not at each signature; texts are each of one document, and not kept."""
    drawn = _drawn(look, size, soft=_soft(claim))
    kept = _kept(drawn, look, claim)
    if kept is not drawn:
        return kept
    small = BytesIO()
    with pikepdf.open(BytesIO(drawn)) as pdf:  # a quarter smaller: without ASCII armour
        pdf.save(small, deterministic_id=True, recompress_flate=True)
    return small.getvalue()


def _drawn(look: Look, size: Size, *, soft: bool = True) -> bytes:
    """Draw a look in the middle of a page of a size, as large as it is or as the page permits."""
    register(look.fonts)
    (width, height), (across, high) = size, look.size_pt()
    scale = min(1.0, width / across, height / high)
    out = BytesIO()
    with DRAWING:
        canvas = Canvas(
            out,
            pagesize=size,
            invariant=1,
            pageCompression=1,
            initialFontName=REGULAR,  # type: ignore[arg-type]  # the stub says float
        )
        canvas.translate((width - across * scale) / 2, (height - high * scale) / 2)
        canvas.scale(scale, scale)
        if look.picture is not None:
            _draw_picture(canvas, look.picture, look.picture_pt(), across, soft=soft)
        if look.lines:
            _draw_lines(canvas, look, across, high)
        canvas.showPage()
        canvas.save()
    return out.getvalue()


def _draw_picture(
    canvas: Canvas, picture: Picture, size: Size, across: float, *, soft: bool
) -> None:
    wide, tall = size
    at = ((across - wide) / 2, 0, wide, tall)
    if soft:
        canvas.drawImage(ImageReader(BytesIO(picture.png)), *at, mask="auto")
        return
    flat, colours = without_half_tones(picture.png)
    canvas.drawImage(ImageReader(flat), *at, mask=colours)


def _draw_lines(canvas: Canvas, look: Look, across: float, high: float) -> None:
    """Draw the lines of a look, from its top down: over a picture centred, else from the left."""
    canvas.setFillGray(0)
    canvas.setFont(REGULAR, TEXT_PT)
    line = high - TEXT_PT * _ASCENT
    for text in map(normalise, look.lines):
        if look.picture is None:
            canvas.drawString(0, line, text)
        else:
            canvas.drawCentredString(across / 2, line, text)
        line -= TEXT_PT * _LEADING
