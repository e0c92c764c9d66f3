"""Runs whose process is gone: Dagster cannot tell, and one that looks alive holds up the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from usage_pipeline.warehouse import backfills
from usage_pipeline.warehouse.backfills import Backfill
from usage_pipeline.warehouse.connections import Role, Warehouse

if TYPE_CHECKING:
    import dagster as dg


def left(warehouse: Warehouse) -> list[Backfill]:
    """The last backfills that nobody works on and that did not come to their end."""
    with warehouse.begin(Role.WRITER) as connection:
        known = backfills.newest(connection)
    return [each for each in known if each.state in ("interrupted", "superseded")]


def bury(instance: "dg.DagsterInstance", orphaned: Sequence[Backfill]) -> None:
    """Report their last runs as failed, if Dagster still waits for them; its daemon may then try again."""
    for each in orphaned:
        run = instance.get_run_by_id(each.run_ids[-1])
        if run and not run.is_finished:
            instance.report_run_failed(run, message="Its process is gone; what it finished stays.")
