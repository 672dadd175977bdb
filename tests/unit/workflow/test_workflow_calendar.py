"""Office time: examples that an office would agree with."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from docflow.kernel.errors import ConfigurationError
from docflow.workflow import OfficeCalendar, parse_duration

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
HOURS = [["07:30", "11:30"], ["13:30", "17:00"]]
WEEK = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), HOURS) | {"sat": [["07:30", "11:30"]]}
OFFICE = OfficeCalendar("Asia/Ho_Chi_Minh", WEEK, {date(2026, 11, 24)})  # a Tuesday off


def at(text: str) -> datetime:
    """Return a moment of November 2026 (the 2nd is a Monday), as `02 07:30`."""
    return datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        # hours and minutes consume working time
        ("02 08:00", "1h", "02 09:00"),
        ("02 11:00", "1h", "02 14:00"),
        ("02 07:30", "4h", "02 11:30"),
        ("02 16:30", "1h", "03 08:00"),
        ("02 12:00", "30m", "02 14:00"),
        ("02 05:00", "30m", "02 08:00"),
        ("02 20:00", "30m", "03 08:00"),
        ("06 16:30", "1h", "07 08:00"),
        ("07 11:00", "1h", "09 08:00"),
        ("01 10:00", "4h", "02 11:30"),
        # a day is a working day's hours
        ("02 10:00", "1d", "03 10:00"),
        ("02 10:00", "3d", "05 10:00"),
        ("02 07:30", "1d", "02 17:00"),
        ("02 17:00", "1d", "03 17:00"),
        ("02 12:00", "1d", "03 11:30"),
        ("01 09:00", "1d", "02 17:00"),
        ("02 06:00", "2d", "03 17:00"),
        ("07 07:30", "1d", "07 11:30"),
        ("07 11:30", "1d", "09 17:00"),
        # half of Friday's 7.5 hours is half of Saturday's 4
        ("06 11:15", "1d", "07 09:30"),
        # a day off does not count
        ("23 10:00", "1d", "25 10:00"),
        ("24 10:00", "1d", "25 17:00"),
        ("23 16:30", "1h", "25 08:00"),
        # reminders go back
        ("03 10:00", "-1d", "02 10:00"),
        ("03 08:00", "-1h", "02 16:30"),
        ("02 11:30", "-4h", "02 07:30"),
        ("02 14:00", "-1h", "02 11:00"),
        ("03 17:00", "-1d", "03 07:30"),
        ("03 07:30", "-1d", "02 07:30"),
        ("25 10:00", "-1d", "23 10:00"),
        ("08 10:00", "-1d", "07 07:30"),
        # time on the clock
        ("06 16:00", "24h wall", "07 16:00"),
        ("06 16:00", "2d wall", "08 16:00"),
        ("06 16:00", "-30m wall", "06 15:30"),
    ],
)
def test_adding(start: str, duration: str, expected: str) -> None:
    assert OFFICE.add(at(start), parse_duration(duration)) == at(expected)


def test_the_result_is_in_utc() -> None:
    assert OFFICE.add(at("02 10:00"), parse_duration("1d")).tzinfo is UTC
    assert OFFICE.add(at("02 10:00"), parse_duration("1d wall")).tzinfo is UTC


def test_open_and_closed() -> None:
    assert OFFICE.is_open(at("02 07:30"))
    assert not OFFICE.is_open(at("02 11:30"))
    assert not OFFICE.is_open(at("02 12:00"))
    assert not OFFICE.is_open(at("24 10:00"))
    assert not OFFICE.is_open(at("08 10:00"))


def test_working_time_between_two_moments() -> None:
    assert OFFICE.working_time(at("02 10:00"), at("03 08:30")) == timedelta(hours=6)
    assert OFFICE.working_time(at("03 08:30"), at("02 10:00")) == timedelta(hours=-6)
    assert OFFICE.working_time(at("07 12:00"), at("09 07:00")) == timedelta(0)


def test_a_lost_hour_is_not_worked() -> None:
    hours = {"sun": [["01:00", "04:00"]], "mon": [["08:00", "09:00"]]}
    night = OfficeCalendar("Europe/Berlin", hours)
    spring = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # 01:00 in Berlin; 02:00 becomes 03:00
    assert night.add(spring, parse_duration("2h")) == spring + timedelta(hours=2)
    assert night.add(spring, parse_duration("150m")) == datetime(2026, 3, 30, 6, 30, tzinfo=UTC)


def test_an_hour_that_two_intervals_fall_into_is_worked_once() -> None:
    # 02:15 does not exist that night and means 03:15, which the second interval has too
    hours = {"sun": [["02:15", "02:45"], ["03:00", "04:00"]]}
    night = OfficeCalendar("Europe/Berlin", hours)
    day = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert night.working_time(day, day + timedelta(days=1)) == timedelta(minutes=45)


def test_hours_to_midnight_are_hours() -> None:
    calendar = OfficeCalendar("UTC", {"mon": [["20:00", "24:00"]], "tue": [["00:00", "04:00"]]})
    monday = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
    assert calendar.add(monday, parse_duration("4h")) == datetime(2026, 11, 3, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "week", "message"),
    [
        ("Asia/Hanoi-ish", WEEK, "is not a time zone; write an IANA name"),
        ("../../etc/passwd", WEEK, "is not a time zone"),
        ("UTC", {}, "no working hours at all"),
        ("UTC", {"mon": []}, "no working hours at all"),
        ("UTC", {"monday": HOURS}, "'monday' is no weekday; did you mean 'mon'?"),
        ("UTC", {"mon": [["08:00", "08:00"]]}, "mon: 08:00-08:00 is empty"),
        ("UTC", {"mon": [["17:00", "08:00"]]}, "mon: 17:00-08:00 is empty"),
        ("UTC", {"mon": [["08:00", "12:00"], ["11:00", "17:00"]]}, "mon: hours overlap"),
        ("UTC", {"mon": [["13:00", "17:00"], ["08:00", "12:00"]]}, "mon: hours overlap"),
        ("UTC", {"mon": [["8", "12:00"]]}, "mon: '8' is not an hour between 00:00 and 24:00"),
        ("UTC", {"mon": [["08:00", "24:01"]]}, "mon: '24:01' is not an hour"),
        ("UTC", {"mon": [[8, 12]]}, "mon: 8 is not an hour"),
        ("UTC", {"mon": ["08:00-12:00"]}, "is not a pair of hours"),
        ("UTC", {"mon": [["08:00", "12:00", "13:00"]]}, "is not a pair of hours"),
    ],
)
def test_a_wrong_calendar_is_refused(zone: str, week: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OfficeCalendar(zone, week)
    assert caught.value.code == "calendar-invalid"
    assert message in caught.value.detail


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        OFFICE.add(datetime(2026, 11, 2, 8, 0), parse_duration("1h"))  # noqa: DTZ001 - the point


def test_a_year_without_a_working_day_is_told_and_not_waited_for() -> None:
    off = {date(2026, 1, 1) + timedelta(days=n) for n in range(800)}
    calendar = OfficeCalendar("UTC", {"mon": HOURS}, off)
    with pytest.raises(ValueError, match="no working day within a year"):
        calendar.add(datetime(2026, 2, 1, tzinfo=UTC), parse_duration("1h"))


def test_the_end_of_time_is_told() -> None:
    with pytest.raises(ValueError, match="beyond the calendar"):
        OFFICE.add(datetime(9999, 12, 30, tzinfo=UTC), parse_duration("30d"))


@pytest.mark.parametrize("text", ["3d", "4h", "30m", "24h wall", "-4h", "-2d wall", "3660d"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_duration(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "3", "d", "0d", "03d", "3 d", "3d wall ", "3w", "1.5h", "+3d", "3dwall", "٣d", "3d\n"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_the_longest_duration_is_ten_years() -> None:
    for text in ("3661d", "-3661d", "87841h", "9999999m"):
        with pytest.raises(ValueError, match="is longer than 3660 days"):
            parse_duration(text)
