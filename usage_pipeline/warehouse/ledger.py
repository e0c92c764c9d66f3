"""The ledger: lock a period before looking at it, and record what it was computed from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Window
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Coverage:
    """How far a run may read its window: the earlier of its end and the clock, read after the lock."""

    window: Window
    until: datetime


@dataclass(frozen=True)
class Entry:
    """What one run found and left, as the ledger keeps it."""

    source_rows: int
    unattributed_rows: int
    total_only_rows: int
    unmetered_rows: int
    refused_rows: int
    stored_rows: int
    totals: Mapping[str, int]
    checksum: str


def take(connection: Connection, rollup: str, window: Window) -> Coverage:
    """Insert the period's row if it is missing and lock it; only then look at the clock."""
    period = {"rollup": rollup, "period_start": window.start, "period_end": window.end}
    statements.run(connection, "warehouse.sql", "insert_ledger_row", **period)
    statements.run(connection, "warehouse.sql", "lock_ledger_row", rollup=rollup, period_start=window.start)
    until = statements.run(connection, "warehouse.sql", "covered_until", period_end=window.end).scalar_one()
    assert isinstance(until, datetime)
    return Coverage(window, max(until, window.start))


def record(
    connection: Connection, rollup: str, coverage: Coverage, entry: Entry, *, run_id: str, code_version: str
) -> None:
    """Write what the run found into the row it holds."""
    statements.run(
        connection,
        "warehouse.sql",
        "record_ledger_row",
        rollup=rollup,
        period_start=coverage.window.start,
        covered_until=coverage.until,
        run_id=run_id,
        code_version=code_version,
        **{**vars(entry), "totals": json.dumps(dict(entry.totals))},
    )
