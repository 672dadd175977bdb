"""What a signature shows on the page, and where: the look of the person's and the seal's field.

Rules:
- The boxes of both fields are fixed when the person signs, because nothing may move afterwards; what a
  field shows is drawn when it is signed.
- A field without a place is invisible. A look is a picture or lines of text, never fetched: pictures
  are in the file, text is drawn with an embedded face.
- The seal covers about one third of the personal signature, to its left, unless it has a place of its own.
- On a turned page everything stands upright for the reader.

Source: Decree 30/2020/ND-CP, Annex I; ISO 32000-2, 12.5.5 (a widget's appearance, its box and matrix).
"""

import functools
from dataclasses import dataclass
from datetime import datetime, tzinfo
from io import BytesIO
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
from docflow.signing.font import DRAWING, REGULAR, Fonts, missing_characters, register
from docflow.signing.pictures import Picture
from docflow.signing.plan import Anchor
from docflow.signing.update import Update

TEXT_PT: Final = 10.0
_PT_PER_MM = 72 / 25.4
_LEADING = 1.3
_ASCENT = 1.0
_COVERED = 1 / 3  # of the personal signature, by the seal
_EPSILON = 1e-6
_TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """What one signature shows: a picture, or lines of black text; drawn with `fonts`."""

    fonts: Fonts
    picture: Picture | None = None
    lines: tuple[str, ...] = ()

    def size_pt(self) -> tuple[float, float]:
        """Return width and height on the page.

        Raises:
            InvalidInputError: code `stamp-text` for a character that the face cannot draw.
        """
        if self.picture is not None:
            return self.picture.width_mm * _PT_PER_MM, self.picture.height_mm * _PT_PER_MM
        register(self.fonts)
        if absent := missing_characters("".join(map(normalise, self.lines))):
            raise InvalidInputError(
                f"The text of a signature holds {absent!r}, which the typeface cannot draw.",
                code="stamp-text",
            )
        widths = [pdfmetrics.stringWidth(normalise(one), REGULAR, TEXT_PT) for one in self.lines]
        return max(widths, default=0.0), len(self.lines) * TEXT_PT * _LEADING


@dataclass(frozen=True, slots=True)
class Looks:
    """What both signatures of a file show, and where; a signature without a place stays invisible.

    With `person_at` and no `seal_at`, the seal is put beside the personal signature, over a third of it.
    """

    person: Look | None = None
    person_at: Anchor | None = None
    seal: Look | None = None
    seal_at: Anchor | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a field is: index of its page, and its box in the page's own units and directions."""

    page: int
    box: Box


def written_at(moment: datetime, zone: tzinfo) -> str:
    """Write a moment as the decree does: `dd-mm-yyyy hh:mm:ss +07:00`."""
    there = moment.astimezone(zone)
    digits = f"{there:%z}"
    return f"{there:%d-%m-%Y %H:%M:%S} {digits[:3]}:{digits[3:5]}"


def spots(reader: PdfFileReader, looks: Looks | None) -> tuple[Spot | None, Spot | None]:
    """Return where the person's and the seal's field go.

    Raises:
        InvalidInputError: `stamp-anchor` for a page that is not there or a look that leaves it,
            `stamp-text` for a character that cannot be drawn.
    """
    if looks is None:
        return None, None
    person = seal = None
    beside: tuple[int, float, float, float, float] | None = None
    if looks.person is not None and looks.person_at is not None:
        page = _Page.of(reader, looks.person_at.page)
        visible = page.place(looks.person_at, looks.person.size_pt())
        person = page.spot("personal signature", visible)
        beside = (looks.person_at.page, *visible)
    if looks.seal is not None and looks.seal_at is not None:
        page = _Page.of(reader, looks.seal_at.page)
        seal = page.spot("seal", page.place(looks.seal_at, looks.seal.size_pt()))
    elif looks.seal is not None and beside is not None:
        number, left, top, width, height = beside
        page = _Page.of(reader, number)
        across, high = looks.seal.size_pt()
        over = (left + width * _COVERED - across, top + (height - high) / 2, across, high)
        seal = page.spot("seal", over)
    return person, seal


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as a reader shows it; lengths in points as seen, from its top left corner."""

    index: int
    box: Box
    turned: int
    unit: float
    width: float
    height: float

    @classmethod
    def of(cls, reader: PdfFileReader, number: int) -> "_Page":
        count = int(reader.root["/Pages"]["/Count"])
        if not (1 <= number <= count or -count <= number <= -1):
            raise InvalidInputError(
                f"The place of a signature names page {number}, and the document has {count}.",
                code="stamp-anchor",
            )
        index = number - 1 if number > 0 else count + number
        page = reader.find_page_for_modification(index)[0].get_object()  # type: ignore[no-untyped-call]
        media = _ordered(_inherited(page, "/MediaBox") or (0, 0, 612, 792))
        crop = _ordered(_inherited(page, "/CropBox") or media)
        left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
        right, top = min(media[2], crop[2]), min(media[3], crop[3])
        if left >= right or bottom >= top:
            left, bottom, right, top = media
        unit, turned = float(page.get("/UserUnit", 1)), int(_inherited(page, "/Rotate") or 0) % 360
        width, height = (right - left) * unit, (top - bottom) * unit
        if turned in (90, 270):
            width, height = height, width
        return cls(index, (left, bottom, right, top), turned, unit, width, height)

    def place(self, anchor: Anchor, size: tuple[float, float]) -> Box:
        """Return left, top, width and height of a look."""
        at = anchor.resolve(self.width / _PT_PER_MM, self.height / _PT_PER_MM)
        width, height = size
        left = at.x_mm * _PT_PER_MM - {"left": 0.0, "centre": width / 2, "right": width}[at.align]
        return left, at.y_mm * _PT_PER_MM - (height if at.stands else 0.0), width, height

    def spot(self, what: str, visible: Box) -> Spot:
        """Return the same place in the page's own units and directions."""
        x, y, width, height = visible
        if (
            min(x, y) < -_EPSILON
            or x + width > self.width + _EPSILON
            or y + height > self.height + _EPSILON
        ):
            across, down, wide, high = (length / _PT_PER_MM for length in visible)
            raise InvalidInputError(
                f"The {what} would leave the page: it needs {wide:.0f} × {high:.0f} mm at {across:.0f}, "
                f"{down:.0f} mm, and the page is {self.width / _PT_PER_MM:.0f} × "
                f"{self.height / _PT_PER_MM:.0f} mm.",
                code="stamp-anchor",
            )
        one, other = self._own(x, y), self._own(x + width, y + height)
        (left, right), (bottom, top) = sorted((one[0], other[0])), sorted((one[1], other[1]))
        return Spot(self.index, (left, bottom, right, top))

    def _own(self, x: float, y: float) -> tuple[float, float]:
        left, bottom, right, top = self.box
        x, y = x / self.unit, y / self.unit
        match self.turned:
            case 90:
                return left + y, bottom + x
            case 180:
                return right - x, bottom + y
            case 270:
                return right - y, top - x
            case _:
                return left + x, top - y


def _inherited(page: Any, name: str) -> Any:
    """Return an entry of a page or of what is above it; the depth of the tree is bounded."""
    for _ in range(100):
        if name in page:
            return page[name]
        if "/Parent" not in page:
            break
        page = page["/Parent"]
    return None


def _ordered(box: Any) -> Box:
    a, b, c, d = (float(value) for value in box)
    return min(a, c), min(b, d), max(a, c), max(b, d)


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
        look, claim = self.look, self.claim
        if look.picture is None:
            data = _drawn(look) if claim is None or claim.inks else calibrated(_drawn(look))
        else:
            data = _drawn_once(look, claim)
        reader = PdfFileReader(BytesIO(data))
        form = self.writer.import_page_as_xobject(reader)
        if turn := _TURNS.get(_turned(widget)):
            form.get_object()["/Matrix"] = generic.ArrayObject(
                map(generic.NumberObject, (*turn, 0, 0))
            )
        appearance: Any = generic.DictionaryObject()  # type: ignore[no-untyped-call]
        appearance["/N"] = form
        widget["/AP"] = appearance


def _turned(widget: Any) -> int:
    return int(_inherited(widget["/P"], "/Rotate") or 0) % 360 if "/P" in widget else 0


@functools.lru_cache(maxsize=64)
def _drawn_once(look: Look, claim: Archival | None) -> bytes:
    """Draw a picture once, not at each signature; texts are each of one document, and not kept."""
    drawn = _drawn(look, soft=claim is None or claim.admits_soft_masks)
    if claim is not None and not claim.admits_rgb:
        return calibrated(drawn)
    small = BytesIO()
    with pikepdf.open(BytesIO(drawn)) as pdf:  # a quarter smaller: without ASCII armour
        pdf.save(small, deterministic_id=True, recompress_flate=True)
    return small.getvalue()


def _drawn(look: Look, *, soft: bool = True) -> bytes:
    """Draw a look on a page of its own size."""
    register(look.fonts)
    width, height = look.size_pt()
    out = BytesIO()
    with DRAWING:
        canvas = Canvas(
            out,
            pagesize=(width, height),
            invariant=1,
            pageCompression=1,
            initialFontName=REGULAR,  # type: ignore[arg-type]  # the stub says float
        )
        if look.picture is not None:
            _draw_picture(canvas, look.picture, (width, height), soft=soft)
        else:
            canvas.setFillGray(0)
            canvas.setFont(REGULAR, TEXT_PT)
            line = height - TEXT_PT * _ASCENT
            for text in look.lines:
                canvas.drawString(0, line, normalise(text))
                line -= TEXT_PT * _LEADING
        canvas.showPage()
        canvas.save()
    return out.getvalue()


def _draw_picture(
    canvas: Canvas, picture: Picture, size: tuple[float, float], *, soft: bool
) -> None:
    if soft:
        canvas.drawImage(ImageReader(BytesIO(picture.png)), 0, 0, *size, mask="auto")
        return
    flat, colours = without_half_tones(picture.png)
    canvas.drawImage(ImageReader(flat), 0, 0, *size, mask=colours)
