"""Reading registers: which entries of a book and period, in order of series and number.

Rules: a register's rows are for those who may read registers; of a document that the reader has no
reason to know, the row tells its number and that it is hidden, nothing else. Pages are keyset pages
and each is read in a short transaction of its own: a slow reader holds no connection.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Row, all_rows
from docflow.documents.catalogue import hint
from docflow.documents.desk import Desk
from docflow.documents.numbering import Period, period_of
from docflow.documents.tables import documents, register_entries
from docflow.kernel.actor import Actor
from docflow.kernel.errors import FieldProblem, InvalidInputError, NotFoundError
from docflow.people import access
from docflow.people.seed_models import Book, Terms
from docflow.people.tables import people, units
from docflow.storage.sealing import HIDDEN

CHUNK: Final = 500
"""Rows of a register read at once where all are wanted."""

_YEAR: Final = re.compile(r"(?!0000)\d{4}", re.ASCII)
_KEY: Final = re.compile(r"(\d{1,9}):(.{1,64})", re.ASCII | re.DOTALL)
_PLACE: Final = ("id", "series", "number", "readable", "classified", "direction")

_voider = people.alias("voider")
_assignee = people.alias("assignee")
_ENTRY: Final = (
    sa.select(
        register_entries,
        _voider.c.login.label("voider_login"),
        _voider.c.name.label("voider_name"),
        documents.c.direction,
        documents.c.classification,
        documents.c.type_code,
        documents.c.subject,
        documents.c.state,
        documents.c.urgency,
        documents.c.fields,
        documents.c.issuer,
        documents.c.issuer_symbol,
        documents.c.issuer_date,
        documents.c.created_at,
        units.c.name.label("unit_name"),
        _assignee.c.name.label("assignee_name"),
    )
    .join(documents, documents.c.id == register_entries.c.document_id)
    .join(units, units.c.id == documents.c.unit_id)
    .outerjoin(_voider, _voider.c.id == register_entries.c.voided_by)
    .outerjoin(_assignee, _assignee.c.id == documents.c.assignee_id)
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Entries of one book in one period, numbered from `first` to `last` if those are given."""

    book: Book
    period: Period
    first: date | None = None
    last: date | None = None

    def condition(self, organisation: str) -> sa.ColumnElement[bool]:
        """Return the SQL condition on `register_entries`."""
        table = register_entries.c
        conditions = [
            table.organisation == organisation,
            table.book == self.book.code,
            table.period == self.period.key,
        ]
        if self.first is not None:
            conditions.append(table.numbered_on >= self.first)
        if self.last is not None:
            conditions.append(table.numbered_on <= self.last)
        return sa.and_(*conditions)


def periods_of(book: Book, today: date) -> tuple[Period | None, list[Period]]:
    """Return the period that a book is in (none outside of every term), and its terms if it has."""
    if not isinstance(book.period, Terms):
        return period_of(book, today), []
    terms = [Period(term.key, term.starts, term.ends) for term in book.period.terms]
    inside = [p for p in terms if p.starts <= today and (p.ends is None or today <= p.ends)]
    return next(iter(inside), None), terms


def choose(
    desk: Desk,
    actor: Actor,
    book_code: str,
    period: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Selection:
    """Return what a reader names: a book, a period (the current one if None), and days within it.

    Raises:
        ForbiddenError: if the actor may not read registers.
        NotFoundError: if there is no such book (code `book-not-found`).
        InvalidInputError: if the book has no such period (code `unknown-period`), or the days are
            in the wrong order.
    """
    access.require(actor, access.Permission.REGISTER_READ)
    catalogue = desk.catalogue
    if not catalogue.has_book(book_code):
        known = [book.code for book in catalogue.books]
        raise NotFoundError(
            f"There is no book {book_code!r}; {hint(book_code, known)}", code="book-not-found"
        )
    book = catalogue.book(book_code)
    if first is not None and last is not None and last < first:
        raise InvalidInputError(
            f"The last day ({last}) lies before the first ({first}).",
            fields=[FieldProblem("query:to", "not before `from`")],
        )
    return Selection(book, _period(desk, book, period), first, last)


def _period(desk: Desk, book: Book, key: str | None) -> Period:
    if key is None:
        return period_of(book, desk.catalogue.today(desk.database.clock.now()))
    if not isinstance(book.period, Terms):
        if _YEAR.fullmatch(key):
            return period_of(book, date(int(key), 1, 1))
        wanted = "a year, as 2026"
    else:
        for term in book.period.terms:
            if term.key == key:
                return Period(term.key, term.starts, term.ends)
        wanted = f"one of {', '.join(term.key for term in book.period.terms)}"
    raise InvalidInputError(
        f"The book {book.code!r} has no period {key!r}; name {wanted}.",
        code="unknown-period",
        fields=[FieldProblem("query:period", wanted)],
    )


def key_of(row: Row) -> str:
    """Return the place of a row in its register, to go on after it."""
    return f"{row['number']}:{row['series']}"


def find(
    desk: Desk, actor: Actor, selection: Selection, *, after: str | None, limit: int
) -> list[Row]:
    """Return up to `limit` entries in order of series and number, hidden ones veiled.

    Args:
        desk: the room's tools.
        actor: who asks.
        selection: which entries.
        after: the place of the last row of the page before, as `key_of` gives it.
        limit: how many.

    Raises:
        ForbiddenError: if the actor may not read registers.
        InvalidInputError: if `after` is no such place (code `bad-cursor`).
    """
    access.require(actor, access.Permission.REGISTER_READ)
    statement = _ENTRY.add_columns(access.readable(actor, documents).label("readable"))
    statement = statement.where(selection.condition(desk.catalogue.organisation))
    if after is not None:
        here = sa.tuple_(register_entries.c.series, register_entries.c.number)
        statement = statement.where(here > _after(after))
    statement = statement.order_by(register_entries.c.series, register_entries.c.number)
    with desk.database.read() as connection:
        found = all_rows(connection, statement.limit(limit))
    is_sealed = desk.catalogue.is_sealed
    told = [row | {"classified": is_sealed(row["classification"])} for row in found]
    return [_veiled(row) if not row["readable"] else _short(row) for row in told]


def find_number(desk: Desk, actor: Actor, selection: Selection, series: str, number: int) -> Row:
    """Return one entry of a book.

    Raises:
        NotFoundError: if there is none (code `number-not-found`).
    """
    before = find(desk, actor, selection, after=f"{number - 1}:{series}", limit=1)
    if not before or (before[0]["series"], before[0]["number"]) != (series, number):
        raise no_entry(selection, number)
    return before[0]


def no_entry(selection: Selection, number: int) -> NotFoundError:
    """Return what is answered for a number that was never given."""
    return NotFoundError(
        f"The number {number} was never given in {selection.book.code!r} {selection.period.key}.",
        code="number-not-found",
    )


def chunks(desk: Desk, actor: Actor, selection: Selection) -> Iterator[list[Row]]:
    """Yield all entries in lists of up to `CHUNK`, each read in a transaction of its own.

    Entries are only ever added, after the last of their series, or voided in their place; so what
    is yielded is the register as it stands while it is read, without doubles or gaps.
    """
    after: str | None = None
    while True:
        found = find(desk, actor, selection, after=after, limit=CHUNK)
        if found:
            yield found
        if len(found) < CHUNK:
            return
        after = key_of(found[-1])


def count(desk: Desk, selection: Selection, most: int) -> int:
    """Return how many entries there are, at most `most` + 1."""
    inner = sa.select(register_entries.c.id)
    inner = inner.where(selection.condition(desk.catalogue.organisation)).limit(most + 1)
    statement = sa.select(sa.func.count()).select_from(inner.subquery())
    with desk.database.read() as connection:
        return int(connection.execute(statement).scalar_one())


def _after(place: str) -> Any:
    match = _KEY.fullmatch(place)
    if match is None:
        raise InvalidInputError(
            "The cursor is not one that this list gave.",
            code="bad-cursor",
            fields=[FieldProblem("query:cursor", "use next_cursor of the page before")],
        )
    return sa.tuple_(sa.literal(match[2]), sa.literal(int(match[1])))


def _short(row: Row) -> Row:
    """Leave out of a classified document's row what only its own page shows, where reading is recorded."""
    if not row["classified"]:
        return row
    reason = None if row["void_reason"] is None else HIDDEN
    return row | {"subject": None, "fields": {}, "void_reason": reason}


def _veiled(row: Row) -> Row:
    """Leave of a row what everyone who reads registers may know: that its number is used."""
    return {name: value if name in _PLACE else None for name, value in row.items()}
