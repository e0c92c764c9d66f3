"""What every rollup is, and what the run of one of its periods found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self

from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.ledger import Entry


@dataclass(frozen=True)
class Outcome:
    """What the run of one period found, wrote and took; `said` is `computed`, or why nothing was."""

    rollup: str
    window: Window
    said: str
    entry: Entry
    before: Mapping[str, int]  # the sums that the last run left; empty if there was none
    inserted: int
    updated: int
    deleted: int
    seconds: float
    is_kept: bool = False  # an earlier run of the same backfill has finished it

    @property
    def user_count(self) -> int:
        """Known users with usage; what belongs to nobody stands in one row more."""
        return self.entry.stored_rows - (self.entry.state_count("unattributed") > 0)

    @property
    def changed(self) -> int:
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Rollup:
    """One asset as its runs see it; the name is also the ledger's word for it."""

    name: str
    family: str
    grain: Grain
    code_version: str
    ensure_partitions: Callable[[Warehouse, Window, Window], None]
    compute: Callable[[Warehouse, Window, str], Outcome]  # the period, and the run that computes it

    @property
    def reads_raw(self) -> bool:
        """Days are read from the source, every coarser period from those below it."""
        return self.grain is Grain.DAILY


@dataclass(frozen=True)
class Span:
    """The periods of one rollup that somebody asks for, the oldest first."""

    rollup: Rollup
    windows: tuple[Window, ...]

    @classmethod
    def holding(cls, rollup: Rollup, first: date, last: date) -> Self:
        """From the period that holds one day to the period that holds the other."""
        return cls(rollup, tuple(calendar.windows(rollup.grain, first, last)))

    @property
    def whole(self) -> Window:
        return Window(self.windows[0].start, self.windows[-1].end)
