"""One day of tokens: lock, look, replace, prove, record, in one transaction."""

import time
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, RowMapping

from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups.rollup import Outcome, Rollup
from usage_pipeline.warehouse import ledger, statements
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.ledger import Coverage, Entry

ROLLUP: Final = "tokens_daily"
CODE_VERSION: Final = "1"
PERIOD_TYPE: Final = "daily"


def run_day(warehouse: Warehouse, window: Window, run_id: str) -> Outcome:
    """Recompute one day from its source; nothing is stored unless the books balance."""
    began = time.perf_counter()
    with warehouse.begin(Role.WRITER) as connection:
        coverage = ledger.take(connection, ROLLUP, window)
        written = _replace(connection, coverage)
        stored = _stored(connection, window)
        _require_conservation(window, written, stored)
        entry = _entry(written, stored)
        took = time.perf_counter() - began
        ledger.record(
            connection, ROLLUP, coverage, entry,
            run_id=run_id, code_version=CODE_VERSION, duration_ms=round(took * 1000),
        )  # fmt: skip
    return Outcome(
        ROLLUP, coverage, entry, written["inserted"], written["updated"], written["deleted"],
        time.perf_counter() - began,
    )  # fmt: skip


def ensure_partitions(warehouse: Warehouse, first: Window, last: Window) -> None:
    """Create the partitions the range needs, in a short transaction of its own."""
    with warehouse.begin(Role.WRITER) as connection:
        statements.run(
            connection, "rollups.sql", "ensure_partitions",
            period_type=PERIOD_TYPE, first=first.start, until=last.end,
        )  # fmt: skip


def _replace(connection: Connection, coverage: Coverage) -> RowMapping:
    window = coverage.window
    return (
        statements.run(
            connection, "rollups.sql", "replace_tokens_daily",
            window_start=window.start, window_end=window.end, covered_until=coverage.until,
        )
        .mappings()
        .one()
    )  # fmt: skip


def _stored(connection: Connection, window: Window) -> RowMapping:
    return (
        statements.run(
            connection, "rollups.sql", "stored_tokens",
            period_type=PERIOD_TYPE, window_start=window.start, window_end=window.end,
        )
        .mappings()
        .one()
    )  # fmt: skip


def _entry(written: RowMapping, stored: RowMapping) -> Entry:
    totals: Mapping[str, int] = stored["totals"]
    return Entry(
        source_rows=written["source_rows"],
        unattributed_rows=written["unattributed_rows"],
        total_only_rows=written["total_only_rows"],
        unmetered_rows=written["unmetered_rows"],
        refused_rows=written["refused_rows"],
        stored_rows=stored["stored_rows"],
        hourly_rows=written["hourly_rows"],
        totals=totals,
        checksum=stored["checksum"],
    )


def _require_conservation(window: Window, written: RowMapping, stored: RowMapping) -> None:
    """The source's own count, the computed rows and the stored rows must tell the same number."""
    counted = written["source_rows"], written["message_count"], stored["message_count"]
    if len(set(counted)) != 1:
        raise Refusal(
            f"{ROLLUP} of {window.start:%Y-%m-%d} was not stored",
            why="the source has {} answers, {} were computed and {} would be stored".format(*counted),
            fix="$ migrate status tells whether a function was altered; $ migrate apply makes it anew",
        )


DAILY: Final = Rollup(ROLLUP, Grain.DAILY, CODE_VERSION, ensure_partitions, run_day)
