"""Before a run reads: the schema and the policy are this process's, and the source hides nothing."""

import hashlib

from usage_pipeline.refusals import ATTENTION, Refusal
from usage_pipeline.rollups import functions
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse import policy
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.migrations import state


def code_version(own: str, adapter: Adapter) -> str:
    """The code that a range is computed by: the rollup's own version and the functions it reads through."""
    marks = "".join(file.mark for file in functions.wanted(adapter))
    return f"{own}+{hashlib.sha256(marks.encode()).hexdigest()[:12]}"


def require(warehouse: Warehouse, settings: Settings) -> Adapter:
    """The active adapter, once everything a run needs has been checked."""
    with warehouse.begin(Role.LOGIN) as connection:  # our roles may not exist yet; the source comes first
        adapter = access.active(connection, settings.token_source)
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
        policy.require(connection, settings)
        access.require_readable(connection, adapter, Role.WRITER)
    return adapter
