"""What a decision asks the service to do, as data. The service applies all of it or nothing.

Rules:
1. `decide` gives effects in the order in which they are to be applied.
2. None of them needs the workflow file to be understood.
"""

import datetime
from dataclasses import dataclass

from docflow.workflow.places import SignPlace


@dataclass(frozen=True, slots=True)
class AllocateNumber:
    """Give the document the next number of `book`; `date` is the number's date, None for today."""

    book: str
    date: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class VoidNumber:
    """Void the document's number in its register; it is never given again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Assign the document to a person."""

    person_id: str


@dataclass(frozen=True, slots=True)
class Route:
    """Route the document to a unit."""

    unit_id: str


@dataclass(frozen=True, slots=True)
class Sign:
    """Have the main file signed by a job, which then completes the transition.

    `as_` is "person" (whoever fired the transition) or "organisation" (the seal); `level` is a
    PAdES baseline level, None for the organisation's own; `place` says what goes on the page before a
    personal signature; `fallback` is the lower level that may be made instead, in the end.
    """

    as_: str
    level: str | None
    place: SignPlace | None = None
    fallback: str | None = None


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the signed and sealed file to the recipients."""


@dataclass(frozen=True, slots=True)
class DropSignatures:
    """The file may change from here on: signed versions no longer are the current file."""


Effect = AllocateNumber | VoidNumber | Assign | Route | Sign | Deliver | DropSignatures
