"""Registers: the next number of a series, allocated in the transition's transaction.

A counter is one row per organisation, book, period and series; taking a number is one statement that
locks that row until the commit, so there is no double, and a rollback leaves no gap. A number that
was given is never given again: it is voided with a reason.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from docflow.db import Row, UnitOfWork, all_rows
from docflow.documents import numbering
from docflow.documents.desk import Desk
from docflow.documents.sealed_rows import reason_place
from docflow.documents.tables import register_counters, register_entries
from docflow.kernel.errors import ConflictError, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people.seed_models import Book


@dataclass(frozen=True, slots=True)
class Allocated:
    """A number that was given: where it stands in its book, and how it is written."""

    book: str
    period: str
    series: str
    number: int
    symbol: str
    numbered_on: date

    def columns(self) -> dict[str, Any]:
        """Return the columns of the document's row that say it."""
        return {
            "book": self.book,
            "number": self.number,
            "symbol": self.symbol,
            "numbered_on": self.numbered_on,
        }


def allocate(uow: UnitOfWork, desk: Desk, row: Row, book_code: str, day: date | None) -> Allocated:
    """Give a document the next number of a book.

    Raises:
        InvalidInputError: if the date lies before the last number of the series or in the future
            (code `back-dated`, `future-dated`), or in no period of the book.
        ConflictError: if the symbol is taken in this period (code `symbol-taken`).
    """
    catalogue = desk.catalogue
    book = catalogue.book(book_code)
    today = catalogue.today(uow.now)
    on = day or today
    if on > today:
        raise InvalidInputError(
            f"{on} lies in the future; a number is dated today ({today}) or earlier.",
            code="future-dated",
        )
    kind = catalogue.document_type(row["type_code"])
    period = numbering.period_of(book, on)
    series = numbering.series_of(book, kind)
    number = _next(uow, desk.catalogue.organisation, book, period.key, series, on)
    symbol = numbering.format_symbol(
        book,
        number,
        type_code=kind.symbol,
        office=catalogue.organisation,
        unit=catalogue.unit_symbol(row["unit_code"]),
        year=on.year,
    )
    allocated = Allocated(book.code, period.key, series, number, symbol, on)
    if book.direction == "outgoing" and book.series != "shared":
        _require_free(uow, catalogue.organisation, allocated)
    _enter(uow, desk.catalogue.organisation, row["id"], allocated)
    return allocated


@cache
def _count_on(dialect: str) -> sa.Executable:
    """Return the statement that takes the next number, composed once."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(register_counters)
    return statement.on_conflict_do_update(
        index_elements=list(register_counters.primary_key.columns),
        set_={"last": register_counters.c.last + 1, "last_on": statement.excluded.last_on},
        where=register_counters.c.last_on <= statement.excluded.last_on,
    ).returning(register_counters.c.last)


def _next(
    uow: UnitOfWork, organisation: str, book: Book, period: str, series: str, on: date
) -> int:
    number = uow.connection.execute(
        _count_on(uow.connection.dialect.name),
        {
            "organisation": organisation,
            "book": book.code,
            "period": period,
            "series": series,
            "last": book.first_number,
            "last_on": on,
        },
    ).scalar_one_or_none()
    if number is None:
        raise InvalidInputError(
            f"{on} lies before the date of the last number of this series in {book.code!r}; "
            "numbers of a series follow its dates.",
            code="back-dated",
            rule="no-back-dating",
            satisfied_by="Leave the date out, or give one not before the last number's.",
        )
    return int(number)


def _require_free(uow: UnitOfWork, organisation: str, allocated: Allocated) -> None:
    """Refuse a symbol that another series of the book already gave in this period."""
    taken = uow.connection.execute(
        sa.select(register_entries.c.id)
        .where(
            register_entries.c.organisation == organisation,
            register_entries.c.book == allocated.book,
            register_entries.c.period == allocated.period,
            register_entries.c.symbol == allocated.symbol,
        )
        .limit(1)
    ).one_or_none()
    if taken is not None:
        raise ConflictError(
            f"The symbol {allocated.symbol} is taken in {allocated.book!r} {allocated.period}.",
            code="symbol-taken",
            rule="symbol-unique",
            satisfied_by="Correct the book's symbol format so that its series differ.",
        )


def _enter(uow: UnitOfWork, organisation: str, document_id: str, allocated: Allocated) -> None:
    uow.put(
        register_entries,
        {
            "id": new_id(),
            "organisation": organisation,
            "book": allocated.book,
            "period": allocated.period,
            "series": allocated.series,
            "number": allocated.number,
            "symbol": allocated.symbol,
            "document_id": document_id,
            "numbered_on": allocated.numbered_on,
        },
    )


def void(uow: UnitOfWork, desk: Desk, row: Row, reason: str) -> int:
    """Void the numbers that a document holds; the caller writes the entry. Return how many."""
    kept = desk.vault.seal_line(row, reason_place(row["id"]), reason, uow.connection)
    return uow.alter(
        register_entries,
        row["id"],
        register_entries.c.voided_at.is_(None),
        {"voided_at": uow.now, "voided_by": uow.actor.id, "void_reason": kept},
    )


def verification_code() -> str:
    """Return a fresh unguessable code for the link in a document's QR code (128 bits)."""
    return secrets.token_urlsafe(16)


def entries(
    connection: sa.Connection, organisation: str, book: str, period: str, chunk: int = 500
) -> Iterator[Row]:
    """Yield the entries of a book in one period, in order of series and number."""
    last: tuple[str, int] = ("", -1)
    columns = sa.tuple_(register_entries.c.series, register_entries.c.number)
    while True:
        page = all_rows(
            connection,
            sa.select(register_entries)
            .where(
                register_entries.c.organisation == organisation,
                register_entries.c.book == book,
                register_entries.c.period == period,
                columns > sa.tuple_(sa.literal(last[0]), sa.literal(last[1])),
            )
            .order_by(register_entries.c.series, register_entries.c.number)
            .limit(chunk),
        )
        yield from page
        if len(page) < chunk:
            return
        last = (page[-1]["series"], page[-1]["number"])
