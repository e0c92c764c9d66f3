"""The five grains as half-open UTC windows; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final


class Grain(StrEnum):
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"

    @property
    def unit(self) -> str:
        """One period of it, as PostgreSQL and people name it."""
        return _UNITS[self]


_UNITS: Final = {
    Grain.HOURLY: "hour",
    Grain.DAILY: "day",
    Grain.WEEKLY: "week",
    Grain.MONTHLY: "month",
    Grain.YEARLY: "year",
}


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """`start` belongs to it, `end` does not."""

    start: datetime
    end: datetime

    @property
    def last_day(self) -> date:
        """The last day that lies in it, of a window of whole days."""
        return self.end.date() - timedelta(days=1)


def floor(grain: Grain, day: date) -> date:
    """The first day of the week, month or year that holds this day."""
    match grain:
        case Grain.HOURLY | Grain.DAILY:
            return day
        case Grain.WEEKLY:
            return day - timedelta(days=day.weekday())
        case Grain.MONTHLY:
            return day.replace(day=1)
        case Grain.YEARLY:
            return day.replace(month=1, day=1)


def following(grain: Grain, day: date) -> date:
    """The first day after the period that holds this day."""
    start = floor(grain, day)
    match grain:
        case Grain.HOURLY | Grain.DAILY:
            return start + timedelta(days=1)
        case Grain.WEEKLY:
            return start + timedelta(days=7)
        case Grain.MONTHLY:
            return (start + timedelta(days=31)).replace(day=1)
        case Grain.YEARLY:
            return start.replace(year=start.year + 1)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def window(grain: Grain, day: date) -> Window:
    """The window of the period that holds this day."""
    return Window(midnight(floor(grain, day)), midnight(following(grain, day)))


def windows(grain: Grain, first: date, last: date) -> Iterator[Window]:
    """Every period from the one that holds `first` to the one that holds `last`, oldest first."""
    day = floor(grain, first)
    while day <= last:
        yield window(grain, day)
        day = following(grain, day)
