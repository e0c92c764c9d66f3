"""Dagster's view of the calendar: one partitions definition a grain, from the stack's first day."""

from datetime import date

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods.calendar import Grain, Window, floor

START = settings.load().start

daily = dg.DailyPartitionsDefinition(start_date=floor(Grain.DAILY, START).isoformat(), end_offset=1)


def days(keys: list[str]) -> list[date]:
    """The days that partition keys stand for."""
    return [date.fromisoformat(key) for key in keys]


def key(period: Window) -> str:
    """The partition key of a period, as Dagster writes it for days, weeks and months."""
    return period.start.date().isoformat()
