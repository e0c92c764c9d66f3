"""The run of one period: look, decide, replace, prove, record, in one transaction."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.engine import look, record, words
from usage_pipeline.engine.decide import decide
from usage_pipeline.engine.look import Seen
from usage_pipeline.engine.plan import Compute, Intent, Leave, Refuse
from usage_pipeline.engine.prove import Found, prove
from usage_pipeline.engine.replace import Shape, replace, unchanged
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.periods.calendar import Window
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.ledger import Entry

_FROM_RAW: Final = "the source has more"
_FROM_BELOW: Final = "the periods below it changed"


@dataclass(frozen=True)
class Order:
    """What is to be run, why, by whom; `unit` is the only one that is restated or brought up to date."""

    family: Family
    grain: Grain
    window: Window
    run_id: str
    intent: Intent = Intent.RUN
    unit: UUID | str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Ran:
    """The period's row of the ledger after the run and before it, and how many rows were written."""

    entry: Entry
    before: Entry
    inserted: int
    updated: int
    deleted: int


class Left(Exception):  # noqa: N818 - the run succeeds; the transaction is rolled back
    """Nothing was to be done: the period is pruned, or before the source's horizon."""

    def __init__(self, leave: Leave, entry: Entry) -> None:
        super().__init__(leave.reason.name)
        self.leave = leave
        self.entry = entry


def run(connection: Connection, order: Order) -> Ran:
    """Run one period. What is refused or left raises, so that its new ledger row is rolled back too."""
    began = time.perf_counter()
    family, grain = order.family, order.grain
    seen = look.look(connection, family, grain, order.window)
    plan = decide(seen.facts, order.intent, is_one=order.unit is not None)
    if isinstance(plan, Refuse):
        raise words.refusal(family, grain, seen, plan, order.unit)
    if isinstance(plan, Leave):
        raise Left(plan, seen.entry)
    found = _stays(connection, order, seen) if plan.is_unchanged else _replace(connection, order, plan)
    refused = prove(seen.facts, plan, found, count=family.count, added=family.added)
    if refused:
        raise words.refusal(family, grain, seen, refused, order.unit)
    entry = record.entry(family, plan, found, seen.entry)
    record.record(
        connection, grain, order.window, seen.facts, plan, entry,
        run_id=order.run_id, code_version=family.code_version,
        milliseconds=round(1000 * (time.perf_counter() - began)),
    )  # fmt: skip
    return Ran(entry, seen.entry, found.inserted, found.updated, found.deleted)


def _replace(connection: Connection, order: Order, plan: Compute) -> Found:
    if plan.is_raw and order.grain.below:
        statements.run(connection, "engine.sql", "require_readable")  # `look` asks it of days only
    shape = Shape(plan.is_raw, plan.is_recorded, plan.keeps, plan.reads_one, plan.writes_one)
    binds = {
        "window_start": order.window.start,
        "window_end": order.window.end,
        "covered_until": plan.covered_until,
        "period_starts": [each.starts for each in plan.parts],
        "only": order.unit,
        "reason": order.reason or (_FROM_RAW if plan.is_raw else _FROM_BELOW),
        "run_id": order.run_id,
    }
    (row,) = statements.rows(connection, replace(order.family, order.grain, shape), binds)
    return Found(**{**row, "hourly_rows": _hours(row)})


def _hours(row: Mapping[str, Any]) -> list[int] | None:
    """24 counts; before the first row of a day there are none to group."""
    if "hourly_rows" not in row:
        return None
    hours: dict[str, Any] | None = row["hourly_rows"]
    return [int((hours or {}).get(str(hour), 0)) for hour in range(24)]


def _stays(connection: Connection, order: Order, seen: Seen) -> Found:
    """A period whose source is gone: its rows are only compared with what its last run left."""
    family, before = order.family, seen.entry
    binds = {"window_start": order.window.start, "window_end": order.window.end}
    (row,) = statements.rows(connection, unchanged(family, order.grain), binds)
    is_counted = before.state != "partial"  # what only a call for one unit filled has no counts of its own
    rows = before.source_rows if is_counted else row["totals"][family.count]
    return Found(
        **row, inserted=0, updated=0, deleted=0, source_rows=rows, hourly_rows=before.hourly_rows,
        computed_rows=rows, computed_states=before.states if is_counted else row["states"],
        kept_rows=before.kept_rows, kept=before.kept,
    )  # fmt: skip
