"""What is due: it stands in the ledger, not in anybody's memory of nights."""

from dataclasses import dataclass

from usage_pipeline.periods.calendar import Window
from usage_pipeline.rollups.rollup import Rollup
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role


@dataclass(frozen=True)
class Due:
    """A period that a run would bring up to date, and why; `due_periods.sql` has the reasons."""

    window: Window
    reason: str


def periods(warehouse: Warehouse, rollup: Rollup) -> list[Due]:
    """What is due of one rollup by the database's clock, oldest first; finer rollups run before coarser."""
    with warehouse.begin(Role.WRITER) as connection:
        rows = statements.run(connection, "derived.sql", "due_periods", rollup=rollup.name)
        return [Due(Window(row.period_start, row.period_end), row.reason) for row in rows]
