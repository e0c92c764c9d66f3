"""Dagster's view of the calendar: one partitions definition a grain, from the first day on."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import dagster as dg

from usage_pipeline.periods.calendar import Grain, Window, floor

WITHIN: Final = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
"""A period is made from those below that lie in it; before the first and to come there are none."""


def of(grain: Grain, first_day: date) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of a grain: from the period that holds the first day to the current one."""
    start = floor(grain, first_day).isoformat()
    match grain:
        case Grain.DAILY:
            return dg.DailyPartitionsDefinition(start_date=start, end_offset=1)
        case Grain.WEEKLY:
            return dg.WeeklyPartitionsDefinition(start_date=start, day_offset=1, end_offset=1)
        case Grain.MONTHLY:
            return dg.MonthlyPartitionsDefinition(start_date=start, end_offset=1)
    return dg.TimeWindowPartitionsDefinition(
        start=start[:4], fmt="%Y", cron_schedule="0 0 1 1 *", end_offset=1
    )


def days(keys: Sequence[str]) -> list[date]:
    """The first days of what partition keys stand for; a year's key is the year alone."""
    return [date(int(key), 1, 1) if len(key) == 4 else date.fromisoformat(key) for key in keys]


def key(grain: Grain, period: Window) -> str:
    """The partition key of a period, as Dagster writes it."""
    return f"{period.start:%Y}" if grain is Grain.YEARLY else period.start.date().isoformat()


def ends(grain: Grain, periods: Sequence[Window]) -> tuple[str, str]:
    """The keys of the first and the last of these."""
    return key(grain, periods[0]), key(grain, periods[-1])
