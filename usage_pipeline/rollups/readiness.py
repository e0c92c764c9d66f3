"""Before a run reads: the schema is this code's, and the source hides nothing."""

import hashlib

from usage_pipeline.refusals import ATTENTION, Refusal
from usage_pipeline.rollups import functions
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse import ledger
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.migrations import state


def code_version(own: str, adapter: Adapter) -> str:
    """The code that a range is computed by: the rollup's own version and the functions it reads through."""
    marks = "".join(file.mark for file in functions.wanted(adapter))
    return f"{own}+{hashlib.sha256(marks.encode()).hexdigest()[:12]}"


def record_policy(warehouse: Warehouse, family: str, found: Settings) -> None:
    """The stack's first day and grace, told to the database, whose functions ask there."""
    with warehouse.begin(Role.WRITER) as connection:
        ledger.record_policy(connection, family, first_day=found.start, grace_days=found.tokens_grace_days)


def require(warehouse: Warehouse, chosen: str | None) -> Adapter:
    """The active adapter, once everything a run stands on has been looked at."""
    with warehouse.begin(Role.LOGIN) as connection:  # our roles may not exist yet; the source comes first
        adapter = access.active(connection, chosen)
        access.require_tables(connection, adapter)
    with warehouse.begin(Role.WRITER) as connection:
        found = state.read(connection, functions.wanted(adapter))
        if not found.is_current:
            what = ", ".join(found.waiting)
            raise Refusal(
                "migrations are pending",
                why=f"not applied yet: {what}",
                fix="$ migrate apply",
                exit_code=ATTENTION,
            )
        access.require_readable(connection, adapter, Role.WRITER)
    return adapter
