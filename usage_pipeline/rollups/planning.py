"""What a range will cost, before it is computed: its periods, its source rows, an estimate of the time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row

from usage_pipeline.periods.calendar import Window
from usage_pipeline.rollups.rollup import Rollup
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.failures import TooSlow

PATIENCE_MS: Final = 2000
HASTE_MS: Final = 300
"""A plan that takes as long as the work is no plan: what cannot be counted in this time is estimated."""


@dataclass(frozen=True)
class Plan:
    """What a range holds and will take.

    `seconds` is None where nothing was computed yet, `ahead_until` where no answer is ahead of the clock.
    """

    periods: int
    computed: int
    source_rows: int | None
    is_counted: bool
    at_once: int
    seconds: float | None
    clock: datetime
    ahead_count: int
    ahead_until: datetime | None


def clock(warehouse: Warehouse, rollup: Rollup, whole: Window) -> tuple[datetime, int]:
    """The database's clock, and how many periods of the range are computed."""
    with warehouse.begin(Role.WRITER) as connection:
        row = statements.run(
            connection, "rollups.sql", "range_so_far",
            rollup=rollup.name, window_start=whole.start, window_end=whole.end,
        ).one()  # fmt: skip
    return row.clock, row.computed_count


def make(warehouse: Warehouse, rollup: Rollup, whole: Window, periods: int, *, patience_ms: int) -> Plan:
    """The plan of a range; its source rows are counted if that takes no longer than this."""
    now, computed = clock(warehouse, rollup, whole)
    counted = _counted(warehouse, whole, patience_ms)
    rows = _expected(warehouse, whole) if counted is None else counted
    with warehouse.begin(Role.WRITER) as connection:
        per_row, per_period = statements.run(
            connection, "rollups.sql", "cost_of_periods", rollup=rollup.name
        ).one()
    ahead_count, ahead_until = _ahead(warehouse, patience_ms)
    at_once = min(warehouse.connections, periods)
    known = None not in (rows, per_period)
    seconds = ((rows or 0) * (per_row or 0) + periods * per_period) / 1000 / at_once if known else None
    return Plan(periods, computed, rows, counted is not None, at_once, seconds, now, ahead_count, ahead_until)


def _counted(warehouse: Warehouse, whole: Window, patience_ms: int) -> int | None:
    """How many rows there are, unless counting them takes too long."""
    row = _in_time(warehouse, "source_rows_of_range", patience_ms, **_bounds(whole))
    return None if row is None else int(row[0])


def _expected(warehouse: Warehouse, whole: Window) -> int | None:
    """None where even the planner has to wait: somebody changes the source's tables."""
    row = _in_time(warehouse, "expected_rows_of_range", PATIENCE_MS, **_bounds(whole))
    return None if row is None else int(row[0][0]["Plan"]["Plan Rows"])


def _ahead(warehouse: Warehouse, patience_ms: int) -> tuple[int, datetime | None]:
    row = _in_time(warehouse, "answers_ahead", patience_ms)
    return (0, None) if row is None else (row.answer_count, row.newest_at)


def _in_time(warehouse: Warehouse, name: str, patience_ms: int, **binds: object) -> Row[Any] | None:
    """The one row of a statement of the room, unless it takes longer than this."""
    try:
        with warehouse.begin(Role.WRITER) as connection:
            statements.run(connection, "warehouse.sql", "limit_time", milliseconds=patience_ms)
            return statements.run(connection, "rollups.sql", name, **binds).one()
    except TooSlow:
        return None


def _bounds(whole: Window) -> dict[str, datetime]:
    return {"window_start": whole.start, "window_end": whole.end}
