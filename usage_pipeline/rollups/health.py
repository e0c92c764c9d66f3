"""The check of what `migrate apply` makes: whether the schema and its functions are this code's."""

from typing import Final

from usage_pipeline.rollups import functions
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
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


CHECKS: Final = (Check("migrations", migrations),)
