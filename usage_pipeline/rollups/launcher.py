"""Dagster's own run launcher, which also knows whether the process behind a run is still there."""

from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun

from usage_pipeline.rollups import workers


class StackLauncher(DefaultRunLauncher):
    """The daemon asks it of every run at work, also of those that a person typed and it did not launch."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if workers.is_gone(run.run_id, run.tags):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its process is gone; what it finished stays")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
