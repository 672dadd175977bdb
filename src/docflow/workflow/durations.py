"""Durations as workflow files write them: `3d`, `4h`, `30m`, `24h wall`, and `-4h` for reminders.

Rules:
1. A duration is one whole number and one unit: `d` days, `h` hours, `m` minutes.
2. It is office time (working calendar) unless `wall` follows; a wall day is 24 hours.
3. Zero is no duration. The longest is 3660 days: a deadline beyond ten years is a slip of the pen.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

PATTERN: Final = r"^-?[1-9][0-9]{0,6}[dhm]( wall)?$"
_PATTERN = re.compile(r"(-?[1-9][0-9]{0,6})([dhm])( wall)?")
_LONGEST = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Duration:
    """An amount of time: `amount` whole units, negative for "before"."""

    amount: int
    unit: str  # "d", "h" or "m"
    wall: bool = False

    @property
    def is_negative(self) -> bool:
        """Tell whether it points back in time."""
        return self.amount < 0

    def as_timedelta(self) -> timedelta:
        """Return the wall-clock length; for office hours and minutes, the working time."""
        match self.unit:
            case "d":
                return timedelta(days=self.amount)
            case "h":
                return timedelta(hours=self.amount)
            case _:
                return timedelta(minutes=self.amount)

    def __str__(self) -> str:
        """Return the form that a workflow file has."""
        return f"{self.amount}{self.unit}{' wall' if self.wall else ''}"


def parse_duration(text: str) -> Duration:
    """Read a duration.

    Raises:
        ValueError: with a sentence, if `text` is not a duration or is too long.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is not a duration; write a whole number and d, h or m, as in 3d, 4h or "
            "30m for office time, or 24h wall for time on the clock"
        )
    duration = Duration(int(match[1]), match[2], match[3] is not None)
    if abs(duration.as_timedelta()) > _LONGEST:
        raise ValueError(f"{text!r} is longer than {_LONGEST.days} days")
    return duration
