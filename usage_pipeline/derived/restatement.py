"""Periods restated, oldest first, a transaction each; the periods above them follow at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from uuid import UUID

from usage_pipeline.engine import recorded
from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Window
from usage_pipeline.rollups import ranges
from usage_pipeline.rollups.ranges import Done, Failed
from usage_pipeline.rollups.rollup import Outcome, Rollup, Span, above
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

COMPUTED = ("open", "sealed")


@dataclass(frozen=True)
class Standing:
    """How a period stands in the ledger; one that was never computed is `none`."""

    window: Window
    state: str
    kept: Mapping[str, Mapping[str, int]] | None = None  # by user: what is stored beyond the source
    is_raw: bool = True
    is_before_horizon: bool = False
    is_lost: bool = False  # open and large, and the source has lost most of it: no run writes that

    def stands(self, wanted: str) -> bool:
        """Whether it stands like this, and a run may still read what it is made from."""
        return self.state == wanted and not self.is_before_horizon


@dataclass(frozen=True)
class Loss:
    """What a period holds and its raw rows no longer do: of how many units, and how much of each measure."""

    window: Window
    unit_count: int
    amounts: Mapping[str, int]


@dataclass(frozen=True)
class Wish:
    """What is to be restated, of whom, why, and whether the source wins where it has less."""

    rollup: Rollup
    user_id: UUID | None
    reason: str
    accepts_loss: bool
    run_id: str


def standing(warehouse: Warehouse, rollup: Rollup, first: date, last: date) -> list[Standing]:
    """Every period of a range, oldest first."""
    span = Span.holding(rollup, first, last)
    with warehouse.begin(Role.WRITER) as connection:
        rows = statements.run(
            connection, "derived.sql", "standing_of_range",
            rollup=rollup.name, window_start=span.whole.start, window_end=span.whole.end,
        ).all()  # fmt: skip
    known = {
        row.period_start: Standing(
            Window(row.period_start, row.period_end), row.state, row.kept, row.is_raw, row.is_before_horizon
        )
        for row in rows
    }
    return [known.get(each.start, Standing(each, "none")) for each in span.windows]


def with_losses(warehouse: Warehouse, rollup: Rollup, periods: Sequence[Standing]) -> list[Standing]:
    """The same periods, with those marked that no run makes what their source says."""
    with warehouse.begin(Role.WRITER) as connection:
        rows = statements.run(
            connection, "rollups.sql", "source_losses_of_range",
            rollup=rollup.name, window_start=periods[0].window.start, window_end=periods[-1].window.end,
        ).all()  # fmt: skip
    lost = {row.period_start for row in rows if row.state == "open"}
    return [replace(each, is_lost=each.window.start in lost) for each in periods]


def loss(warehouse: Warehouse, rollup: Rollup, window: Window, unit: UUID | None) -> Loss:
    """What would be lost if the raw rows won now; nothing is written to find out."""
    with warehouse.begin(Role.WRITER) as connection:
        binds = {"window_start": window.start, "window_end": window.end, "covered_until": window.end}
        statement = recorded.loss(rollup.family, rollup.level)
        row = connection.execute(statement, {**binds, "only": unit}).mappings().one()
    return Loss(window, row["unit_count"], {each.column: row[each.column] for each in rollup.family.kept})


def run(warehouse: Warehouse, wish: Wish, windows: Sequence[Window]) -> Iterator[Done[Outcome] | Failed]:
    """Each period as it ends; one that is refused does not stop the others."""
    intent = "accept" if wish.accepts_loss else "restate"
    return ranges.run(
        windows,
        lambda window: wish.rollup.compute(
            warehouse, window, wish.run_id, intent=intent, unit=wish.user_id, reason=wish.reason
        ),
        connections=1,
    )  # fmt: skip


def holding(warehouse: Warehouse, rollup: Rollup, windows: Sequence[Window]) -> list[Window]:
    """The computed periods of a coarser rollup that hold any of these."""
    held = {calendar.window(rollup.grain, each.start.date()) for each in windows}
    first, last = min(windows).start.date(), max(windows).start.date()
    found = standing(warehouse, rollup, first, last)
    return [each.window for each in found if each.state in COMPUTED and each.window in held]


def follow(warehouse: Warehouse, wish: Wish, windows: Sequence[Window]) -> Iterator[Done[Outcome] | Failed]:
    """The computed periods above, coarsest last: what was restated below shows in them at once."""
    for rollup in above(wish.rollup):
        compute = partial(rollup.compute, warehouse, run_id=wish.run_id, reason=wish.reason)
        yield from ranges.run(holding(warehouse, rollup, windows), compute, connections=1)
