"""Office time: when the office works, and what "in three days" means there. Pure.

Rules:
1. The week gives each weekday its working hours as local wall-clock intervals, in order, neither
   empty nor overlapping; a day without hours, or named in `holidays`, is free.
2. A moment's place in office time is its working day and the share of that day's hours that has
   passed. Free time between two intervals is one single place.
3. `4h` and `30m` consume working hours and minutes. `1d` moves to the same share of the next
   working day's hours, so on equal days 10:00 Monday + 1d is 10:00 Tuesday, and a half day counts
   as a whole one ("one working day's hours as that day has them").
4. A sum lands on the earliest moment that has the place (17:00 at closing, not 07:30 the next day);
   a negative duration lands on the latest (07:30, not 17:00 the day before).
5. `wall` durations ignore all this.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from docflow.kernel.errors import ConfigurationError
from docflow.workflow.durations import Duration
from docflow.workflow.vocabulary import unknown

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DAY = timedelta(days=1)
_ZERO = timedelta(0)
_LONGEST_BREAK_DAYS = 366

_Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class OfficeCalendar:
    """The working calendar of an office.

    Args:
        timezone: an IANA name, as `Asia/Ho_Chi_Minh`.
        week: weekday (`mon` … `sun`) → intervals, as `[["07:30", "11:30"], ["13:30", "17:00"]]`.
        holidays: free days, as local dates.

    Raises:
        ConfigurationError: `calendar-invalid`, if the zone, a weekday or an hour is wrong, if hours
            are empty or overlap, or if no day of the week has hours.
    """

    timezone: str
    week: Mapping[str, Sequence[Sequence[str]]]
    holidays: frozenset[date] | set[date] = frozenset()
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _hours: tuple[tuple[tuple[int, int], ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check and index the hours (in minutes from local midnight)."""
        for name in self.week:
            if name not in WEEKDAYS:
                raise _invalid(unknown("weekday", str(name), WEEKDAYS))
        try:
            zone = ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise _invalid(
                f"{self.timezone!r} is not a time zone; write an IANA name as Asia/Ho_Chi_Minh"
            ) from error
        hours = tuple(_read_hours(name, self.week.get(name, ())) for name in WEEKDAYS)
        if not any(hours):
            raise _invalid("the week has no working hours at all; no deadline could ever be met")
        object.__setattr__(self, "holidays", frozenset(self.holidays))
        object.__setattr__(self, "_zone", zone)
        object.__setattr__(self, "_hours", hours)

    def open_intervals(self, day: date) -> list[_Interval]:
        """Return the working intervals of a local day as UTC instants, in order; [] if free."""
        if day in self.holidays:
            return []
        midnight = datetime.combine(day, time(0), self._zone)
        intervals: list[_Interval] = []
        for start, end in self._hours[day.weekday()]:
            opens = (midnight + timedelta(minutes=start)).astimezone(UTC)
            closes = (midnight + timedelta(minutes=end)).astimezone(UTC)
            if intervals:  # a clock change may fold two intervals over each other
                opens = max(opens, intervals[-1][1])
            if opens < closes:
                intervals.append((opens, closes))
        return intervals

    def is_open(self, moment: datetime) -> bool:
        """Tell whether the office works at `moment` (opening instant in, closing instant out)."""
        _aware(moment)
        return any(a <= moment < b for a, b in self.open_intervals(self._local_day(moment)))

    def working_time(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time between two instants; negative if `end` is earlier."""
        _aware(start)
        _aware(end)
        if end < start:
            return -self.working_time(end, start)
        total, day, last = _ZERO, self._local_day(start), self._local_day(end)
        while day <= last:
            for opens, closes in self.open_intervals(day):
                total += max(_ZERO, min(closes, end) - max(opens, start))
            day += _DAY
        return total

    def add(self, moment: datetime, duration: Duration) -> datetime:
        """Return `moment` plus office time (or wall time, if the duration says so), in UTC.

        Raises:
            ValueError: if `moment` is naive, or the result is out of the calendar's range (a year
                without one working day, or beyond what a datetime holds).
        """
        _aware(moment)
        moment = moment.astimezone(UTC)
        try:
            if duration.wall:
                return moment + duration.as_timedelta()
            if duration.unit == "d":
                return self._add_days(moment, duration.amount)
            return self._add_time(moment, duration.as_timedelta())
        except OverflowError as error:
            raise ValueError(f"{moment} {duration} is beyond the calendar") from error

    def _add_time(self, moment: datetime, left: timedelta) -> datetime:
        forward = left > _ZERO
        left = abs(left)
        for intervals in self._working_days(moment, forward=forward):
            for opens, closes in intervals if forward else reversed(intervals):
                if forward:
                    start = max(opens, moment)
                    if closes - start >= left:
                        return start + left
                    left -= max(_ZERO, closes - start)
                else:
                    start = min(closes, moment)
                    if start - opens >= left:
                        return start - left
                    left -= max(_ZERO, start - opens)
        raise AssertionError("the days never end")  # pragma: no cover - _working_days raises

    def _add_days(self, moment: datetime, days: int) -> datetime:
        forward = days > 0
        walk = self._working_days(moment, forward=forward)
        today = next(walk)
        total = _length(today)
        done = sum((max(_ZERO, min(b, moment) - a) for a, b in today), _ZERO)
        # outside hours the place is the border of two days: count from today's near edge, and land
        # on the far edge of the day before the target, which is the same place
        steps = abs(days)
        if (forward and done <= _ZERO) or (not forward and done >= total):
            steps -= 1
            done = total if forward else _ZERO
        for _ in range(steps):
            today = next(walk)
        return _at(today, done, total, forward=forward)

    def _working_days(self, moment: datetime, *, forward: bool) -> Iterator[list[_Interval]]:
        """Yield the days with work still to come (or, backwards, already past) at `moment`."""
        day = self._local_day(moment)
        free = 0
        while True:
            intervals = self.open_intervals(day)
            if intervals and (intervals[-1][1] > moment if forward else intervals[0][0] < moment):
                free = 0
                yield intervals
            else:
                free += 1
                if free > _LONGEST_BREAK_DAYS:
                    raise ValueError(f"the calendar has no working day within a year of {day}")
            day += _DAY if forward else -_DAY

    def _local_day(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()


def _at(day: list[_Interval], done: timedelta, total: timedelta, *, forward: bool) -> datetime:
    """Return the instant at which the share done/total of a day's hours has passed."""
    length = _length(day)
    share = done
    if length != total:
        share = (length // _TICK) * (done // _TICK) // (total // _TICK) * _TICK
    for opens, closes in day if forward else reversed(day):
        if forward:
            if share <= closes - opens:
                return opens + share
            share -= closes - opens
        else:
            rest = length - share
            if rest <= closes - opens:
                return closes - rest
            share += closes - opens
    raise AssertionError("a share is at most the whole")  # pragma: no cover - arithmetic


_TICK = timedelta(microseconds=1)


def _length(day: list[_Interval]) -> timedelta:
    return sum((closes - opens for opens, closes in day), _ZERO)


def _read_hours(name: str, intervals: Sequence[Sequence[str]]) -> tuple[tuple[int, int], ...]:
    pairs: list[tuple[int, int]] = []
    for interval in intervals:
        if isinstance(interval, str) or len(interval) != 2:  # noqa: PLR2004 - from, to
            raise _invalid(f"{name}: {interval!r} is not a pair of hours as ['07:30', '11:30']")
        start, end = (_minutes(name, text) for text in interval)
        if start >= end:
            raise _invalid(f"{name}: {interval[0]}-{interval[1]} is empty; end must follow start")
        pairs.append((start, end))
    for (_, end), (start, _) in pairwise(pairs):
        if start < end:
            raise _invalid(f"{name}: hours overlap or are out of order; list them from early on")
    return tuple(pairs)


def _minutes(name: str, text: str) -> int:
    if not _HOUR.fullmatch(str(text)):  # YAML may well have read a number here
        raise _invalid(f"{name}: {text!r} is not an hour between 00:00 and 24:00")
    hours, minutes = str(text).split(":")
    return int(hours) * 60 + int(minutes)


def _aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError("office time needs an aware datetime")


def _invalid(detail: str) -> ConfigurationError:
    return ConfigurationError(f"working calendar: {detail}", code="calendar-invalid")
