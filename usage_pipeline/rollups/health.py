"""Checks of what `migrate apply` makes: the schema, its functions, and the policy that the database owns."""

from typing import Final

from usage_pipeline.rollups import functions, tokens
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.warehouse import policy
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.findings import Check, Finding
from usage_pipeline.warehouse.migrations import engine


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


CHECKS: Final = (Check("migrations", migrations), Check("first day", first_day))
