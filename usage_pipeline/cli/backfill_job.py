"""What a person asks of `backfill`: a range of some assets, looked at before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final

from usage_pipeline.cli import asked
from usage_pipeline.periods import clock
from usage_pipeline.refusals import REFUSED, USAGE, Refusal
from usage_pipeline.warehouse import backfills, presence
from usage_pipeline.warehouse.backfills import Asked, Backfill
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    import dagster as dg

    from usage_pipeline.rollups.rollup import Rollup, Span
    from usage_pipeline.settings import Settings

ALL: Final = "all"


@dataclass(frozen=True)
class Job:
    """A range of some assets, finest grain first, and the interrupted backfill it goes on with, if any."""

    spans: "tuple[Span, ...]"
    asked: Asked
    before: Backfill | None = None

    @property
    def names(self) -> str:
        return ", ".join(self.asked.assets)


def tags(warehouse: Warehouse, span: "Span", backfill_id: int, run_id: str) -> dict[str, str]:
    """The range and what it is part of; no daemon tries again what a person typed."""
    from usage_pipeline.periods import partitions
    from usage_pipeline.rollups import runs, workers

    first, last = partitions.ends(span.rollup.grain, span.windows)
    return {
        runs.RANGE_TAG: first,
        runs.RANGE_END_TAG: last,
        runs.RETRIES_TAG: "0",
        runs.TYPED_TAG: "yes",
        **workers.tags(run_id, presence.name(warehouse)),
        runs.BACKFILL_TAG: str(backfill_id),
    }


def earlier_tries(
    instance: "dg.DagsterInstance", span: "Span", backfill_id: int, run_ids: Sequence[str]
) -> Mapping[str, str]:
    """Tags by which Dagster shows a run as one more try of those that the same backfill made of the asset."""
    import dagster as dg

    from usage_pipeline.rollups import runs

    made = instance.get_runs(dg.RunsFilter(run_ids=list(run_ids), tags={runs.BACKFILL_TAG: str(backfill_id)}))
    tries = [each for each in made if each.asset_selection == {dg.AssetKey(span.rollup.name)}]
    if not tries:
        return {}
    return {runs.ROOT_RUN_TAG: tries[-1].run_id, "dagster/parent_run_id": tries[0].run_id}  # newest first


def asked_for(found: "Settings", warehouse: Warehouse, names: Sequence[str], first: date, last: date) -> Job:
    """The job, once everything it stands on was looked at; it goes on where an interrupted one broke off."""
    from usage_pipeline.rollups import readiness
    from usage_pipeline.rollups.rollup import Span

    chosen = _chosen(names)
    adapter = readiness.require(warehouse, found)
    for each in chosen:
        asked.check_range(found, each.grain, first, last)
    version = readiness.code_version(_own_version(chosen), adapter)
    job = _job(tuple(Span.holding(each, first, last) for each in chosen), first, last, version)
    _check_clock(warehouse, job, last)
    return replace(job, before=_unfinished(warehouse, job))


def _chosen(names: Sequence[str]) -> "list[Rollup]":
    """Finest grain first, whatever order they were named in, and each once."""
    from usage_pipeline.rollups.rollup import ROLLUPS

    unknown = [each for each in names if each not in ROLLUPS and each != ALL]
    if unknown:
        raise Refusal(
            f"there is no asset `{unknown[0]}` to compute",
            why=f"known are: {', '.join(ROLLUPS)}; `{ALL}` means them all",
            fix="correct the name",
            exit_code=USAGE,
        )
    return [rollup for name, rollup in ROLLUPS.items() if name in names or ALL in names]


def _own_version(chosen: "Sequence[Rollup]") -> str:
    """One where they agree, else each asset's, in their order."""
    versions = [each.code_version for each in chosen]
    return versions[0] if len(set(versions)) == 1 else ",".join(versions)


def _job(spans: "tuple[Span, ...]", first: date, last: date, version: str) -> Job:
    """A range of one asset is that of its periods, as Dagster's own runs record it."""
    if len(spans) == 1:
        return Job(spans, spans[0].asked(version))
    assets = tuple(each.rollup.name for each in spans)
    return Job(spans, Asked(assets, first, last, version, sum(len(each.windows) for each in spans)))


def _unfinished(warehouse: Warehouse, job: Job) -> Backfill | None:
    with warehouse.begin(Role.WRITER) as connection:
        before = backfills.unfinished(connection, job.asked)
    if before and before.state == "running":
        raise Refusal(
            f"backfill {before.id} of this range is running already",
            why=f"{before.finished_count} of {job.asked.period_count} periods are finished",
            fix="wait for it; $ backfill --list shows how far it is",
            exit_code=REFUSED,
        )
    return before


def _check_clock(warehouse: Warehouse, job: Job, last: date) -> None:
    """A day that has not come by the database's clock would be computed, empty, and called done."""
    from usage_pipeline.rollups import planning

    now, _ = planning.clock(warehouse, job.spans[0].rollup, job.spans[0].whole)
    if last > now.date():
        raise Refusal(
            f"--to {last} has not come yet by the database's clock",
            why=f"it says {now:%Y-%m-%d %H:%M}, this machine {clock.now():%Y-%m-%d %H:%M} (UTC)",
            fix=f"set the clock that is wrong, or end the range on {now.date()} or before",
            exit_code=USAGE,
        )
