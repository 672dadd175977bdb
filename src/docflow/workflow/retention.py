"""How long signed files are kept: `10y`, `90d`, `permanent`, or as the document's type says.

Rules:
1. A retention counts from the moment at which a document reaches the state that has it, in calendar
   years or days; a day that a year lacks (29 February) becomes the next one, so it is never shorter.
2. `permanent` is a hundred years: a far date that every object store takes; the record says the date.
3. The longest written time is a hundred years too.
"""

import difflib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

OF_KIND: Final = "kind.retention"
"""What a workflow writes to have the document's type say it."""

PERMANENT: Final = "permanent"
PATTERN: Final = r"^([1-9][0-9]{0,2}y|[1-9][0-9]{0,4}d|permanent)$"
_PATTERN = re.compile(r"([1-9][0-9]{0,2})y|([1-9][0-9]{0,4})d|permanent")
_MOST_YEARS, _MOST_DAYS = 100, 36_500


@dataclass(frozen=True, slots=True)
class Retention:
    """A time to keep files: whole years and days; `permanent` if it is meant to be for ever."""

    years: int = 0
    days: int = 0
    permanent: bool = False

    def until(self, since: datetime) -> datetime:
        """Return the instant until which what began at `since` is kept."""
        year = since.year + self.years
        try:
            moment = since.replace(year=year)
        except ValueError:  # 29 February
            moment = since.replace(year=year, month=3, day=1)
        return moment + timedelta(days=self.days)

    def __str__(self) -> str:
        """Return the form that files have."""
        if self.permanent:
            return PERMANENT
        return f"{self.years}y" if self.years else f"{self.days}d"


def parse_retention(written: object, *, of_kind: bool = False) -> Retention | None:
    """Read a retention; None for `kind.retention`, which only a workflow may write.

    Raises:
        ValueError: with a sentence, if it is none.
    """
    forms = "10y, 90d or permanent" + (f", or {OF_KIND}" if of_kind else "")
    if not isinstance(written, str):
        raise ValueError(f"{written!r} is not a retention; write {forms}")
    if of_kind and written == OF_KIND:
        return None
    match = _PATTERN.fullmatch(written)
    if match is None:
        known = [PERMANENT, OF_KIND] if of_kind else [PERMANENT]
        near = difflib.get_close_matches(written, known, n=1, cutoff=0.5)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"{written[:40]!r} is not a retention; {guess}write {forms}")
    if match[0] == PERMANENT:
        return Retention(years=_MOST_YEARS, permanent=True)
    years, days = int(match[1] or 0), int(match[2] or 0)
    if years > _MOST_YEARS or days > _MOST_DAYS:
        raise ValueError(f"{written!r} is over {_MOST_YEARS} years; write {PERMANENT}")
    return Retention(years, days)
