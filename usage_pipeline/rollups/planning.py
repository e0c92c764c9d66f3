"""What a range will cost, before it is computed: its periods, its source rows, an estimate of the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import sql
from sqlalchemy import Row

from usage_pipeline.periods.calendar import Window
from usage_pipeline.rollups.rollup import Rollup, Span
from usage_pipeline.warehouse import ledger, statements
from usage_pipeline.warehouse.backfills import Backfill
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import TooSlow
from usage_pipeline.warehouse.roles import Role

PATIENCE_MS: Final = 2000
HASTE_MS: Final = 100
"""A plan that takes as long as the work is no plan: what cannot be counted in this time is estimated."""


@dataclass(frozen=True)
class Part:
    """One asset of a plan; `finished` are of the backfill that goes on, `seconds` are for the rest.

    `seconds` is None where nothing was computed yet, or where the source cannot be asked.
    """

    span: Span
    computed: int
    finished: int
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a range holds and will take; `ahead_until` is None where no answer is ahead of the clock."""

    parts: tuple[Part, ...]
    source_rows: int | None
    is_counted: bool
    at_once: int
    clock: datetime
    ahead_count: int
    ahead_until: datetime | None

    @property
    def reads_raw(self) -> bool:
        return any(part.span.rollup.reads_raw for part in self.parts)

    @property
    def finished(self) -> int:
        return sum(part.finished for part in self.parts)

    @property
    def seconds(self) -> float | None:
        """Of the assets that were ever computed; None if none was."""
        known = [part.seconds for part in self.parts if part.seconds is not None]
        return sum(known) if known else None


def clock(warehouse: Warehouse, rollup: Rollup, whole: Window) -> tuple[datetime, int]:
    """The database's clock, and how many periods of the range are computed."""
    with warehouse.begin(Role.WRITER) as connection:
        row = statements.run(
            connection, "rollups.sql", "range_so_far",
            rollup=rollup.name, window_start=whole.start, window_end=whole.end,
        ).one()  # fmt: skip
    return row.clock, row.computed_count


def make(
    warehouse: Warehouse, spans: Sequence[Span], *, patience_ms: int, before: Backfill | None = None
) -> Plan:
    """The plan of a range; its source rows are counted if that takes no longer than this."""
    raw = [each for each in spans if each.rollup.reads_raw]
    counted = _counted(warehouse, raw[0], patience_ms) if raw else 0
    rows = _expected(warehouse, raw[0]) if counted is None else counted
    ahead_count, ahead_until = _ahead(warehouse, raw[0], patience_ms) if raw else (0, None)
    so_far = [clock(warehouse, each.rollup, each.whole) for each in spans]
    parts = tuple(
        _part(warehouse, each, rows, computed, before)
        for each, (_, computed) in zip(spans, so_far, strict=True)
    )
    now, _ = so_far[0]
    at_once = min(warehouse.connections, max(len(each.windows) for each in spans))
    return Plan(parts, rows, counted is not None, at_once, now, ahead_count, ahead_until)


def _part(warehouse: Warehouse, span: Span, rows: int | None, computed: int, before: Backfill | None) -> Part:
    finished = _finished(warehouse, span, before) if before else 0
    whole = _raw_ms(warehouse, span, rows) if span.rollup.reads_raw else _derived_ms(warehouse, span)
    if whole is None:
        return Part(span, computed, finished, None)
    count = len(span.windows)
    rest = whole * (count - finished) / count
    return Part(span, computed, finished, rest / 1000 / min(warehouse.connections, count))


def _finished(warehouse: Warehouse, span: Span, before: Backfill) -> int:
    with warehouse.begin(Role.WRITER) as connection:
        return len(
            ledger.finished(
                connection, span.rollup.name, span.whole,
                run_ids=before.run_ids, code_version=span.rollup.code_version,
            )
        )  # fmt: skip


def _raw_ms(warehouse: Warehouse, span: Span, rows: int | None) -> float | None:
    with warehouse.begin(Role.WRITER) as connection:
        per_row, per_period = statements.run(
            connection, "rollups.sql", "cost_of_periods", rollup=span.rollup.name
        ).one()
    if rows is None or per_period is None:
        return None
    return float(rows * (per_row or 0) + len(span.windows) * per_period)


def _derived_ms(warehouse: Warehouse, span: Span) -> float | None:
    with warehouse.begin(Role.WRITER) as connection:
        per_period = statements.run(
            connection, "rollups.sql", "duration_of_periods", rollup=span.rollup.name
        ).scalar_one()
    return None if per_period is None else float(len(span.windows) * per_period)


def _counted(warehouse: Warehouse, span: Span, patience_ms: int) -> int | None:
    """How many rows there are, unless counting them takes too long."""
    row = _in_time(warehouse, span, "source_rows_of_range", patience_ms, _bounds(span))
    return None if row is None else int(row[0])


def _expected(warehouse: Warehouse, span: Span) -> int | None:
    """None where even the planner has to wait: somebody changes the source's tables."""
    row = _in_time(warehouse, span, "expected_rows_of_range", PATIENCE_MS, _bounds(span))
    return None if row is None else int(row[0][0]["Plan"]["Plan Rows"])


def _ahead(warehouse: Warehouse, span: Span, patience_ms: int) -> tuple[int, datetime | None]:
    row = _in_time(warehouse, span, "rows_ahead", patience_ms)
    return (0, None) if row is None else (row.row_count, row.newest_at)


def _in_time(
    warehouse: Warehouse, span: Span, name: str, patience_ms: int, binds: Mapping[str, datetime] | None = None
) -> Row[Any] | None:
    """The one row of a statement over the source of the span, unless it takes longer than this."""
    contract = sql.Identifier(span.rollup.family.contract)
    try:
        with warehouse.begin(Role.WRITER) as connection:
            statements.run(connection, "warehouse.sql", "limit_time", milliseconds=patience_ms)
            return statements.run_on(connection, "rollups.sql", name, binds=binds, contract=contract).one()
    except TooSlow:
        return None


def _bounds(span: Span) -> dict[str, datetime]:
    whole = span.whole
    return {"window_start": whole.start, "window_end": whole.end}
