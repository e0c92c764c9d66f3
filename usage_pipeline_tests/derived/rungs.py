"""The periods of the ladder as plain values: what lies below one, what above, and with what it is pruned."""

from datetime import date, datetime
from functools import cached_property
from typing import Final

from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain, Window

GRAINS: Final = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
BELOW: Final = {Grain.WEEKLY: Grain.DAILY, Grain.MONTHLY: Grain.DAILY, Grain.YEARLY: Grain.MONTHLY}
GOES_WITH: Final = {Grain.DAILY: Grain.MONTHLY, Grain.MONTHLY: Grain.YEARLY}
KEEPS_CONVERSATIONS: Final = (Grain.DAILY, Grain.MONTHLY)
_known: "dict[tuple[Grain, date], Period]" = {}


class Period:
    """One period of one grain; there is one object for each, and the oldest comes first."""

    def __init__(self, grain: Grain, window: Window) -> None:
        self.grain = grain
        self.window = window
        self.first = window.start.date()

    @property
    def start(self) -> datetime:
        return self.window.start

    @property
    def end(self) -> datetime:
        return self.window.end

    @property
    def rollup(self) -> str:
        return f"tokens_{self.grain}"

    def __lt__(self, other: "Period") -> bool:
        return (GRAINS.index(self.grain), self.first) < (GRAINS.index(other.grain), other.first)

    def __repr__(self) -> str:
        return f"{self.grain} {self.words}"

    @cached_property
    def words(self) -> str:
        """As the database's sentences call it."""
        return self.first.strftime({Grain.MONTHLY: "%Y-%m", Grain.YEARLY: "%Y"}.get(self.grain, "%Y-%m-%d"))

    @cached_property
    def below(self) -> "tuple[Period, ...]":
        """The periods it is made from; a day has none."""
        return within(BELOW[self.grain], self) if self.grain in BELOW else ()

    @cached_property
    def above(self) -> "tuple[Period, ...]":
        """The periods that are made from it."""
        return tuple(of(grain, self.first) for grain in GRAINS if BELOW.get(grain) == self.grain)

    @cached_property
    def whole(self) -> "Period | None":
        """The month (the year) it is pruned with."""
        return of(GOES_WITH[self.grain], self.first) if self.grain in GOES_WITH else None

    @cached_property
    def siblings(self) -> "tuple[Period, ...]":
        """All that are pruned with it."""
        return within(self.grain, self.whole) if self.whole else ()


def of(grain: Grain, day: date) -> Period:
    """The period that holds this day."""
    found = calendar.window(grain, day)
    return _known.setdefault((grain, found.start.date()), Period(grain, found))


def span(grain: Grain, first: date, last: date) -> tuple[Period, ...]:
    """Every period from the one that holds `first` to the one that holds `last`."""
    return tuple(of(grain, each.start.date()) for each in calendar.windows(grain, first, last))


def within(grain: Grain, whole: Period) -> tuple[Period, ...]:
    """Every period of a grain that begins in another one."""
    return tuple(each for each in span(grain, whole.first, (whole.end.date())) if each.start < whole.end)
