"""Checks of what `migrate apply` makes: the schema, its functions, and the policy that the database owns."""

from typing import Final

from usage_pipeline.rollups import functions, tokens
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.warehouse import policy, statements
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
        there = policy.require(connection, found, tokens.FAMILY)
    return Finding(True, f"{there.first_day}; a period is sealed {there.grace_days} days after its end")


def stored_rows(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether the rows that the ledger counts exist: a restore may have brought the one without the other."""
    with warehouse.begin(Role.READER) as connection:
        lost = statements.run(connection, "rollups.sql", "missing_rows").mappings().all()
    if not lost:
        return Finding(True, "every period that the ledger counts rows of has rows")
    first = lost[0]
    return Finding(
        False,
        f"{len(lost):,} periods have no row, and the ledger counts some: the first is {first['rollup']} of"
        f" {first['period_start']:%Y-%m-%d} ({first['stored_rows']:,} rows)",
        "restore usage.user_token_usage from the same dump as usage.rollup_ledger: docs/back-up.md",
    )


CHECKS: Final = (
    Check("migrations", migrations),
    Check("first day", first_day),
    Check("stored rows", stored_rows),
)
