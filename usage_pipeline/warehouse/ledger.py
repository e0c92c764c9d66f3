"""The ledger: lock a period before looking at it, and record what it was computed from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Coverage:
    """How far a run may read its window: the earlier of its end and the clock, read after the lock.

    `before` are the sums that the last run left: empty if there was none.
    """

    window: Window
    until: datetime
    before: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """What one run found and left, as the ledger keeps it."""

    source_rows: int
    unattributed_rows: int
    total_only_rows: int
    unmetered_rows: int
    refused_rows: int
    stored_rows: int
    hourly_rows: Sequence[int] | None
    totals: Mapping[str, int]
    checksum: str


def take(connection: Connection, rollup: str, window: Window) -> Coverage:
    """Insert the period's row if it is missing and lock it; only then look at the clock."""
    period = {"rollup": rollup, "period_start": window.start, "period_end": window.end}
    statements.run(connection, "warehouse.sql", "insert_ledger_row", **period)
    left = statements.run(
        connection, "warehouse.sql", "lock_ledger_row", rollup=rollup, period_start=window.start
    ).one()
    until = statements.run(connection, "warehouse.sql", "covered_until", period_end=window.end).scalar_one()
    assert isinstance(until, datetime)
    if until < window.start:
        raise Refusal(
            f"{rollup} of {window.start:%Y-%m-%d} has not come yet by the database's clock",
            why=f"it says {until:%Y-%m-%d %H:%M} (UTC)",
            fix="wait until it has, or set the clock that is wrong",
        )
    return Coverage(window, until, left.totals)


def record(
    connection: Connection,
    rollup: str,
    coverage: Coverage,
    entry: Entry,
    *,
    run_id: str,
    code_version: str,
    duration_ms: int,
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
        duration_ms=duration_ms,
        **{
            **vars(entry),
            "totals": json.dumps(dict(entry.totals)),
            "hourly_rows": None if entry.hourly_rows is None else list(entry.hourly_rows),
        },
    )


def finished(
    connection: Connection, rollup: str, whole: Window, *, run_ids: Sequence[str], code_version: str
) -> dict[Window, Entry]:
    """The periods within a window that one of these runs has read to their end, as it left them."""
    rows = statements.run(
        connection, "warehouse.sql", "ledger_rows_of_runs",
        rollup=rollup, window_start=whole.start, window_end=whole.end,
        run_ids=list(run_ids), code_version=code_version,
    ).mappings()  # fmt: skip
    return {
        Window(row["period_start"], row["period_end"]): Entry(
            **{each.name: row[each.name] for each in fields(Entry)}
        )
        for row in rows
    }
