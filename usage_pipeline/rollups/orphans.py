"""Runs whose process is gone: Dagster cannot tell, and one that looks alive holds up the others."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from usage_pipeline.rollups import workers
from usage_pipeline.warehouse import backfills
from usage_pipeline.warehouse.backfills import Backfill
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    import dagster as dg


def left(warehouse: Warehouse) -> list[Backfill]:
    """The backfills that nobody works on and that did not come to their end."""
    with warehouse.begin(Role.WRITER) as connection:
        known = backfills.not_ended(connection)
    return [each for each in known if each.state in backfills.LEFT]


def bury(
    instance: "dg.DagsterInstance",
    warehouse: Warehouse,
    orphaned: Sequence[Backfill],
    *,
    taken_over: Collection[str] = (),
) -> None:
    """Report the runs of these, and those whose process is gone, as failed, if Dagster waits for them.

    Its daemon may then try again those that it launched itself, but for what somebody takes over now.
    """
    from usage_pipeline.rollups import runs

    lost = {each.run_ids[-1] for each in orphaned}
    for run in runs.unfinished(instance):
        if run.run_id in lost or workers.is_gone(run.run_id, run.tags, warehouse):
            if run.run_id in taken_over:
                instance.add_run_tags(run.run_id, {runs.RETRIES_TAG: "0"})
            now = instance.get_run_by_id(run.run_id)
            if now is None or now.is_finished:
                continue  # it came to its end, and its process with it, between the two looks
            instance.report_run_failed(now, message="Its process is gone; what it finished stays.")
