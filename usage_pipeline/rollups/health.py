"""Checks of what `migrate apply` makes: the schema, its functions, and the policy that the database owns."""

from typing import Any, Final

import sqlalchemy as sa

from usage_pipeline.engine.record import LEDGER
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.rollups import functions
from usage_pipeline.rollups.rollup import ROLLUPS, Rollup
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.warehouse import policy
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.findings import Check, Finding
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline.warehouse.roles import Role


def migrations(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether a revision waits, or a function is missing or was altered."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
    state = engine.status(warehouse, functions.wanted(adapter))
    if state.waiting:
        return Finding(False, f"pending: {', '.join(state.waiting)}", "$ migrate apply")
    return Finding(True, f"current, at {state.revisions[-1]}")


def first_day(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether this process and the database agree on the first day and the grace."""
    with warehouse.begin(Role.READER) as connection:
        there = policy.require(connection, found, TOKENS.name)
    return Finding(True, f"{there.first_day}; a period is sealed {there.grace_days} days after its end")


def stored_rows(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether the rows that the ledger counts exist: a restore may have brought the one without the other."""
    with warehouse.begin(Role.READER) as connection:
        lost = connection.execute(sa.union_all(*map(_missing, ROLLUPS.values()))).mappings().all()
    if not lost:
        return Finding(True, "every period that the ledger counts rows of has rows")
    first = min(lost, key=lambda row: (row["period_start"], row["rollup"]))
    return Finding(
        False,
        f"{len(lost):,} periods have no row, and the ledger counts some: the first is {first['rollup']} of"
        f" {first['period_start']:%Y-%m-%d} ({first['stored_rows']:,} rows)",
        f"restore {first['stored_in']} from the same dump as usage.rollup_ledger: docs/back-up.md",
    )


def _missing(rollup: Rollup) -> sa.Select[Any]:
    """One probe of the key for each period; pruned ones have no row by design."""
    table = rollup.family.table
    has_rows = sa.exists().where(
        table.c[rollup.family.grain_column] == rollup.level.stored_as,
        table.c.period_start >= LEDGER.c.period_start,
        table.c.period_start < LEDGER.c.period_end,
    )
    stored_in = sa.literal(str(table)).label("stored_in")
    lacking = (LEDGER.c.stored_rows > 0, LEDGER.c.state != "pruned", ~has_rows)
    return sa.select(LEDGER.c.rollup, LEDGER.c.period_start, LEDGER.c.stored_rows, stored_in).where(
        LEDGER.c.rollup == rollup.name, *lacking
    )


CHECKS: Final = (
    Check("migrations", migrations),
    Check("first day", first_day),
    Check("stored rows", stored_rows),
)
