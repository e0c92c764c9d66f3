"""Runs whose process is gone: Dagster cannot tell, and one that looks alive holds up the others."""

from collections.abc import Sequence

import dagster as dg

from usage_pipeline.warehouse import backfills
from usage_pipeline.warehouse.backfills import Backfill
from usage_pipeline.warehouse.connections import Role, Warehouse


def bury(instance: dg.DagsterInstance, known: Sequence[Backfill]) -> list[str]:
    """Report the runs of interrupted backfills as failed, if Dagster still waits for them; their ids."""
    buried = []
    for each in known:
        run = instance.get_run_by_id(each.run_ids[-1]) if each.state == "interrupted" else None
        if run and not run.is_finished:
            instance.report_run_failed(
                run, message="Its process ended without a word; what it finished stays."
            )
            buried.append(run.run_id)
    return buried


def known_to(warehouse: Warehouse) -> list[Backfill]:
    """The last backfills, as far as an orphan can be among them."""
    with warehouse.begin(Role.WRITER) as connection:
        return backfills.newest(connection)
