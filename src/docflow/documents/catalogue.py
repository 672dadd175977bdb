"""The office's lists, indexed: types, urgency, classification, books, calendars. From the seed.

Rule: what is legal is data. Nothing in the code knows a type's code or a book's period.
"""

import difflib
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.people.seed_models import Book, DocumentType, OfficeSeed
from docflow.workflow.durations import Duration
from docflow.workflow.retention import Retention

T = TypeVar("T")


class Catalogue:
    """The lists of one office, by code."""

    def __init__(self, seed: OfficeSeed) -> None:
        self.seed = seed
        self.organisation = seed.organisation.code
        self.zone = ZoneInfo(seed.organisation.timezone)
        self._types = {item.code: item for item in seed.document_types}
        self._urgencies = {item.code: item for item in seed.urgency_levels}
        self._levels = seed.classification.codes()
        self._allowed = seed.classification.allowed()
        self._books = {book.code: book for book in seed.books}
        self._unit_symbols = {unit.code: unit.in_symbol for unit in seed.units}
        self._calendars = {
            code: calendar.office_calendar() for code, calendar in seed.calendars.items()
        }

    def today(self, now: datetime) -> date:
        """Return the office's calendar day at an instant."""
        return now.astimezone(self.zone).date()

    def document_type(self, code: str) -> DocumentType:
        """Return a type of document.

        Raises:
            InvalidInputError: naming the nearest type there is.
        """
        return _pick(self._types, code, "/type", "document type")

    def retention(self, code: str) -> Retention | None:
        """Return how long files of a type are kept, None if the office file does not say."""
        kind = self._types.get(code)
        return (kind.retention if kind is not None else None) or self.seed.retention

    def check_urgency(self, code: str) -> str:
        """Return an urgency's code if there is one."""
        _pick(self._urgencies, code, "/urgency", "urgency")
        return code

    def check_classification(self, code: str) -> str:
        """Return a classification's code if documents of it may be posted here.

        Raises:
            InvalidInputError: if it is unknown, or above what this deployment may hold.
        """
        _pick(dict.fromkeys(self._levels), code, "/classification", "classification")
        if code not in self._allowed:
            highest = self._allowed[-1]
            raise InvalidInputError(
                f"Documents classified {code!r} are refused: this instance holds nothing above "
                f"{highest!r}, because the law may forbid such a document on a networked machine. "
                "Keep it on paper.",
                code="classification-refused",
                rule="classification-ceiling",
                satisfied_by=f"Classify the document {highest!r} or lower, if that is right.",
                fields=[FieldProblem("/classification", f"at most {highest}")],
            )
        return code

    def is_sealed(self, code: str) -> bool:
        """Tell whether documents of a classification are sealed and need a clearance."""
        return self.seed.classification.is_sealed(code)

    @property
    def types(self) -> tuple[DocumentType, ...]:
        """Every type of document."""
        return tuple(self._types.values())

    @property
    def books(self) -> tuple[Book, ...]:
        """Every book."""
        return tuple(self._books.values())

    def book(self, code: str) -> Book:
        """Return a book.

        Raises:
            InvalidInputError: naming the nearest book there is.
        """
        return _pick(self._books, code, "/book", "book")

    def has_book(self, code: str) -> bool:
        """Tell whether there is a book of this code."""
        return code in self._books

    def unit_symbol(self, unit_code: str) -> str:
        """Return how a unit is written in symbols; its code if the seed does not say."""
        return self._unit_symbols.get(unit_code, unit_code)

    def has_calendar(self, code: str) -> bool:
        """Tell whether there is a working calendar of this code."""
        return code in self._calendars

    def due_at(self, calendar: str, start: datetime, duration: Duration | None) -> datetime | None:
        """Return when something that began at `start` is due, None if it has no duration."""
        if duration is None:
            return None
        return self._calendars[calendar].add(start, duration)

    def remind_at(
        self, calendar: str, due: datetime | None, before: Sequence[Duration]
    ) -> tuple[datetime, ...]:
        """Return when to remind of something due: each duration is negative, before `due`."""
        if due is None:
            return ()
        return tuple(sorted(self._calendars[calendar].add(due, each) for each in before))


def _pick(items: dict[str, T], code: str, pointer: str, what: str) -> T:
    try:
        return items[code]
    except KeyError:
        raise InvalidInputError(
            f"There is no {what} {code!r}; {hint(code, items)}",
            code=f"unknown-{what.replace(' ', '-')}",
            fields=[FieldProblem(pointer, f"one of {', '.join(items)}")],
        ) from None


def hint(written: str, known: Iterable[str]) -> str:
    """Return a phrase naming the nearest known words."""
    names = list(known)
    near = difflib.get_close_matches(written, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(names)}."
