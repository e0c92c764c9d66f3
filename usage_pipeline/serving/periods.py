"""Periods as a person writes, names and counts them; pure."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.rollups import rollup as rollups
from usage_pipeline.rollups.rollup import Rollup

_ROLLUPS: Final = {each.grain: each for each in rollups.of(TOKENS)}
GRAINS: Final = tuple(_ROLLUPS)
UNITS: Final = {
    Grain.DAILY: "day", Grain.WEEKLY: "week", Grain.MONTHLY: "month", Grain.YEARLY: "year",
}  # fmt: skip
_LABELS: Final = {
    Grain.DAILY: "%Y-%m-%d", Grain.WEEKLY: "%G-W%V", Grain.MONTHLY: "%Y-%m", Grain.YEARLY: "%Y",
}  # fmt: skip
_WRITTEN: Final = (
    (r"\d{4}", "{}-01-01", Grain.YEARLY),
    (r"\d{4}-\d\d", "{}-01", Grain.MONTHLY),
    (r"\d{4}-W\d\d", "{}-1", Grain.WEEKLY),
    (r"\d{4}-\d\d-\d\d", "{}", Grain.DAILY),
)
"""A shape, how it becomes its first day, and the grain it names."""


def rollup(grain: Grain) -> Rollup:
    """The tokens of a grain."""
    return _ROLLUPS[grain]


def asset(grain: Grain) -> str:
    """Its name, in the ledger and in commands."""
    return rollup(grain).name


def label(grain: Grain, day: date) -> str:
    """What a person calls the period that holds this day; the year of an ISO week is that of its Thursday."""
    return day.strftime(_LABELS[grain])


def span(text: str) -> tuple[date, date]:
    """The first and last day of a day, ISO week, month or year as a person writes it."""
    try:
        completed, grain = next(
            (rest.format(text), grain)
            for shape, rest, grain in _WRITTEN
            if re.fullmatch(shape, text, re.ASCII)
        )
        day = date.fromisoformat(completed)
        return day, last_day(grain, day)
    except (StopIteration, ValueError, OverflowError):
        raise Refusal(
            f"`{text}` is no period", fix="write 2026, 2026-10, 2026-W41 or 2026-10-05", exit_code=USAGE
        ) from None


def beginning_in(grain: Grain, first: date, last: date) -> list[date]:
    """The first days of the periods that begin in a range of days."""
    return [start for each in calendar.windows(grain, first, last) if (start := each.start.date()) >= first]


def last_day(grain: Grain, day: date) -> date:
    """The last day of the period that holds this one."""
    return calendar.following(grain, day) - timedelta(days=1)


def earlier(grain: Grain, day: date, count: int) -> date:
    """The first day of the period so many before the one that holds this day."""
    start = calendar.floor(grain, day)
    for _ in range(count):
        start = calendar.floor(grain, start - timedelta(days=1))
    return start


def chain(grain: Grain) -> Sequence[Grain]:
    """This grain and all that it is made from, the finest first: the order in which they are computed."""
    return [each.grain for each in rollups.chain(rollup(grain))]


def bounds(grain: Grain, first: date, last: date) -> dict[str, datetime]:
    """The two binds of a statement over the periods that hold these days."""
    return {
        "window_start": calendar.window(grain, first).start,
        "window_end": calendar.window(grain, last).end,
    }
