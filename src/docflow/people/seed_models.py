"""What an office seed says, as frozen values: one class for each kind of thing in `office.yaml`.

Rules: nothing here reads a file or a database, and nothing is optional by accident: an unknown or
a missing name is an error, a wrong type is not coerced. Rules about two things live in `seed.py`.
"""

import re
import string
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from docflow.people.seed_base import Code, Login, Many, Name, Slug, Text, Timezone
from docflow.people.seed_base import Frozen as _Frozen
from docflow.people.seed_calendar import WorkingCalendar
from docflow.people.seed_retention import RetentionText

Role = Literal["clerk", "specialist", "head", "leader", "auditor", "administrator"]
Direction = Literal["incoming", "outgoing"]

PLACEHOLDERS = ("number", "type", "office", "unit", "year")
_DATE_PARTS = ("day", "month", "year")
_NUMBER_SPEC = re.compile(r"(?:0[1-9])?d?")


class Stamp(_Frozen):
    """How number and date are written on the page: the words around `{symbol}` and the date."""

    number: Text
    date: Text

    @model_validator(mode="after")
    def _complete(self) -> "Stamp":
        for text, known in ((self.number, ("symbol",)), (self.date, ("place", *_DATE_PARTS))):
            names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
            if unknown := sorted(set(names) - set(known)):
                raise ValueError(f"the placeholder {{{unknown[0]}}} is none of {', '.join(known)}")
        if "{symbol}" not in self.number:
            raise ValueError("number lacks {symbol}, so the number would not be on the page")
        if missing := [part for part in _DATE_PARTS if f"{{{part}}}" not in self.date]:
            raise ValueError(f"date lacks {{{missing[0]}}}")
        return self


class Organisation(_Frozen):
    """The organisation whose office this is; `superior` is the line above its name on a page."""

    code: Code
    name: Name
    superior: Name | None = None
    place: Text
    stamp: Stamp
    timezone: Timezone


class Unit(_Frozen):
    """A unit (phòng ban) in the tree; the root has no parent."""

    code: Code
    name: Name
    parent: Code | None = None
    symbol: Code | None = None

    @property
    def in_symbol(self) -> str:
        """How the unit is written in a document symbol."""
        return self.symbol or self.code


class Office(_Frozen):
    """One office that a person holds: a role in a unit."""

    unit: Code
    role: Role


class Clearance(_Frozen):
    """Up to which level someone is cleared, and the first day (in the office) that it counts no more."""

    level: Slug
    until: date


class Person(_Frozen):
    """A person who works here, the offices that they hold, and what they are cleared for."""

    login: Login
    name: Text
    offices: Annotated[Many[Office], Field(min_length=1)]
    clearance: Clearance | None = None


class System(_Frozen):
    """An integrating system, which acts in the name of a unit."""

    login: Login
    name: Name
    unit: Code
    clearance: Clearance | None = None


class Recipient(_Frozen):
    """Where documents go; an internal one may be a unit or a person of this office."""

    code: Code
    name: Name
    kind: Literal["organisation", "person"]
    external: bool
    unit: Code | None = None
    login: Login | None = None
    certificate: Text | None = None  # a file beside the office file: what is encrypted to


class DocumentType(_Frozen):
    """A type of document; `symbol` is null where the type is not written in the symbol."""

    code: Code
    name: Name
    symbol: Code | None = None
    retention: RetentionText | None = None  # of its files; the office's own where left out

    @model_validator(mode="before")
    @classmethod
    def _symbol_is_the_code(cls, data: Any) -> Any:
        if isinstance(data, dict) and "symbol" not in data:
            return {**data, "symbol": data.get("code")}
        return data


class Mark(_Frozen):
    """A red mark on the page: its text and its size in millimetres."""

    text: Text
    width: Annotated[int, Field(ge=5, le=100)]
    height: Annotated[int, Field(ge=5, le=50)]


class UrgencyLevel(_Frozen):
    """A level of urgency and, above the normal one, its mark."""

    code: Slug
    name: Name
    mark: Mark | None = None


class ClassificationLevel(_Frozen):
    """A level of classification, named."""

    code: Slug
    name: Name


class Classification(_Frozen):
    """The levels, lowest first; the highest that may be handled here; the lowest that is sealed."""

    levels: Annotated[Many[ClassificationLevel], Field(min_length=1)]
    ceiling: Slug
    sealed_from: Slug = "confidential"

    def codes(self) -> tuple[str, ...]:
        """The codes of all levels, lowest first."""
        return tuple(level.code for level in self.levels)

    def sealing(self) -> tuple[str, ...]:
        """The levels that may be handled here and are sealed, lowest first."""
        return tuple(code for code in self.allowed() if self.is_sealed(code))

    def is_sealed(self, code: str) -> bool:
        """Whether documents of this level are sealed; a level that is not known counts as sealed."""
        codes = self.codes()
        return code not in codes or codes.index(code) >= codes.index(self.sealed_from)

    def cleared(self, up_to: str | None) -> frozenset[str]:
        """What a person may see: what needs no clearance, and up to the level of their own."""
        codes = self.codes()
        last = codes.index(up_to) + 1 if up_to in codes else 0
        return frozenset(codes[: max(last, codes.index(self.sealed_from))])

    def higher(self, one: str, other: str) -> str:
        """The higher of two levels."""
        codes = self.codes()
        return max(one, other, key=codes.index)

    def allowed(self) -> tuple[str, ...]:
        """The codes of the levels up to and including the ceiling, lowest first."""
        codes = [level.code for level in self.levels]
        return tuple(codes[: codes.index(self.ceiling) + 1])


class Term(_Frozen):
    """A committee's term; both days belong to it, and without a last day it runs on."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
    name: Name
    starts: date = Field(alias="from")
    ends: date | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> "Term":
        if self.ends is not None and self.ends < self.starts:
            raise ValueError(f"the term ends ({self.ends}) before it starts ({self.starts})")
        return self


class Terms(_Frozen):
    """A book that counts per term; the terms do not overlap."""

    terms: Annotated[Many[Term], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> "Terms":
        ordered = sorted(self.terms, key=lambda term: term.starts)
        for earlier, later in pairwise(ordered):
            if earlier.ends is None or later.starts <= earlier.ends:
                raise ValueError(
                    f"the terms {earlier.key} and {later.key} overlap; a day belongs to one term"
                )
        if len({term.key for term in self.terms}) < len(self.terms):
            raise ValueError("two terms have the same key")
        return self


class Groups(_Frozen):
    """A book that counts per group of types; what no group names counts together."""

    groups: dict[Slug, Many[Code]]


def _text_or_mapping(value: Any) -> str:
    return "?text" if isinstance(value, str) else "?mapping"


# The tags keep errors to the alternative that was meant; `seed.py` drops them from places.
Counting = Annotated[
    Annotated[Literal["calendar_year"], Tag("?text")] | Annotated[Terms, Tag("?mapping")],
    Discriminator(_text_or_mapping),
]
Series = Annotated[
    Annotated[Literal["shared", "per_type"], Tag("?text")] | Annotated[Groups, Tag("?mapping")],
    Discriminator(_text_or_mapping),
]


class Book(_Frozen):
    """A register (sổ): what it counts, over which period, and how its numbers are written."""

    code: Slug
    direction: Direction
    title: Name
    office: Code | None = None
    period: Counting
    series: Series
    number_format: Text
    symbol_format: Text | None = None
    symbol_format_untyped: Text | None = None
    first_number: Annotated[int, Field(ge=1)] = 1

    @field_validator("number_format")
    @classmethod
    def _bare_number(cls, value: str) -> str:
        check_format(value, known=("number",))
        return value

    @field_validator("symbol_format", "symbol_format_untyped")
    @classmethod
    def _well_formed(cls, value: str | None) -> str | None:
        if value is not None:
            check_format(value)
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Book":
        symbols = (self.symbol_format, self.symbol_format_untyped)
        if self.direction == "incoming":
            if symbols != (None, None):
                raise ValueError(
                    "an incoming document keeps its author's symbol; "
                    "leave symbol_format and symbol_format_untyped out"
                )
            return self
        if None in symbols:
            raise ValueError("an outgoing book needs symbol_format and symbol_format_untyped")
        if self.series != "shared" and "{type" not in str(self.symbol_format):
            raise ValueError(
                "symbol_format lacks {type}, so two series of this book would give the same symbol"
            )
        return self


class OfficeSeed(_Frozen):
    """A whole office, as `office.yaml` describes it."""

    organisation: Organisation
    units: Annotated[Many[Unit], Field(min_length=1)]
    people: Annotated[Many[Person], Field(min_length=1)]
    systems: Many[System] = ()
    recipients: Many[Recipient] = ()
    document_types: Annotated[Many[DocumentType], Field(min_length=1)]
    retention: RetentionText | None = None  # of types that say none themselves
    urgency_levels: Annotated[Many[UrgencyLevel], Field(min_length=1)]
    classification: Classification
    books: Annotated[Many[Book], Field(min_length=1)]
    calendars: dict[Slug, WorkingCalendar]


def check_format(text: str, known: tuple[str, ...] = PLACEHOLDERS) -> None:
    """Check that `text` is a number or symbol format that gives distinct numbers.

    Raises:
        ValueError: on an unknown placeholder, a width on anything but the number, unbalanced
            braces, or a format without {number}, which would give every document the same one.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"unbalanced braces ({error})") from error
    names = set()
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in known:
            raise ValueError(f"the placeholder {{{name}}} is none of {', '.join(known)}")
        if conversion or (spec and (name != "number" or not _NUMBER_SPEC.fullmatch(spec))):
            raise ValueError("only the number may have a width, written like {number:02}")
        names.add(name)
    if "number" not in names:
        raise ValueError("{number} is missing, so all documents would get the same one")
