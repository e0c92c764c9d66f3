"""Dagster's own run launcher, which also knows whether the process behind a run is still there."""

from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import workers
from usage_pipeline.warehouse.connections import open_warehouse


class StackLauncher(DefaultRunLauncher):
    """The daemon asks it of every run at work, also of those that a person typed and it did not launch."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if _is_gone(run):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its process is gone; what it finished stays")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def _is_gone(run: DagsterRun) -> bool:
    """Where nothing is seen from here and the database cannot be asked, nobody is taken for gone."""
    seen = workers.is_gone_from_here(run.run_id, run.tags)
    if seen is not None:
        return seen
    try:
        warehouse = open_warehouse(settings.load())
        try:
            return workers.has_let_go(run.run_id, run.tags, warehouse)
        finally:
            warehouse.dispose()
    except Refusal:
        return False
