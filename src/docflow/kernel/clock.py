"""Time is injected: every component that needs "now" holds a `Clock`."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Gives the current instant, always timezone-aware UTC."""

    def now(self) -> datetime:
        """Return the current instant in UTC, with microseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to; for tests and replays."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the set instant."""
        return self._now

    def advance(self, delta: timedelta) -> None:
        """Move the clock forward by `delta`."""
        self._now += delta


def rfc3339(moment: datetime) -> str:
    """Format an aware instant as RFC 3339 UTC with microseconds and a `Z`.

    Raises:
        ValueError: if `moment` has no timezone.
    """
    if moment.tzinfo is None:
        raise ValueError("refusing to format a naive datetime")
    # not strftime: its %Y leaves out the leading zeros of a year before 1000
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Parse what `rfc3339` wrote (and any RFC 3339 instant with an offset).

    Raises:
        ValueError: if the text is not an instant or has no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the instant has no offset")
    return moment.astimezone(UTC)
