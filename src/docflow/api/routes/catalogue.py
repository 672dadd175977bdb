"""The office's lists, for front ends: types, urgencies, classifications, books, working calendars."""

from datetime import date, datetime, time
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field, WithJsonSchema

from docflow.api.context import Caller, CallerDep
from docflow.api.schemas.common import Output
from docflow.documents.catalogue import Catalogue
from docflow.documents.register_views import periods_of
from docflow.people import access
from docflow.people.seed_base import Name
from docflow.people.seed_calendar import WorkingCalendar
from docflow.people.seed_models import Book, Groups

router = APIRouter(prefix="/v1", tags=["catalogue"])


class Words(Output):
    """A name in the languages that the office writes."""

    vi: str
    en: str

    @classmethod
    def of(cls, name: Name) -> "Words":
        """Build from the office's seed."""
        return cls(vi=name.vi, en=name.en)


class DocumentTypeOut(Output):
    """A type of document."""

    code: str
    name: Words
    symbol: str | None = Field(description="How a document symbol writes it; null: not at all.")


class MarkOut(Output):
    """A mark on the page; its size in millimetres."""

    text: str
    width: int
    height: int


class UrgencyOut(Output):
    """A level of urgency."""

    code: str
    name: Words
    mark: MarkOut | None


class ClassificationOut(Output):
    """A level of classification, from the lowest to the highest."""

    code: str
    name: Words
    allowed: bool = Field(description="Documents of this level may be posted here.")


class PeriodOut(Output):
    """A period in which a book counts; both days belong to it."""

    key: str
    starts: date
    ends: date | None


class BookOut(Output):
    """A register."""

    code: str
    direction: Literal["incoming", "outgoing"]
    title: Words
    counts: Literal["calendar_year", "terms"]
    series: str = Field(description="What counts together: shared, per_type or groups.")
    groups: dict[str, list[str]] = Field(description="Codes of types by series, for groups.")
    number_format: str
    symbol_format: str | None
    symbol_format_untyped: str | None
    period: PeriodOut | None = Field(description="The current one; null outside of every term.")
    periods: list[PeriodOut] = Field(description="The terms of a book that counts per term.")


class HolidayOut(Output):
    """A day off."""

    date: date
    name: Words


# OpenAPI's format `time` is a moment with an offset; these are hours of the calendar's own timezone
OfficeTime = Annotated[
    time, WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]$"})
]


class CalendarOut(Output):
    """When the office works: hours of each weekday, local time, and the days off."""

    code: str
    timezone: str
    week: dict[str, list[tuple[OfficeTime, OfficeTime]]]
    holidays: list[HolidayOut]


class CalendarsOut(Output):
    """The office's clock and its working calendars."""

    timezone: str
    now: datetime
    today: date = Field(description="The office's calendar day.")
    calendars: list[CalendarOut]


def _catalogue(caller: Caller) -> Catalogue:
    """Give the lists to whoever may read the office's directory."""
    access.require(caller.actor, access.Permission.DIRECTORY_READ)
    return caller.services.catalogue


@router.get("/document-types", response_model=list[DocumentTypeOut], summary="Types of document")
def list_document_types(caller: CallerDep) -> list[DocumentTypeOut]:
    """List the types of document."""
    return [
        DocumentTypeOut(code=item.code, name=Words.of(item.name), symbol=item.symbol)
        for item in _catalogue(caller).types
    ]


@router.get("/urgencies", response_model=list[UrgencyOut], summary="Levels of urgency")
def list_urgencies(caller: CallerDep) -> list[UrgencyOut]:
    """List the levels of urgency, with the mark that each puts on the page."""
    return [
        UrgencyOut(
            code=item.code,
            name=Words.of(item.name),
            mark=MarkOut(**item.mark.model_dump()) if item.mark is not None else None,
        )
        for item in _catalogue(caller).seed.urgency_levels
    ]


@router.get(
    "/classifications", response_model=list[ClassificationOut], summary="Levels of classification"
)
def list_classifications(caller: CallerDep) -> list[ClassificationOut]:
    """List the levels of classification, with which of them may be posted here."""
    levels = _catalogue(caller).seed.classification
    allowed = levels.allowed()
    return [
        ClassificationOut(code=item.code, name=Words.of(item.name), allowed=item.code in allowed)
        for item in levels.levels
    ]


@router.get("/books", response_model=list[BookOut], summary="Registers")
def list_books(caller: CallerDep) -> list[BookOut]:
    """List the books, with how each counts and the period that it is in."""
    catalogue = _catalogue(caller)
    today = catalogue.today(caller.services.clock.now())
    return [_book(book, today) for book in catalogue.books]


def _book(book: Book, today: date) -> BookOut:
    current, terms = periods_of(book, today)
    groups = book.series.groups if isinstance(book.series, Groups) else {}
    return BookOut(
        code=book.code,
        direction=book.direction,
        title=Words.of(book.title),
        counts="calendar_year" if isinstance(book.period, str) else "terms",
        series="groups" if isinstance(book.series, Groups) else book.series,
        groups={name: list(codes) for name, codes in groups.items()},
        number_format=book.number_format,
        symbol_format=book.symbol_format,
        symbol_format_untyped=book.symbol_format_untyped,
        period=PeriodOut(key=current.key, starts=current.starts, ends=current.ends)
        if current is not None
        else None,
        periods=[PeriodOut(key=p.key, starts=p.starts, ends=p.ends) for p in terms],
    )


@router.get("/calendar", response_model=CalendarsOut, summary="Office time")
def get_calendar(caller: CallerDep) -> CalendarsOut:
    """Tell the office's time and when it works: what durations in workflows count in."""
    catalogue = _catalogue(caller)
    now = caller.services.clock.now()
    return CalendarsOut(
        timezone=catalogue.seed.organisation.timezone,
        now=now,
        today=catalogue.today(now),
        calendars=[_calendar(code, item) for code, item in catalogue.seed.calendars.items()],
    )


def _calendar(code: str, calendar: WorkingCalendar) -> CalendarOut:
    return CalendarOut(
        code=code,
        timezone=calendar.timezone,
        week={day: list(hours) for day, hours in calendar.week.items()},
        holidays=[HolidayOut(date=day.date, name=Words.of(day.name)) for day in calendar.holidays],
    )
