"""A check, looked at as after a run; and the faults that nobody but a superuser can make."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from typing import Any, Final

import dagster as dg
import psycopg

from usage_pipeline.definitions import defs
from usage_pipeline.periods import calendar, partitions
from usage_pipeline.rollups import check_results, check_runs, checks, runs
from usage_pipeline.rollups.check import Bind, Check
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.warehouse.connections import Warehouse

CHECKS: Final[dict[str, Sequence[Check]]] = {name: checks.of(each) for name, each in ROLLUPS.items()}
REGISTERED: Final = defs.resolve_asset_graph().asset_check_keys
DELETION: Final = "delete from usage.user_token_usage where"
_COMMAND: Final = re.compile(r"usage-pipeline (backfill|restate) (\w+) --from (\S+) --to (\S+)")
LEDGER_DELETION: Final = "delete from usage.rollup_ledger where"


def look(
    warehouse: Warehouse, asset: str, name: str, *days: date,
    instance: dg.DagsterInstance | None = None, **binds: Bind,
) -> dg.AssetCheckResult:  # fmt: skip
    """After a run from the period that holds one day to that of another; launched alone without a day.

    With an instance the result is written to its log, and what it found before counts.
    """
    (check,) = (each for each in CHECKS[asset] if each.name == name)
    check = replace(check, binds={**check.binds, **binds})
    with ExitStack() as opened:
        log = instance or opened.enter_context(dg.DagsterInstance.ephemeral())
        found = check_runs.result(log, warehouse, ROLLUPS[asset], check, tags(asset, *days))
        log.report_runless_asset_event(check_results.evaluation(found))
        return found


def tags(asset: str, *days: date) -> dict[str, str]:
    """What Dagster writes on a run over these periods."""
    grain = ROLLUPS[asset].grain
    keys = [partitions.key(grain, calendar.window(grain, day)) for day in days]
    return {runs.RANGE_TAG: keys[0], runs.RANGE_END_TAG: keys[-1]} if keys else {}


def obey(warehouse: Warehouse, result: dg.AssetCheckResult) -> None:
    """Do what the printed commands do, a person agreeing."""
    commands = _COMMAND.findall(said(result))
    assert commands, said(result)
    for verb, asset, first, last in commands:
        grain = ROLLUPS[asset].grain
        intent: dict[str, Any] = {"intent": "accept", "reason": "altered"} if verb == "restate" else {}
        for each in calendar.windows(grain, date.fromisoformat(first), date.fromisoformat(last)):
            ROLLUPS[asset].compute(warehouse, each, "mended", **intent)


def said(result: dg.AssetCheckResult) -> str:
    assert result.description is not None
    assert "\n" not in result.description
    return result.description


def number(result: dg.AssetCheckResult, name: str) -> object:
    return result.metadata[name].value


def broken(result: dg.AssetCheckResult) -> list[dict[str, object]]:
    """The table of the periods that are red, a dictionary each."""
    table = result.metadata["broken"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def alter_rows(connection: psycopg.Connection, asset: str, day: date, change: str) -> None:
    """Rows of the period that holds a day, as nobody may: `change` is what to set, and may say of which."""
    what, _, whose = change.partition(" where ")
    start = calendar.window(ROLLUPS[asset].grain, day).start
    bounds = "period_type = %s and period_start = %s and " + (whose or "true")
    text = DELETION if what == "gone" else f"update usage.user_token_usage set {what} where"  # noqa: S608
    connection.execute(f"{text} {bounds}".encode(), [ROLLUPS[asset].grain.value, start])


def alter_ledger(connection: psycopg.Connection, asset: str, day: date, change: str) -> None:
    """The ledger's row of the period that holds a day."""
    start = calendar.window(ROLLUPS[asset].grain, day).start
    text = LEDGER_DELETION if change == "gone" else f"update usage.rollup_ledger set {change} where"  # noqa: S608
    connection.execute(f"{text} rollup = %s and period_start = %s".encode(), [asset, start])


def stored(connection: psycopg.Connection) -> object:
    """What changes whenever a row of ours is written."""
    return [
        connection.execute(f"select xmin::text, ctid::text from {table} order by 1, 2".encode()).fetchall()  # noqa: S608
        for table in ("usage.user_token_usage", "usage.rollup_ledger", "usage.restatements")
    ]
