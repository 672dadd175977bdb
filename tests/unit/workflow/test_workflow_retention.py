"""How long files are kept: what is written, and until when that is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docflow.workflow.retention import Retention, parse_retention

MOMENT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("10y", datetime(2036, 3, 2, 1, 30, tzinfo=UTC)),
        ("1d", datetime(2026, 3, 3, 1, 30, tzinfo=UTC)),
        ("100y", datetime(2126, 3, 2, 1, 30, tzinfo=UTC)),
        ("permanent", datetime(2126, 3, 2, 1, 30, tzinfo=UTC)),
    ],
)
def test_until_when(written: str, until: datetime) -> None:
    retention = parse_retention(written)
    assert retention is not None
    assert retention.until(MOMENT) == until
    assert str(retention) == written


def test_a_day_that_a_year_lacks_becomes_the_next_one() -> None:
    leap = datetime(2028, 2, 29, 12, 0, tzinfo=UTC)
    assert Retention(years=1).until(leap) == datetime(2029, 3, 1, 12, 0, tzinfo=UTC)
    assert Retention(years=4).until(leap) == datetime(2032, 2, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", ["", "0y", "10", "10 y", "10Y", "-1y", "1y2d", "36501d", 10, None]
)
def test_what_is_none_is_refused_with_a_sentence(written: object) -> None:
    with pytest.raises(ValueError, match=r"write (10y|permanent)"):
        parse_retention(written)


def test_only_a_workflow_leaves_it_to_the_type() -> None:
    assert parse_retention("kind.retention", of_kind=True) is None
    with pytest.raises(ValueError, match="is not a retention"):
        parse_retention("kind.retention")


@given(
    st.integers(0, 200_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.integers(1, 100),
)
def test_years_are_never_shorter_than_they_are(moment: datetime, years: int) -> None:
    until = Retention(years=years).until(moment)
    assert (until - moment).days >= 365 * years
    assert (until.year - moment.year) == years
