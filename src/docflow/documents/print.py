"""Prints registers: the ten columns of the incoming and the outgoing one, as CSV and as PDF.

Rules: the form is the decree's, in its language; a number that was voided stays in its place, its
row struck through and the reason in the note; dates are dd/mm/yyyy. Rows come as an iterator and
go out as they come: CSV in chunks of text, PDF page by page to a path, so a register of any length
needs little memory (the pages, compressed).

Source: Decree 30/2020/NĐ-CP, Annex IV (registers), Article 15 (numbers).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar

from docflow.documents.numbering import Period
from docflow.documents.register_sheet import Column, RegisterHeading, Sheet, day_text, plain
from docflow.people.seed_models import Book, Organisation, Terms
from docflow.signing.font import Fonts, register

__all__ = [
    "Column",
    "IncomingRow",
    "OutgoingRow",
    "RegisterHeading",
    "Row",
    "heading_for",
    "register_csv",
    "register_pdf",
]

_ROWS_PER_CHUNK = 200
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_VOIDED = "Đã hủy"


@dataclass(frozen=True, slots=True)
class OutgoingRow:
    """One number of an outgoing register; `voided` is the reason, if it was voided."""

    symbol: str
    document_date: date | None
    type_and_summary: str
    signer: str
    recipients: str
    kept_by: str
    copies: int | None
    transferred_on: date | None
    receipt: str = ""
    note: str = ""
    voided: str | None = None

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Số, ký hiệu văn bản", 27),
        Column("Ngày tháng văn bản", 20, "centre"),
        Column("Tên loại và trích yếu nội dung văn bản", 60),
        Column("Người ký", 27),
        Column("Nơi nhận văn bản", 38),
        Column("Đơn vị, người nhận bản lưu", 23),
        Column("Số lượng bản", 12, "centre"),
        Column("Ngày chuyển", 20, "centre"),
        Column("Ký nhận", 16),
        Column("Ghi chú", 24),
    )

    def cells(self) -> tuple[str, ...]:
        """The ten cells as text, in the order of `COLUMNS`."""
        return (
            self.symbol,
            day_text(self.document_date),
            self.type_and_summary,
            self.signer,
            self.recipients,
            self.kept_by,
            "" if self.copies is None else f"{self.copies:02}",
            day_text(self.transferred_on),
            self.receipt,
            _note(self.note, self.voided),
        )


@dataclass(frozen=True, slots=True)
class IncomingRow:
    """One number of an incoming register; `voided` is the reason, if it was voided."""

    arrived_on: date | None
    arrival_number: str
    author: str
    symbol: str
    document_date: date | None
    type_and_summary: str
    receiver: str
    transferred_on: date | None
    receipt: str = ""
    note: str = ""
    voided: str | None = None

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Ngày đến", 20, "centre"),
        Column("Số đến", 13, "centre"),
        Column("Tác giả", 37),
        Column("Số, ký hiệu văn bản", 27),
        Column("Ngày tháng văn bản", 20, "centre"),
        Column("Tên loại và trích yếu nội dung văn bản", 61),
        Column("Đơn vị hoặc người nhận", 31),
        Column("Ngày chuyển", 20, "centre"),
        Column("Ký nhận", 16),
        Column("Ghi chú", 22),
    )

    def cells(self) -> tuple[str, ...]:
        """The ten cells as text, in the order of `COLUMNS`."""
        return (
            day_text(self.arrived_on),
            self.arrival_number,
            self.author,
            self.symbol,
            day_text(self.document_date),
            self.type_and_summary,
            self.receiver,
            day_text(self.transferred_on),
            self.receipt,
            _note(self.note, self.voided),
        )


Row = OutgoingRow | IncomingRow


def heading_for(organisation: Organisation, book: Book, period: Period) -> RegisterHeading:
    """Return the heading of one period of a book, in Vietnamese."""
    name = f"Năm {period.key}"
    if isinstance(book.period, Terms):
        name = next(term.name.vi for term in book.period.terms if term.key == period.key)
    superior = organisation.superior.vi if organisation.superior is not None else ""
    return RegisterHeading(
        organisation.name.vi, book.title.vi, name, period.starts, period.ends, superior
    )


def register_csv(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """Yield a register as CSV text (RFC 4180, with headings), a few hundred rows at a time.

    Starts with a byte-order mark, by which spreadsheet programs know UTF-8. A cell that such a
    program would take for a formula gets a leading apostrophe (OWASP ASVS V1.2.10).
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow([column.title for column in columns])
    for count, row in enumerate(rows, start=1):
        writer.writerow([_inert(cell) for cell in row.cells()])
        if count % _ROWS_PER_CHUNK == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def register_pdf(
    path: Path,
    columns: Sequence[Column],
    rows: Iterable[Row],
    heading: RegisterHeading,
    fonts: Fonts,
    *,
    printed_at: datetime,
) -> int:
    """Write a register to `path` as PDF, landscape A4, ready to be bound and signed.

    Args:
        path: the file to write.
        columns: `OutgoingRow.COLUMNS` or `IncomingRow.COLUMNS`.
        rows: the rows, in the order of their numbers.
        heading: what stands on the first page and, smaller, above the others.
        fonts: the faces to draw with.
        printed_at: the moment of printing, in the office's timezone; stands in the footer.

    Returns:
        The number of pages.

    Raises:
        OSError: if the file cannot be written.
    """
    register(fonts)
    sheet = Sheet(path, columns, heading, printed_at)
    count = voided = 0
    for row in rows:
        sheet.row(row.cells(), struck=row.voided is not None)
        count += 1
        voided += row.voided is not None
    return sheet.close(count, voided)


def _note(note: str, voided: str | None) -> str:
    if voided is None:
        return note
    return f"{_VOIDED}: {voided}" + (f". {note}" if note else "")


def _inert(cell: str) -> str:
    text = plain(cell)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
