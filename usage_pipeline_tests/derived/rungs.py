"""The periods of the ladder as plain values: what lies below one, what above, and with what it is pruned."""

from collections.abc import Callable
from datetime import date, datetime
from functools import cached_property
from typing import Final

from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain, Window

GRAINS: Final = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
BELOW: Final = {Grain.WEEKLY: Grain.DAILY, Grain.MONTHLY: Grain.DAILY, Grain.YEARLY: Grain.MONTHLY}
GOES_WITH: Final = {Grain.DAILY: Grain.MONTHLY, Grain.MONTHLY: Grain.YEARLY}
KEEPS_CONVERSATIONS: Final = (Grain.DAILY, Grain.MONTHLY)


class Ladder:
    """All periods of one calendar, which says in which window of a grain a day lies."""

    def __init__(self, window: Callable[[Grain, date], Window]) -> None:
        self._window = window
        self._known: dict[tuple[Grain, date], Period] = {}

    def of(self, grain: Grain, day: date) -> "Period":
        """The period that holds this day."""
        if (grain, day) not in self._known:
            window = self._window(grain, day)
            first = (grain, window.start.date())
            self._known[grain, day] = self._known.setdefault(first, Period(self, grain, window))
        return self._known[grain, day]

    def span(self, grain: Grain, first: date, last: date) -> "tuple[Period, ...]":
        """Every period from the one that holds `first` to the one that holds `last`."""
        found = []
        while first <= last:
            found.append(self.of(grain, first))
            first = found[-1].end.date()
        return tuple(found)

    def within(self, grain: Grain, whole: "Period") -> "tuple[Period, ...]":
        """Every period of a grain that begins in another one."""
        return tuple(
            each for each in self.span(grain, whole.first, whole.end.date()) if each.start < whole.end
        )


class Period:
    """One period of one grain; there is one object for each, and the oldest comes first."""

    def __init__(self, ladder: Ladder, grain: Grain, window: Window) -> None:
        self.ladder = ladder
        self.grain = grain
        self.window = window
        self.start: datetime = window.start
        self.end: datetime = window.end
        self.first = window.start.date()

    @property
    def rollup(self) -> str:
        return f"tokens_{self.grain}"

    def __lt__(self, other: "Period") -> bool:
        return (GRAINS.index(self.grain), self.first) < (GRAINS.index(other.grain), other.first)

    def __repr__(self) -> str:
        return f"{self.grain} {self.first}"

    @cached_property
    def words(self) -> str:
        """As the database's sentences call it."""
        return self.first.strftime({Grain.MONTHLY: "%Y-%m", Grain.YEARLY: "%Y"}.get(self.grain, "%Y-%m-%d"))

    @cached_property
    def below(self) -> "tuple[Period, ...]":
        """The periods it is made from; a day has none."""
        return self.ladder.within(BELOW[self.grain], self) if self.grain in BELOW else ()

    @cached_property
    def above(self) -> "tuple[Period, ...]":
        """The periods that are made from it."""
        return tuple(self.ladder.of(grain, self.first) for grain in GRAINS if BELOW.get(grain) == self.grain)

    @cached_property
    def whole(self) -> "Period | None":
        """The month (the year) it is pruned with."""
        return self.ladder.of(GOES_WITH[self.grain], self.first) if self.grain in GOES_WITH else None

    @cached_property
    def siblings(self) -> "tuple[Period, ...]":
        """All that are pruned with it."""
        return self.ladder.within(self.grain, self.whole) if self.whole else ()


REAL: Final = Ladder(calendar.window)
of, span, within = REAL.of, REAL.span, REAL.within
