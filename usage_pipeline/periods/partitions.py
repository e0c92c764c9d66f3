"""Dagster's view of the calendar: one partitions definition a grain, from the stack's first day."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods.calendar import Grain, Window, floor

START: Final = settings.load().start

daily = dg.DailyPartitionsDefinition(start_date=floor(Grain.DAILY, START).isoformat(), end_offset=1)
weekly = dg.WeeklyPartitionsDefinition(
    start_date=floor(Grain.WEEKLY, START).isoformat(), day_offset=1, end_offset=1
)
monthly = dg.MonthlyPartitionsDefinition(start_date=floor(Grain.MONTHLY, START).isoformat(), end_offset=1)
yearly = dg.TimeWindowPartitionsDefinition(
    start=f"{START:%Y}", fmt="%Y", cron_schedule="0 0 1 1 *", end_offset=1
)

WITHIN: Final = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
"""A period is made from those below that lie in it; before the first and to come there are none."""


def of(grain: Grain) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of a grain."""
    return {Grain.DAILY: daily, Grain.WEEKLY: weekly, Grain.MONTHLY: monthly, Grain.YEARLY: yearly}[grain]


def days(keys: Sequence[str]) -> list[date]:
    """The first days of what partition keys stand for; a year's key is the year alone."""
    return [date(int(key), 1, 1) if len(key) == 4 else date.fromisoformat(key) for key in keys]


def key(grain: Grain, period: Window) -> str:
    """The partition key of a period, as Dagster writes it."""
    return f"{period.start:%Y}" if grain is Grain.YEARLY else period.start.date().isoformat()
