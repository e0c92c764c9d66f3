"""What the ledger says of a period after its run; a statement of its own, after the rows are written.

In the same statement a new seal would make the guards refuse the rows.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from psycopg.types.json import Jsonb
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.engine.plan import Compute, Facts
from usage_pipeline.engine.prove import Found
from usage_pipeline.engine.rows import INSTANT
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.periods.calendar import Window
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.ledger import Entry

LEDGER: Final = sa.table(
    "rollup_ledger",
    sa.column("rollup", sa.Text),
    sa.column("period_start", INSTANT),
    sa.column("period_end", INSTANT),
    sa.column("state", sa.Text),
    sa.column("covered_until", INSTANT),
    sa.column("source_rows", sa.BigInteger),
    sa.column("states", pg.JSONB),
    sa.column("hourly_rows", pg.ARRAY(sa.BigInteger)),
    sa.column("stored_rows", sa.BigInteger),
    sa.column("totals", pg.JSONB),
    sa.column("checksum", sa.Text),
    sa.column("below", pg.JSONB),
    sa.column("kept_rows", sa.BigInteger),
    sa.column("kept", pg.JSONB),
    sa.column("run_id", sa.Text),
    sa.column("code_version", sa.Text),
    sa.column("computed_at", INSTANT),
    sa.column("sealed_at", INSTANT),
    sa.column("duration_ms", sa.BigInteger),
    schema="usage",
)


def entry(family: Family, plan: Compute, found: Found, before: Entry) -> Entry:
    """The period's row of the ledger after the run."""
    written = Entry(
        state=plan.state, covered_until=plan.covered_until, source_rows=found.source_rows,
        states=_states(family, plan, found, before), stored_rows=found.stored_rows,
        hourly_rows=found.hourly_rows, totals=found.totals, checksum=found.checksum,
        kept_rows=found.kept_rows, kept=found.kept,
    )  # fmt: skip
    if not plan.reads_one:
        return written
    is_partial = plan.state == "partial"  # nobody has counted the other units
    return replace(
        written, source_rows=0 if is_partial else found.totals[family.count],
        states={} if is_partial else written.states, hourly_rows=None,
        kept_rows=before.kept_rows, kept=before.kept,
    )  # fmt: skip


def _states(family: Family, plan: Compute, found: Found, before: Entry) -> dict[str, int]:
    """A state without a column is counted in raw rows only: from there up the ledger carries the count."""
    states = dict(found.states if plan.reads_one else found.computed_states)
    lower = [before.states] if plan.reads_one else [part.states for part in plan.parts]
    rows = found.totals[family.count] if plan.reads_one else found.source_rows
    rest = rows - sum(states[each.name] for each in family.states if each.column in family.table.c)
    for each in family.states:
        if each.name not in states:
            states[each.name] = min(sum(part.get(each.name, 0) for part in lower), rest)
    return states


def record(
    connection: Connection, grain: Grain, window: Window, facts: Facts, plan: Compute, entry: Entry,
    *, run_id: str, code_version: str, milliseconds: int,
) -> None:  # fmt: skip
    """Write what the run found; one that read a single unit says nothing of the others."""
    values: dict[str, Any] = {
        "state": entry.state, "covered_until": entry.covered_until, "stored_rows": entry.stored_rows,
        "source_rows": None if entry.state == "partial" else entry.source_rows, "states": entry.states,
        "hourly_rows": entry.hourly_rows, "totals": entry.totals, "checksum": entry.checksum,
        "computed_at": facts.clock,
    }  # fmt: skip
    if not plan.reads_one:
        values |= {
            "kept_rows": entry.kept_rows, "kept": entry.kept, "run_id": run_id, "code_version": code_version,
            "duration_ms": milliseconds,
        }  # fmt: skip
    if plan.below is not None and not (plan.is_raw and entry.kept):
        values["below"] = {f"{starts:%Y-%m-%d}": checksum for starts, checksum in plan.below.items()}
    if plan.seals:
        values["sealed_at"] = facts.clock
    binds = {
        f"new_{name}": Jsonb(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }
    row = {"of_rollup": grain.name, "of_period": window.start}
    statements.rows(connection, _update(tuple(values)), {**binds, **row})


@cache
def _update(columns: tuple[str, ...]) -> sa.Update:
    """The statement that sets these; composed once, as composing takes longer than executing."""
    is_row = (
        LEDGER.c.rollup == sa.bindparam("of_rollup"),
        LEDGER.c.period_start == sa.bindparam("of_period"),
    )
    return sa.update(LEDGER).where(*is_row).values({name: sa.bindparam(f"new_{name}") for name in columns})
