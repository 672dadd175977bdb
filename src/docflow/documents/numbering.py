"""How numbers are written and counted: pure functions over a book of the office seed.

Rules [ND30 Art 15, Annex I 2.3]: counting starts anew in each period of the book (a calendar year,
or a committee's term); a type that is not written in symbols (công văn) uses the book's untyped
form; the book's formats decide how many digits a number has. A counter is keyed by organisation,
book, period and series; this module names the period and the series.
"""

from dataclasses import dataclass
from datetime import date

from docflow.kernel.errors import InvalidInputError
from docflow.people.seed_models import Book, DocumentType, Groups, Terms

SHARED = "shared"
UNTYPED = "untyped"


@dataclass(frozen=True, slots=True)
class Period:
    """One period of a book: its key, its first day and its last day (none: it runs on)."""

    key: str
    starts: date
    ends: date | None


def period_of(book: Book, day: date) -> Period:
    """Return the period of `book` that `day`, a day in the office's timezone, belongs to.

    Raises:
        InvalidInputError: `no-period`, if the book counts per term and no term has that day.
    """
    if not isinstance(book.period, Terms):
        return Period(str(day.year), date(day.year, 1, 1), date(day.year, 12, 31))
    for term in book.period.terms:
        if term.starts <= day and (term.ends is None or day <= term.ends):
            return Period(term.key, term.starts, term.ends)
    known = ", ".join(
        f"{term.key} ({term.starts} to {term.ends or 'now'})" for term in book.period.terms
    )
    raise InvalidInputError(
        f"the book {book.code!r} counts per term and no term has {day.isoformat()}; it has {known}",
        code="no-period",
        rule="number-within-term",
        satisfied_by="a term in the office seed that has this day",
    )


def series_of(book: Book, document_type: DocumentType | None) -> str:
    """Name the series within `book` that documents of this type are counted in.

    A document of no stated type (incoming mail) counts in the shared series. Types that are not
    written in symbols count together, for their symbols would otherwise be the same.
    """
    if book.series == "shared" or document_type is None:
        return SHARED
    if isinstance(book.series, Groups):
        for group, codes in book.series.groups.items():
            if document_type.code in codes:
                return group
        return SHARED
    return document_type.code if document_type.symbol is not None else UNTYPED


def format_number(book: Book, number: int) -> str:
    """Write a bare `number` as the book does, for a register or an arrival stamp: `05`.

    Raises:
        InvalidInputError: `number-below-first`, if the number is below the book's first number.
    """
    _check_number(book, number)
    return book.number_format.format(number=number)


def format_symbol(
    book: Book, number: int, *, type_code: str | None, office: str, unit: str, year: int
) -> str:
    """Write the number and symbol of a document: `15/QĐ-BNV`, or `05/BNV-VP` for a công văn.

    Args:
        book: the register that gives the number; an incoming one has no symbols of its own
            (the author's stays) and writes the bare number.
        number: the number within period and series.
        type_code: how the type is written in symbols (`DocumentType.symbol`); None where it is
            not, which chooses the untyped form.
        office: the organisation's code; the book's own `office` stands for it where it has one.
        unit: how the drafting unit is written in symbols (`Unit.in_symbol`).
        year: the year of the document's date.

    Raises:
        InvalidInputError: `number-below-first`, if the number is below the book's first number.
    """
    _check_number(book, number)
    form = book.symbol_format if type_code is not None else book.symbol_format_untyped
    return (form or book.number_format).format(
        number=number, type=type_code, office=book.office or office, unit=unit, year=year
    )


def _check_number(book: Book, number: int) -> None:
    if number < book.first_number:
        raise InvalidInputError(
            f"{number} is below {book.first_number}, the first number of the book {book.code!r}",
            code="number-below-first",
            rule="first-number",
            satisfied_by=f"a number from {book.first_number} on",
        )
