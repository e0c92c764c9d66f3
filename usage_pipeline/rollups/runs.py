"""A Dagster run of a rollup: recorded, taken up where it broke off, a transaction a period."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Final

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods import partitions
from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import metadata, ranges, readiness, workers
from usage_pipeline.rollups.ranges import Failed
from usage_pipeline.rollups.rollup import Outcome, Rollup, Span
from usage_pipeline.warehouse import backfills, ledger, presence
from usage_pipeline.warehouse.backfills import Held
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import Unusable
from usage_pipeline.warehouse.roles import Role

BACKFILL_TAG: Final = "usage/backfill"
TYPED_TAG: Final = "usage/typed"  # by a person who watches it: an interrupt is theirs, and no failure
RETRIES_TAG: Final = "dagster/max_retries"
RANGE_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
ROOT_RUN_TAG: Final = "dagster/root_run_id"
_OF_ONE_PROCESS: Final = frozenset(("in_process", "execute_in_process_executor"))
"""The executors whose run is one process; any other gives each step its own, which ends before the run."""
_TAKEN_UP: Final[set[str]] = set()
"""The runs of this process that say so already."""


class Incomplete(dg.Failure):
    """Some periods were refused; every other one was computed."""

    def __init__(self, rollup: Rollup, failed: Sequence[Failed]) -> None:
        super().__init__(_blame(rollup, failed), allow_retries=False)
        self.failed = failed
        self.looked_at: Sequence[dg.AssetCheckEvaluation] = ()


@dataclass(frozen=True)
class Command:
    """What a command gives the runs of its own process: the record that they join, and who watches."""

    held: Held
    watch: Callable[[Outcome], None]


@dataclass
class _Progress:
    """What is committed so far, by partition, and what failed."""

    watch: Callable[[Outcome], None]
    done: dict[str, Outcome] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.done[partitions.key(outcome.rollup.grain, outcome.window)] = outcome
        self.watch(outcome)


def run(
    context: dg.AssetExecutionContext, warehouse: Warehouse, rollup: Rollup, command: Command | None
) -> dg.MaterializeResult[None]:
    """Compute the partitions of this run; one that fails is the only one missing."""
    days = days_of(context)
    span = Span.holding(rollup, days[0], days[-1])
    progress = _Progress(command.watch if command else lambda _: None)
    take_up(context, warehouse)
    try:
        with _recorded(context, warehouse, span, command) as held:
            span.ensure_partitions(warehouse)
            _compute(warehouse, span, progress, held, context.run.run_id)
    except Refusal as refusal:
        report(context.instance, progress.done.values())
        raise dg.Failure(str(refusal), allow_retries=False) from None
    except BaseException:
        report(context.instance, progress.done.values())
        if TYPED_TAG in context.run.tags:
            context.instance.report_run_canceling(context.run)
        raise
    if progress.failed:
        report(context.instance, progress.done.values())
        raise Incomplete(rollup, progress.failed)
    for key, outcome in progress.done.items():
        context.add_asset_metadata(metadata.of_period(outcome), partition_key=key)
    return dg.MaterializeResult()


def take_up(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, warehouse: Warehouse) -> None:
    """The run says which process works on it, so that it is not waited for when that is gone."""
    if context.op_execution_context.job_def.executor_def.name not in _OF_ONE_PROCESS:
        return
    run = context.run
    if run.run_id not in _TAKEN_UP and not workers.tells_of(run.run_id, run.tags):
        context.instance.add_run_tags(run.run_id, workers.tags(run.run_id, presence.name(warehouse)))
    _TAKEN_UP.add(run.run_id)  # a later step of it has the tags of its beginning


def unfinished(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """The runs that Dagster believes to be at work."""
    status = dg.DagsterRunStatus
    at_work = [status.NOT_STARTED, status.STARTING, status.STARTED, status.CANCELING]
    return instance.get_runs(dg.RunsFilter(statuses=at_work))


@contextmanager
def _recorded(
    context: dg.AssetExecutionContext, warehouse: Warehouse, span: Span, command: Command | None
) -> Iterator[Held | None]:
    """The backfill that this run is part of: its command's, else its own; a single partition has none."""
    run_id, tags = context.run.run_id, context.run.tags
    if command:  # which has looked whether everything is ready
        command.held.join(run_id)
        yield command.held
        return
    adapter = readiness.require(warehouse, settings.load())
    if RANGE_TAG not in tags:
        yield None
        return
    asked = span.asked(readiness.code_version(span.rollup.code_version, adapter))
    known = tags.get(BACKFILL_TAG, "")
    with backfills.held(
        warehouse, asked, run_id=run_id, root_run_id=tags.get(ROOT_RUN_TAG),
        backfill_id=int(known) if re.fullmatch("[0-9]{1,9}", known) else None,
    ) as held:  # fmt: skip
        context.instance.add_run_tags(run_id, {BACKFILL_TAG: str(held.id)})
        yield held


def _compute(warehouse: Warehouse, span: Span, progress: _Progress, held: Held | None, run_id: str) -> None:
    """Every period that no earlier run of the same backfill has finished."""
    kept = _kept(warehouse, span, held) if held else {}
    for outcome in kept.values():
        progress.add(outcome)
    rest = [window for window in span.windows if window not in kept]
    compute = partial(span.rollup.compute, warehouse, run_id=run_id)
    for ended in ranges.run(rest, compute, connections=warehouse.connections):
        if isinstance(ended, Failed):
            progress.failed.append(ended)
        else:
            progress.add(ended.result)
        if held:
            held.require_session()
    _require_usable(progress.failed)
    if held and progress.failed:
        held.has_failed = True


def _require_usable(failed: Sequence[Failed]) -> None:
    """A range that lost its database is interrupted, and goes on; it did not come to its end."""
    for each in failed:
        if isinstance(each.refusal, Unusable):
            raise each.refusal


def _kept(warehouse: Warehouse, span: Span, held: Held) -> Mapping[Window, Outcome]:
    """What earlier runs of the backfill have finished, oldest first."""
    rollup = span.rollup
    with warehouse.begin(Role.WRITER) as connection:
        found = ledger.finished(
            connection, rollup.name, span.whole, run_ids=held.run_ids, code_version=rollup.code_version
        )
    return {
        window: Outcome(rollup, window, "computed", entry, entry.totals, 0, 0, 0, 0.0, is_kept=True)
        for window, entry in sorted(found.items())
    }


def days_of(context: dg.AssetExecutionContext) -> Sequence[date]:
    """The first days of the partitions of a run; Dagster also starts one that has none."""
    days = partitions.days(context.partition_keys)
    if not days:
        raise dg.Failure("the range holds no partition: does it end before it begins?", allow_retries=False)
    return days


def report(instance: dg.DagsterInstance, outcomes: Iterable[Outcome]) -> None:
    """Tell Dagster what is committed and no run will: one that failed counts as nothing done."""
    for each in outcomes:
        key = partitions.key(each.rollup.grain, each.window)
        report_partition(instance, dg.AssetKey(each.rollup.name), key, metadata.of_period(each))


def report_partition(
    instance: dg.DagsterInstance, asset: dg.AssetKey, key: str, known: Mapping[str, dg.MetadataValue]
) -> None:
    """One partition is materialized, whatever becomes of the run that did it."""
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, metadata=dict(known)))


def _blame(rollup: Rollup, failed: Sequence[Failed]) -> str:
    """Which period failed first and why, and how many were not computed in all."""
    first = min(failed, key=lambda each: each.window)
    others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"{partitions.key(rollup.grain, first.window)}{others} not computed: {first.refusal}"
