"""What every rollup is, and what the run of one of its periods found."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Self
from uuid import UUID

from usage_pipeline.engine import run as engine
from usage_pipeline.engine.plan import Intent, Reason
from usage_pipeline.families import family as families
from usage_pipeline.families.family import Family
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.rollups import readiness
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.backfills import Asked
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.ledger import Entry
from usage_pipeline.warehouse.roles import Role

_LEFT: Final = {Reason.PRUNED: "pruned", Reason.BEFORE_HORIZON: "before the horizon"}


@dataclass(frozen=True)
class Rollup:
    """One asset as its runs see it: a grain of a family."""

    family: Family
    level: families.Grain

    @property
    def name(self) -> str:
        """The asset's name, and the ledger's."""
        return self.level.name

    @property
    def grain(self) -> Grain:
        """What one run covers."""
        return self.level.run_period

    @property
    def code_version(self) -> str:
        return self.family.code_version

    @property
    def below(self) -> Self | None:
        """The rollup that this one is made from; None: it is read from raw rows."""
        lower = self.family.below(self.level)
        return type(self)(self.family, lower) if lower else None

    @property
    def reads_raw(self) -> bool:
        return self.level.below is None

    def ensure_partitions(self, warehouse: Warehouse, first: Window, last: Window) -> None:
        """Create the partitions of the table that a range needs, in a short transaction of its own."""
        if not self.family.is_partitioned:
            return
        with warehouse.begin(Role.WRITER) as connection:
            statements.run(
                connection, "rollups.sql", "ensure_partitions",
                period_type=self.level.stored_as, first=first.start, until=last.end,
            )  # fmt: skip

    def compute(
        self,
        warehouse: Warehouse,
        window: Window,
        run_id: str,
        *,
        intent: str = "run",
        unit: UUID | str | None = None,
        reason: str | None = None,
    ) -> "Outcome":
        """Recompute one period; nothing is stored unless the books balance."""
        began = time.perf_counter()
        order = engine.Order(self.family, self.level, window, run_id, Intent(intent), unit, reason)
        try:
            with readiness.explained(warehouse, Role.WRITER), warehouse.begin(Role.WRITER) as connection:
                ran = engine.run(connection, order)
        except engine.Left as left:
            said = _LEFT[left.leave.reason]
            return Outcome(self, window, said, left.entry, {}, 0, 0, 0, time.perf_counter() - began)
        return Outcome(
            self, window, "computed", ran.entry, ran.before.totals, ran.inserted, ran.updated, ran.deleted,
            time.perf_counter() - began,
        )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What the run of one period found, wrote and took; `said` is `computed`, or why nothing was."""

    rollup: Rollup
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
    def changed(self) -> int:
        return self.inserted + self.updated + self.deleted


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

    def asked(self, code_version: str) -> Asked:
        """The backfill of it alone."""
        whole = self.whole
        names = (self.rollup.name,)
        return Asked(names, whole.start.date(), whole.last_day, code_version, len(self.windows))

    def ensure_partitions(self, warehouse: Warehouse) -> None:
        """Create the partitions of the table that it needs."""
        self.rollup.ensure_partitions(warehouse, self.windows[0], self.windows[-1])


def of(family: Family) -> tuple[Rollup, ...]:
    """Those of a family, the finest first."""
    return tuple(Rollup(family, grain) for grain in family.grains)


ROLLUPS: Final = {each.name: each for family in FAMILIES for each in of(family)}
"""What a range can be computed of, finest first, by the asset's name."""


def chain(rollup: Rollup) -> list[Rollup]:
    """This rollup and all that it is made from, the finest first: the order in which they are computed."""
    return [*(chain(rollup.below) if rollup.below else ()), rollup]


def above(rollup: Rollup) -> list[Rollup]:
    """Those that are made from this one, directly or not, finest first."""
    reached = {rollup.name}
    found = []
    for each in of(rollup.family):
        if each.level.below in reached:
            reached.add(each.name)
            found.append(each)
    return found
