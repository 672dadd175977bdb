"""Office time against a clock that ticks minute by minute, and the laws of adding."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.workflow import Duration, OfficeCalendar
from docflow.workflow.calendar import WEEKDAYS

MINUTE = timedelta(minutes=1)
START = datetime(2026, 3, 20, tzinfo=UTC)  # nine days before clocks change in Berlin
NEAR = timedelta(milliseconds=1)


def written(quarter: int) -> str:
    return f"{quarter // 4:02}:{quarter % 4 * 15:02}"


@st.composite
def days(draw: st.DrawFn) -> list[list[str]]:
    """Working hours of a day, on quarters of an hour."""
    edges = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [[written(start), written(end)] for start, end in pairs]


@st.composite
def calendars(draw: st.DrawFn) -> OfficeCalendar:
    week = {name: draw(days()) for name in WEEKDAYS}
    if not any(week.values()):
        week["wed"] = [["08:00", "12:00"]]
    zone = draw(st.sampled_from(("Asia/Ho_Chi_Minh", "UTC", "Europe/Berlin", "America/New_York")))
    holidays = draw(st.sets(st.dates(date(2026, 3, 18), date(2026, 4, 6)), max_size=5))
    return OfficeCalendar(zone, week, holidays)


moments = st.integers(0, 12 * 24 * 60).map(lambda minutes: START + minutes * MINUTE)
SETTINGS = settings(max_examples=120, deadline=None)


@given(calendars(), moments, st.integers(1, 600))
@SETTINGS
def test_minutes_are_those_of_a_ticking_clock(
    calendar: OfficeCalendar, start: datetime, minutes: int
) -> None:
    now, left = start, minutes
    for _ in range(40 * 24 * 60):
        left -= calendar.is_open(now)
        now += MINUTE
        if left == 0:
            break
    else:
        return  # too sparse a calendar to tick through
    assert calendar.add(start, Duration(minutes, "m")) == now


@given(calendars(), moments, st.integers(1, 600))
@SETTINGS
def test_minutes_back_are_those_of_a_clock_ticking_back(
    calendar: OfficeCalendar, start: datetime, minutes: int
) -> None:
    now, left = start, minutes
    for _ in range(40 * 24 * 60):
        now -= MINUTE
        left -= calendar.is_open(now)
        if left == 0:
            break
    else:
        return
    assert calendar.add(start, Duration(-minutes, "m")) == now


@given(calendars(), moments, st.integers(1, 60))
@SETTINGS
def test_what_is_added_is_what_was_worked(
    calendar: OfficeCalendar, start: datetime, hours: int
) -> None:
    end = calendar.add(start, Duration(hours, "h"))
    assert calendar.working_time(start, end) == timedelta(hours=hours)
    back = calendar.add(end, Duration(-hours, "h"))
    assert calendar.working_time(start, back) == timedelta(0)


@given(calendars(), moments, st.integers(0, 3000), st.sampled_from("dhm"), st.integers(-9, 9))
@SETTINGS
def test_who_starts_later_is_not_due_earlier(
    calendar: OfficeCalendar, start: datetime, later: int, unit: str, amount: int
) -> None:
    duration = Duration(amount or 1, unit)
    first = calendar.add(start, duration)
    second = calendar.add(start + later * MINUTE, duration)
    assert first <= second


@given(calendars(), moments, st.integers(1, 8), st.integers(1, 8))
@SETTINGS
def test_days_add_up(calendar: OfficeCalendar, start: datetime, some: int, more: int) -> None:
    step = calendar.add(calendar.add(start, Duration(some, "d")), Duration(more, "d"))
    whole = calendar.add(start, Duration(some + more, "d"))
    assert abs(calendar.working_time(step, whole)) <= NEAR


@given(calendars(), moments, st.integers(1, 8))
@SETTINGS
def test_days_back_undo_days(calendar: OfficeCalendar, start: datetime, amount: int) -> None:
    there = calendar.add(start, Duration(amount, "d"))
    back = calendar.add(there, Duration(-amount, "d"))
    assert abs(calendar.working_time(start, back)) <= NEAR


@given(calendars(), moments, st.integers(1, 8))
@SETTINGS
def test_a_day_consumes_as_many_working_days(
    calendar: OfficeCalendar, start: datetime, amount: int
) -> None:
    """From opening time, n days end at the closing of the n-th working day."""
    zone = ZoneInfo(calendar.timezone)
    day = start.astimezone(zone).date()
    working: list[date] = []
    while len(working) <= amount:
        day += timedelta(days=1)
        if calendar.open_intervals(day):
            working.append(day)
    opening = calendar.open_intervals(working[0])[0][0]
    closing = calendar.open_intervals(working[amount - 1])[-1][1]
    assert calendar.add(opening, Duration(amount, "d")) == closing


@given(calendars(), moments, st.integers(1, 90), st.sampled_from("dhm"))
@SETTINGS
def test_a_deadline_lies_within_working_hours(
    calendar: OfficeCalendar, start: datetime, amount: int, unit: str
) -> None:
    end = calendar.add(start, Duration(amount, unit))
    assert end > start
    assert calendar.is_open(end - timedelta(microseconds=1))


@given(moments, st.integers(-5000, 5000), st.sampled_from("dhm"))
@SETTINGS
def test_time_on_the_clock_is_plain_time(start: datetime, amount: int, unit: str) -> None:
    calendar = OfficeCalendar("Asia/Ho_Chi_Minh", {"mon": [["08:00", "12:00"]]})
    duration = Duration(amount, unit, wall=True)
    assert calendar.add(start, duration) - start == duration.as_timedelta()
