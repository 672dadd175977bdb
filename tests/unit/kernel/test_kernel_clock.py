"""Instants: aware UTC only, one written form, and a clock that moves when told."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.kernel.clock import ManualClock, SystemClock, parse_rfc3339, rfc3339

HANOI = timezone(timedelta(hours=7))
NAIVE = datetime(2026, 3, 2, 8, 30)  # noqa: DTZ001 - what must be refused


def test_the_system_clock_is_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(datetime(2026, 3, 2, 8, 30, tzinfo=HANOI))
    assert clock.now() == clock.now() == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    clock.advance(timedelta(minutes=1))
    assert clock.now() == datetime(2026, 3, 2, 1, 31, tzinfo=UTC)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(NAIVE)
    with pytest.raises(ValueError, match="naive"):
        rfc3339(NAIVE)
    with pytest.raises(ValueError, match="no offset"):
        parse_rfc3339("2026-03-02T08:30:00")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 2, 8, 30, tzinfo=HANOI), "2026-03-02T01:30:00.000000Z"),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-12-31T23:59:59.999999Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_an_instant_has_one_written_form(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text
    assert parse_rfc3339(text) == moment


def test_an_instant_with_another_offset_is_read_as_utc() -> None:
    moment = parse_rfc3339("2026-03-02T08:30:00+07:00")
    assert moment == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30T00:00:00Z", "2026-03-02T25:00:00Z"])
def test_what_is_not_an_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_written_instants_sort_as_they_follow_each_other(first: datetime, second: datetime) -> None:
    assert parse_rfc3339(rfc3339(first)) == first
    assert (rfc3339(first) < rfc3339(second)) == (first < second)
