"""Days, weeks, months and years partition time: no gap, no overlap, at any border."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_pipeline.periods.calendar import Grain, floor, following, window, windows

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
GRAINS = st.sampled_from(list(Grain))


@given(GRAINS, DAYS)
def test_a_day_lies_in_the_period_that_claims_it(grain: Grain, day: date) -> None:
    found = window(grain, day)
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert found.start <= instant < found.end
    assert window(grain, found.start.date()) == found
    if grain is not Grain.HOURLY:
        assert found.last_day == found.end.date() - timedelta(days=1)
        assert window(grain, found.last_day) == found
    assert window(grain, (found.end - timedelta(microseconds=1)).date()) == found


@given(GRAINS, DAYS, st.integers(0, 800))
def test_periods_follow_each_other(grain: Grain, first: date, length: int) -> None:
    last = first + timedelta(days=length)
    found = list(windows(grain, first, last))
    assert found[0] == window(grain, first)
    assert found[-1] == window(grain, last)
    assert all(one.end == other.start for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("grain", "day", "start", "end"),
    [
        (Grain.WEEKLY, date(2026, 1, 1), date(2025, 12, 29), date(2026, 1, 5)),
        (Grain.WEEKLY, date(2024, 2, 29), date(2024, 2, 26), date(2024, 3, 4)),
        (Grain.MONTHLY, date(2024, 2, 29), date(2024, 2, 1), date(2024, 3, 1)),
        (Grain.MONTHLY, date(2025, 12, 31), date(2025, 12, 1), date(2026, 1, 1)),
        (Grain.YEARLY, date(2024, 12, 31), date(2024, 1, 1), date(2025, 1, 1)),
        (Grain.DAILY, date(2024, 2, 28), date(2024, 2, 28), date(2024, 2, 29)),
    ],
)
def test_known_borders(grain: Grain, day: date, start: date, end: date) -> None:
    assert (floor(grain, day), following(grain, day)) == (start, end)
