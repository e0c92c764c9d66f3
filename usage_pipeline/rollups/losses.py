"""A source that lost its rows: how many days are compared, what a person can do, and what `doctor` says."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Row

from usage_pipeline.rollups.rollup import ROLLUPS, Rollup
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.findings import Check, Finding
from usage_pipeline.warehouse.roles import Role

NEWEST_DAYS: Final = 35
"""So many days are compared with their source after every run: an open one has been sealed long before."""
PATIENCE_MS: Final = 2000
RESTATE: Final = (
    "$ restate {asset} --from {first} --to {last} --reason WHY --accept-loss if they are really to go"
)
PURGED: Final = "$ sources horizon {after} if raw rows were purged"
_LONGEST_MS: Final = 60_000
_NAMED: Final = 3


def _source(rollup: Rollup, found: Settings, warehouse: Warehouse) -> Finding:
    """Whether the source is empty, or has lost most of a day that is stored."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
    with warehouse.begin(Role.READER) as connection:
        if any(each.obstacle for each in access.of(connection, adapter)):
            return Finding(True, "not compared: rows of the source are hidden from our roles")
        statements.run(connection, "warehouse.sql", "limit_time", milliseconds=_LONGEST_MS)
        looked_at = statements.run(
            connection, "rollups.sql", "check_source_holds_rows",
            rollup=rollup.name, window_start=None, window_end=None,
            newest_days=NEWEST_DAYS, patience_ms=_LONGEST_MS,
        ).all()  # fmt: skip
        source = statements.run(connection, "rollups.sql", "source_is_empty", rollup=rollup.name).one()
    lost = [row for row in looked_at if row.verdict == "broken"]
    if lost:
        return Finding(False, _named(lost), _remedies(rollup, lost))
    if source.is_empty:
        what = "the source holds none" if source.was_read else "the source holds none yet"
        return Finding(not source.was_read, what, "$ sources shows which tables are read")
    return Finding(True, "the source holds those that are stored of large days")


def _named(rows: Sequence[Row[Any]]) -> str:
    """The first day with its numbers, the next by name, and how many more."""
    others = [f"{row.period_start:%Y-%m-%d}" for row in rows[1 : 1 + _NAMED]]
    more = [f"{len(rows) - 1 - _NAMED:,} more"] if len(rows) > 1 + _NAMED else []
    also = f"; also {', '.join([*others, *more])}" if others else ""
    return f"{rows[0].period_start:%Y-%m-%d}: {rows[0].why}{also}"


def _remedies(rollup: Rollup, rows: Sequence[Row[Any]]) -> str:
    first, last = rows[0].period_start.date(), rows[-1].period_start.date()
    return f"{RESTATE}\n{PURGED}".format(
        asset=rollup.name, first=first, last=last, after=last + timedelta(days=1)
    )


CHECKS: Final = tuple(
    Check(each.family.words.events, partial(_source, each)) for each in ROLLUPS.values() if each.reads_raw
)
