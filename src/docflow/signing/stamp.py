"""Put number, date and a verification code on the page, before the first signature.

Rules:
- Only an unsigned PDF is stamped: signed bytes never change.
- The result is normalised (plain cross-reference table, no form, annotations drawn into the page), so
  what is signed shows the same in every reader.
- Equal inputs give equal bytes: no clock, no random identifiers.
- Text is drawn with an embedded TrueType face; a character the face lacks is refused, not replaced.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pikepdf
from reportlab.graphics.barcode import qrencoder
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from docflow.kernel.errors import InvalidInputError
from docflow.kernel.text import normalise
from docflow.signing.archival import Archival, calibrate, ready_to_draw
from docflow.signing.font import BOLD, DRAWING, ITALIC, REGULAR, Fonts, missing_characters, register
from docflow.signing.inspection import inspect_pdf, require_signable
from docflow.signing.plan import CAPTION_PT, QR_MM, Anchor, CodeItem, StampPlan, TextItem

_PT_PER_MM = 72 / 25.4
_FACES = {"regular": REGULAR, "bold": BOLD, "italic": ITALIC}
_ASCENT, _DESCENT = 1.0, 0.3  # of Noto Sans, in ems; marks over capitals included
_QUIET_MODULES = 2
_CAPTION_GAP_MM = 1.0
_BLEED = 0.02  # of a module: neighbours overlap, so that no reader shows seams
_LEAST_MODULE_MM = 0.54  # 3.2 dots at 150 dpi
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle in millimetres from the top left of the visible page."""

    what: str
    page: int
    left: float
    top: float
    width: float
    height: float

    def overlaps(self, other: "_Box") -> bool:
        return (
            self.page == other.page
            and self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.top < other.top + other.height
            and other.top < self.top + self.height
        )


@dataclass(frozen=True, slots=True)
class _PageSize:
    """The visible part of a page: its box in user space, and its size as a reader sees it."""

    box: tuple[float, float, float, float]
    width_mm: float
    height_mm: float


@dataclass(frozen=True, slots=True)
class _Put:
    """What is put on a page, and where; a code may have a caption beside it."""

    item: TextItem | CodeItem
    size: _PageSize
    box: _Box
    caption: _Box | None = None


def check_stamp(source: Path | BinaryIO, plan: StampPlan, fonts: Fonts) -> None:
    """Refuse what `stamp` would refuse of a plan for this file; nothing is drawn. Raises as `stamp`."""
    register(fonts)
    with _open(source) as pdf, DRAWING:
        _places(pdf, plan)


def stamp(source: Path | BinaryIO, target: Path, plan: StampPlan, fonts: Fonts) -> None:
    """Write the PDF of `source` with `plan` drawn on it to `target`.

    Raises:
        InvalidInputError: what `inspect_pdf` and `require_signable` refuse; `stamp-anchor` for a page
            that is not there or an item that leaves it, `stamp-overlap` for items that cover each
            other, `stamp-text` for a character that the face cannot draw.
    """
    require_signable(inspect_pdf(source))
    register(fonts)
    with _open(source) as pdf:
        claim = ready_to_draw(pdf)
        if "/DocChecksum" in pdf.trailer:  # LibreOffice's, of the bytes as it wrote them
            del pdf.trailer["/DocChecksum"]
        _flatten(pdf)
        with DRAWING:
            overlays = _draw(pdf, plan)
        for number, data in overlays.items():
            _lay_over(pdf, number, data, claim)
        with target.open("wb") as output:  # by its name, pikepdf would write a file beside it
            pdf.save(
                output,
                deterministic_id=True,
                object_stream_mode=pikepdf.ObjectStreamMode.disable,
                # PDF/A-1 is of PDF 1.4
                min_version="1.4" if claim is not None and claim.part == 1 else "1.7",
            )


def _open(source: Path | BinaryIO) -> pikepdf.Pdf:
    if isinstance(source, Path):
        return pikepdf.open(source, attempt_recovery=False)
    source.seek(0)
    return pikepdf.open(source, attempt_recovery=False)


def _flatten(pdf: pikepdf.Pdf) -> None:
    """Draw forms and annotations into the pages: nothing may stay that a reader could alter."""
    if "/AcroForm" in pdf.Root:
        pdf.generate_appearance_streams()
    pdf.flatten_annotations("print")
    if "/AcroForm" in pdf.Root:  # fields without a place on a page
        del pdf.Root.AcroForm


def _places(pdf: pikepdf.Pdf, plan: StampPlan) -> list[_Put]:
    """Return where everything goes, in order; refuse what leaves its page or covers another."""
    taken: list[_Box] = []
    found = []
    for what, text in (
        ("number", plan.number),
        ("date", plan.date),
        ("capacity", plan.capacity),
    ):
        if text is not None:
            number = _page_number(pdf, text.anchor.page)
            size = _page_size(pdf.pages[number])
            found.append(_Put(text, size, _text_box(what, text, number, size)))
    if plan.code is not None:
        number = _page_number(pdf, plan.code.anchor.page)
        size = _page_size(pdf.pages[number])
        found.append(_Put(plan.code, size, *_code_boxes(plan.code, number, size)))
    for put in found:
        for box in (put.box, put.caption):
            if box is not None:
                _claim(box, put.size, taken)
    return found


def _draw(pdf: pikepdf.Pdf, plan: StampPlan) -> dict[int, bytes]:
    """Return one overlay PDF for each page (counted from 0) that gets something."""
    canvases: dict[int, tuple[Canvas, BytesIO]] = {}

    def canvas_for(put: _Put) -> Canvas:
        if put.box.page not in canvases:
            out = BytesIO()
            points = (put.size.width_mm * _PT_PER_MM, put.size.height_mm * _PT_PER_MM)
            canvas = Canvas(
                out,
                pagesize=points,
                invariant=1,
                pageCompression=1,
                initialFontName=REGULAR,  # type: ignore[arg-type]  # the stub says float
            )
            canvases[put.box.page] = (canvas, out)
        return canvases[put.box.page][0]

    for put in _places(pdf, plan):
        canvas = canvas_for(put)
        if isinstance(put.item, TextItem):
            _draw_text(canvas, put.item, put.box, put.size)
            continue
        _draw_code(canvas, put.item, put.box, put.size)
        if put.caption is not None:
            _draw_caption(canvas, put.item, put.caption, put.size)
    return {number: _finished(canvas, out) for number, (canvas, out) in canvases.items()}


def _finished(canvas: Canvas, out: BytesIO) -> bytes:
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _lay_over(pdf: pikepdf.Pdf, number: int, data: bytes, claim: Archival | None) -> None:
    """Put the drawing over the page, upright for the reader however the page is turned.

    pikepdf's own `add_overlay` would do, but names the drawing at random.
    """
    page = pdf.pages[number]
    with pikepdf.open(BytesIO(data)) as overlay:
        if claim is not None and not claim.inks:
            calibrate(overlay.pages[0].obj)
        drawing = pdf.copy_foreign(overlay.pages[0].as_form_xobject())
    name = pikepdf.Name(f"/DocflowStamp{number + 1}")
    page.add_resource(drawing, pikepdf.Name.XObject, name)
    box = pikepdf.Rectangle(*_page_size(page).box)
    placing = page.calc_form_xobject_placement(
        drawing, name, box, invert_transformations=True, allow_shrink=True, allow_expand=True
    )
    page.contents_add(b"q\n", prepend=True)  # whatever the page's content leaves set, ends with it
    # in a tagged file, what belongs to no paragraph of the author's is marked so
    page.contents_add(b"\nQ\n/Artifact BMC\n" + placing + b"\nEMC\n")


def _page_number(pdf: pikepdf.Pdf, page: int) -> int:
    count = len(pdf.pages)
    if not (1 <= page <= count or -count <= page <= -1):
        raise InvalidInputError(
            f"The stamp names page {page}, and the document has {count}.", code="stamp-anchor"
        )
    return page - 1 if page > 0 else count + page


def _page_size(page: pikepdf.Page) -> _PageSize:
    left, bottom, right, top = _visible_box(page)
    unit = float(page.obj.get("/UserUnit", 1))
    width, height = (right - left) * unit / _PT_PER_MM, (top - bottom) * unit / _PT_PER_MM
    turned = int(page.obj.get("/Rotate", 0)) % 180 == 90  # noqa: PLR2004 - degrees
    if turned:
        width, height = height, width
    return _PageSize((left, bottom, right, top), width, height)


def _visible_box(page: pikepdf.Page) -> tuple[float, float, float, float]:
    """Return what a reader shows: the crop box as far as it lies in the media box."""
    media, crop = _ordered(page.mediabox), _ordered(page.cropbox)
    box = (
        max(media[0], crop[0]),
        max(media[1], crop[1]),
        min(media[2], crop[2]),
        min(media[3], crop[3]),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return media
    return box


def _ordered(box: Any) -> tuple[float, float, float, float]:
    a, b, c, d = (float(Decimal(value)) for value in box)
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _text_box(what: str, item: TextItem, page: int, size: _PageSize) -> _Box:
    text, face = normalise(item.text), _FACES[item.style]
    absent = missing_characters(text, face)
    if absent:
        raise InvalidInputError(
            f"The {what} holds {absent!r}, which the typeface on the page cannot draw.",
            code="stamp-text",
        )
    width = pdfmetrics.stringWidth(text, face, item.size_pt) / _PT_PER_MM
    height = item.size_pt * (_ASCENT + _DESCENT) / _PT_PER_MM
    return _placed(what, page, item.anchor, (width, height), size)


def _placed(
    what: str, page: int, anchor: Anchor, needs: tuple[float, float], size: _PageSize
) -> _Box:
    width, height = needs
    place = anchor.resolve(size.width_mm, size.height_mm)
    left = place.x_mm - {"left": 0.0, "centre": width / 2, "right": width}[place.align]
    top = place.y_mm - (height if place.stands else 0.0)
    return _Box(what, page, left, top, width, height)


def _code_boxes(item: CodeItem, page: int, size: _PageSize) -> tuple[_Box, _Box | None]:
    """Place the code, and its caption on the side where there is more room."""
    side = _encoded(item.payload).side_mm
    code = _placed("QR code", page, item.anchor, (side, side), size)
    if not item.caption:
        return code, None
    width = max(pdfmetrics.stringWidth(normalise(t), REGULAR, CAPTION_PT) for t in item.caption)
    width /= _PT_PER_MM
    height = len(item.caption) * CAPTION_PT * (_ASCENT + _DESCENT) / _PT_PER_MM
    to_the_left = code.left + side / 2 > size.width_mm / 2
    left = code.left - _CAPTION_GAP_MM - width if to_the_left else code.left + side
    top = code.top + side - height - _CAPTION_GAP_MM
    return code, _Box("caption", page, left, top, width, height)


def _claim(box: _Box, size: _PageSize, taken: list[_Box]) -> None:
    """Take the place of `box`, or refuse it."""
    if (
        box.left < -_EPSILON
        or box.top < -_EPSILON
        or box.left + box.width > size.width_mm + _EPSILON
        or box.top + box.height > size.height_mm + _EPSILON
    ):
        raise InvalidInputError(
            f"The {box.what} would leave the page: it needs {box.width:.0f} × {box.height:.0f} mm at "
            f"{box.left:.0f}, {box.top:.0f} mm, and the page is {size.width_mm:.0f} × "
            f"{size.height_mm:.0f} mm.",
            code="stamp-anchor",
        )
    for other in taken:
        if box.overlaps(other):
            raise InvalidInputError(
                f"The {box.what} would cover the {other.what}; give one of them another place.",
                code="stamp-overlap",
            )
    taken.append(box)


def _draw_text(canvas: Canvas, item: TextItem, box: _Box, size: _PageSize) -> None:
    canvas.setFillGray(0)
    canvas.setFont(_FACES[item.style], item.size_pt)
    baseline = (size.height_mm - box.top) * _PT_PER_MM - item.size_pt * _ASCENT
    canvas.drawString(box.left * _PT_PER_MM, baseline, normalise(item.text))


def _draw_caption(canvas: Canvas, item: CodeItem, box: _Box, size: _PageSize) -> None:
    canvas.setFillGray(0.25)
    canvas.setFont(REGULAR, CAPTION_PT)
    right = (box.left + box.width) * _PT_PER_MM
    line = (size.height_mm - box.top) * _PT_PER_MM - CAPTION_PT * _ASCENT
    for text in item.caption:
        canvas.drawRightString(right, line, normalise(text))
        line -= CAPTION_PT * (_ASCENT + _DESCENT)


def _draw_code(canvas: Canvas, item: CodeItem, box: _Box, size: _PageSize) -> None:
    code = _encoded(item.payload)
    count = len(code.rows)
    side = box.width * _PT_PER_MM
    module = side / (count + 2 * _QUIET_MODULES)
    left = box.left * _PT_PER_MM
    top = (size.height_mm - box.top) * _PT_PER_MM
    canvas.setFillGray(1)
    canvas.rect(left, top - side, side, side, stroke=0, fill=1)
    canvas.setFillGray(0)
    path = canvas.beginPath()
    bleed = module * _BLEED
    for row, start, length in _runs(code):
        path.rect(
            left + (start + _QUIET_MODULES) * module - bleed,
            top - (row + 1 + _QUIET_MODULES) * module - bleed,
            length * module + 2 * bleed,
            module + 2 * bleed,
        )
    canvas.drawPath(path, stroke=0, fill=1, fillMode=1)


@dataclass(frozen=True, slots=True)
class _Code:
    """The dark modules of a QR code, row by row, and the side it needs with its quiet zone."""

    rows: tuple[tuple[bool, ...], ...]
    side_mm: float


@functools.lru_cache(maxsize=64)
def _encoded(payload: str) -> _Code:
    """Encode with the better error correction where that costs no room.

    A module is never smaller than what a scanner reads from 150 dpi, so a long link makes a larger
    code.
    """
    for level in (qrencoder.QRErrorCorrectLevel.M, qrencoder.QRErrorCorrectLevel.L):
        code: Any = qrencoder.QRCode(None, level)
        code.addData(payload)
        side = (code.calculate_version() * 4 + 17 + 2 * _QUIET_MODULES) * _LEAST_MODULE_MM
        if side <= QR_MM:
            break
    code.make()
    return _Code(tuple(tuple(map(bool, row)) for row in code.modules), max(side, QR_MM))


def _runs(code: _Code) -> Iterator[tuple[int, int, int]]:
    """Yield row, first column and length of each unbroken run of dark modules."""
    for row, modules in enumerate(code.rows):
        column = 0
        for dark, run in itertools.groupby(modules):
            length = len(tuple(run))
            if dark:
                yield row, column, length
            column += length
