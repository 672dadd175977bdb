"""The pages of a printed register: heading, ruled rows, closing block, drawn from the top down.

Rules: the table's head comes again on every page; a row stays together where a page can hold it;
each page says which of how many it is; memory holds the finished pages, compressed, and one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from docflow.kernel.text import normalise
from docflow.signing.font import BOLD, DRAWING, ITALIC, REGULAR

Align = Literal["left", "centre"]

_WIDTH, _HEIGHT = landscape(A4)
_LEFT, _RIGHT, _TOP, _BOTTOM = 20 * mm, 10 * mm, 15 * mm, 16 * mm  # left: room for the binding
_PADDING = 1.2 * mm
_SIZE, _LEADING = 8.5, 11.5
_HEAD_SIZE, _HEAD_LEADING = 8.0, 10.5
_LEAST_ROW = 9 * mm
_CLOSING = 42 * mm
_TOTAL_PAGES = "total-pages"
_MEASURED = 200  # characters of a word: more than any cell is wide, so long words take linear time


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a register: its heading, its width in millimetres, how it is set."""

    title: str
    width_mm: float
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class RegisterHeading:
    """What stands above a register: whose it is, what it is called, and over which period."""

    organisation: str
    title: str
    period: str
    starts: date
    ends: date | None
    superior: str = ""


def day_text(day: date | None) -> str:
    """Write a day as dd/mm/yyyy; nothing for none."""
    return "" if day is None else f"{day:%d/%m/%Y}"


def plain(text: str) -> str:
    """Make `text` one line: composed (NFC), without control characters, single-spaced."""
    shown = "".join(char if char.isprintable() else " " for char in normalise(text))
    return " ".join(shown.split())


class Sheet:
    """The pages of one printed register, drawn from the top down."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[Column],
        heading: RegisterHeading,
        printed_at: datetime,
    ) -> None:
        self._canvas = Canvas(
            str(path),
            pagesize=(_WIDTH, _HEIGHT),
            pageCompression=1,
            invariant=1,
            initialFontName=REGULAR,  # type: ignore[arg-type]  # the stub says float
            lang="vi",
        )
        self._canvas.setTitle(f"{heading.title}, {heading.period}")
        self._canvas.setAuthor(heading.organisation)
        self._columns = columns
        self._heading = heading
        self._printed = f"In lúc {printed_at:%H:%M} ngày {printed_at:%d/%m/%Y}"
        self._edges = [_LEFT]
        for column in columns:
            self._edges.append(self._edges[-1] + column.width_mm * mm)
        self._titles = [
            _lines(column.title, column.width_mm * mm - 2 * _PADDING, BOLD, _HEAD_SIZE)
            for column in columns
        ]
        self._held: tuple[list[list[str]], bool] | None = None
        self._page = 0
        self._rows_on_page = 0
        self._y = 0.0
        self._first_page()

    def row(self, cells: Sequence[str], *, struck: bool) -> None:
        """Take one row. It is drawn when the next comes, so that the last can stay with the end."""
        if self._held is not None:
            self._draw_held(0)
        wrapped = [
            _lines(plain(cell), column.width_mm * mm - 2 * _PADDING, REGULAR, _SIZE)
            for cell, column in zip(cells, self._columns, strict=True)
        ]
        self._held = (wrapped, struck)

    def close(self, count: int, voided: int) -> int:
        """Draw the sums and the places for signatures, and write the file."""
        if self._held is not None:
            self._draw_held(_CLOSING)
        else:
            self._say("Không có văn bản nào được đăng ký trong kỳ này.")
        if self._y - _CLOSING < _BOTTOM:
            self._next_page(with_table=False)
        canvas = self._canvas
        canvas.setFont(ITALIC, 9.5)
        canvas.drawString(
            _LEFT, self._y - 6 * mm, f"Sổ có {count} số đăng ký, trong đó {voided} số đã hủy."
        )
        for middle, title in ((0.22, "VĂN THƯ"), (0.78, "NGƯỜI ĐỨNG ĐẦU CƠ QUAN")):
            x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * middle
            canvas.setFont(BOLD, 10)
            canvas.drawCentredString(x, self._y - 13 * mm, title)
            canvas.setFont(ITALIC, 9)
            canvas.drawCentredString(x, self._y - 17.5 * mm, "(Ký, ghi rõ họ tên)")
        self._footer()
        canvas.showPage()
        canvas.beginForm(_TOTAL_PAGES, 0, -3, 40, 12)
        canvas.setFont(REGULAR, 8.5)
        canvas.drawString(0, 0, str(self._page))
        canvas.endForm()
        with DRAWING:
            canvas.save()
        return self._page

    def _first_page(self) -> None:
        self._page = 1
        canvas, heading = self._canvas, self._heading
        y = _HEIGHT - _TOP
        for face, text in ((REGULAR, heading.superior), (BOLD, heading.organisation)):
            for line in _lines(plain(text).upper(), 95 * mm, face, 9.5) if text else ():
                canvas.setFont(face, 9.5)
                canvas.drawCentredString(_LEFT + 48 * mm, y - 9.5, line)
                y -= 13
        canvas.setLineWidth(0.6)
        canvas.line(_LEFT + 33 * mm, y - 4, _LEFT + 63 * mm, y - 4)
        middle = (_WIDTH + _LEFT - _RIGHT) / 2
        y = min(y - 12 * mm, _HEIGHT - _TOP - 20 * mm)
        canvas.setFont(BOLD, 16)
        canvas.drawCentredString(middle, y, plain(heading.title).upper())
        canvas.setFont(BOLD, 11)
        canvas.drawCentredString(middle, y - 7 * mm, plain(heading.period))
        canvas.setFont(ITALIC, 9.5)
        until = f" đến ngày {day_text(heading.ends)}" if heading.ends is not None else ""
        canvas.drawCentredString(
            middle, y - 12.5 * mm, f"Từ ngày {day_text(heading.starts)}{until}"
        )
        self._y = y - 17 * mm
        self._head()

    def _next_page(self, *, with_table: bool = True) -> None:
        self._footer()
        self._canvas.showPage()
        self._page += 1
        self._rows_on_page = 0
        heading = self._heading
        self._canvas.setFont(ITALIC, 8.5)
        running = f"{heading.organisation} · {heading.title} · {heading.period}"
        self._canvas.drawString(_LEFT, _HEIGHT - 10 * mm, plain(running))
        self._y = _HEIGHT - _TOP
        if with_table:
            self._head()

    def _head(self) -> None:
        """Draw the headings of the columns and, below, their numbers, as the decree's form has."""
        height = max(len(lines) for lines in self._titles) * _HEAD_LEADING + 2 * _PADDING
        canvas = self._canvas
        canvas.setFillGray(0.92)
        canvas.rect(_LEFT, self._y - height, self._edges[-1] - _LEFT, height, stroke=0, fill=1)
        canvas.setFillGray(0)
        canvas.setFont(BOLD, _HEAD_SIZE)
        for index, lines in enumerate(self._titles):
            middle = (self._edges[index] + self._edges[index + 1]) / 2
            y = self._y - (height - len(lines) * _HEAD_LEADING) / 2 - _HEAD_SIZE
            for line in lines:
                canvas.drawCentredString(middle, y, line)
                y -= _HEAD_LEADING
        self._frame(height)
        canvas.setFont(ITALIC, 7)
        for index in range(len(self._columns)):
            middle = (self._edges[index] + self._edges[index + 1]) / 2
            canvas.drawCentredString(middle, self._y - 8.5, f"({index + 1})")
        self._frame(12)

    def _draw_held(self, below: float) -> None:
        """Draw the held row, with `below` points left under it, where a page can hold it so.

        A row that no page holds is cut and goes on over the pages.
        """
        if self._held is None:
            return
        wrapped, struck = self._held
        longest = max(len(lines) for lines in wrapped)
        height = max(_LEAST_ROW, longest * _LEADING + 2 * _PADDING)
        if self._y - height - below < _BOTTOM and self._rows_on_page:
            self._next_page()
        while (fit := self._lines_left()) < longest:
            self._draw_row([lines[:fit] for lines in wrapped], struck=struck)
            wrapped = [lines[fit:] for lines in wrapped]
            longest -= fit
            self._next_page()
        self._draw_row(wrapped, struck=struck)

    def _draw_row(self, wrapped: Sequence[Sequence[str]], *, struck: bool) -> None:
        height = max(_LEAST_ROW, max(map(len, wrapped)) * _LEADING + 2 * _PADDING)
        note = len(wrapped) - 1
        canvas = self._canvas
        canvas.setLineWidth(0.6)
        for index, lines in enumerate(wrapped):
            canvas.setFont(REGULAR, _SIZE)
            y = self._y - _PADDING - _SIZE
            for line in lines:
                width = stringWidth(line, REGULAR, _SIZE)
                x = self._edges[index] + _PADDING
                if self._columns[index].align == "centre":
                    x = (self._edges[index] + self._edges[index + 1] - width) / 2
                canvas.drawString(x, y, line)
                if struck and index != note:
                    canvas.line(x, y + _SIZE * 0.3, x + width, y + _SIZE * 0.3)
                y -= _LEADING
        self._frame(height)
        self._rows_on_page += 1

    def _say(self, text: str) -> None:
        self._canvas.setFont(ITALIC, 9)
        middle = (_LEFT + self._edges[-1]) / 2
        self._canvas.drawCentredString(middle, self._y - 6 * mm, text)
        self._canvas.setLineWidth(0.4)
        self._canvas.rect(_LEFT, self._y - 10 * mm, self._edges[-1] - _LEFT, 10 * mm)
        self._y -= 10 * mm

    def _frame(self, height: float) -> None:
        """Rule a row of this height and go below it."""
        self._canvas.setLineWidth(0.4)
        self._canvas.grid(self._edges, [self._y - height, self._y])
        self._y -= height

    def _lines_left(self) -> int:
        return max(0, int((self._y - _BOTTOM - 2 * _PADDING) // _LEADING))

    def _footer(self) -> None:
        canvas = self._canvas
        canvas.setFont(REGULAR, 8.5)
        canvas.drawString(_LEFT, 9 * mm, self._printed)
        text = f"Trang {self._page}/"
        start = _WIDTH - _RIGHT - 24 * mm
        canvas.drawString(start, 9 * mm, text)
        canvas.saveState()
        canvas.translate(start + stringWidth(text, REGULAR, 8.5), 9 * mm)
        canvas.doForm(_TOTAL_PAGES)  # how many there are is known, and drawn, at the end
        canvas.restoreState()


def _lines(text: str, width: float, face: str, size: float) -> list[str]:
    """Break `text` into lines of at most `width` points; a word that is too long is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        wider = f"{line} {word}" if line else word
        if stringWidth(wider, face, size) <= width:
            line = wider
            continue
        if line:
            lines.append(line)
        rest = word
        while stringWidth(rest[:_MEASURED], face, size) > width:
            cut = _cut_at(rest, width, face, size)
            lines.append(rest[:cut])
            rest = rest[cut:]
        line = rest
    return [*lines, line] if line else lines


def _cut_at(word: str, width: float, face: str, size: float) -> int:
    """How many characters of `word` fit; after a slash or hyphen, if one is among them."""
    fit = 1
    while fit < len(word) and stringWidth(word[: fit + 1], face, size) <= width:
        fit += 1
    joint = max(word.rfind(mark, 0, fit) for mark in "/-") + 1
    return joint or fit
