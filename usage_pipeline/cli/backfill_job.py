"""What a person asks of `backfill`: one range of one asset, looked at before anything runs."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import REFUSED, USAGE, Refusal
from usage_pipeline.warehouse import backfills
from usage_pipeline.warehouse.backfills import Asked, Backfill
from usage_pipeline.warehouse.connections import Role, Warehouse

if TYPE_CHECKING:
    from usage_pipeline.rollups.rollup import Rollup
    from usage_pipeline.settings import Settings


@dataclass(frozen=True)
class Job:
    """A range of one asset, and the interrupted backfill it goes on with, if any."""

    rollup: "Rollup"
    asked: Asked
    before: Backfill | None = None

    @property
    def whole(self) -> Window:
        first, last = (calendar.window(self.rollup.grain, day) for day in (self.asked.first, self.asked.last))
        return Window(first.start, last.end)

    def tags(self, mark: str) -> dict[str, str]:
        """The range, and the runs that this one goes on after; no daemon tries again what a person typed."""
        from usage_pipeline.rollups import runs

        tags = {
            runs.RANGE_TAG: self.asked.first.isoformat(),
            runs.RANGE_END_TAG: self.asked.last.isoformat(),
            runs.RETRIES_TAG: "0",
            runs.TYPED_TAG: mark,
        }
        if self.before:
            tags |= {
                runs.BACKFILL_TAG: str(self.before.id),
                runs.ROOT_RUN_TAG: self.before.run_ids[0],
                "dagster/parent_run_id": self.before.run_ids[-1],
            }
        return tags


def asked_for(found: "Settings", asset: str, first: date, last: date) -> Job:
    """The job, once everything it stands on was looked at; it goes on where an interrupted one broke off."""
    from usage_pipeline.definitions import rollups, warehouse
    from usage_pipeline.rollups import readiness

    if asset not in rollups:
        raise Refusal(
            f"there is no asset `{asset}` to compute",
            why=f"known are: {', '.join(sorted(rollups))}",
            fix="correct the name",
            exit_code=USAGE,
        )
    check_range(found, first, last)
    adapter = readiness.require(warehouse, found.token_source)
    version = readiness.code_version(rollups[asset].code_version, adapter)
    count = sum(1 for _ in calendar.windows(rollups[asset].grain, first, last))
    job = Job(rollups[asset], Asked((asset,), first, last, version, count))
    _check_clock(warehouse, job)
    return replace(job, before=_unfinished(warehouse, job))


def _unfinished(warehouse: Warehouse, job: Job) -> Backfill | None:
    with warehouse.begin(Role.WRITER) as connection:
        before = backfills.unfinished(connection, job.asked)
    if before and before.state == "running":
        raise Refusal(
            f"backfill {before.id} of this range is running already",
            why=f"{before.finished_count} of {job.asked.period_count} days are finished",
            fix="wait for it; $ backfill --list shows how far it is",
            exit_code=REFUSED,
        )
    return before


def check_range(found: "Settings", first: date, last: date) -> None:
    """Both days are inclusive, in order, and have a partition."""
    today = datetime.now(UTC).date()
    if first > last:
        raise Refusal(f"--from {first} comes after --to {last}", fix="swap the two dates", exit_code=USAGE)
    if first < found.start:
        raise Refusal(
            f"--from {first} lies before the first day {found.start}",
            why="no partition begins earlier",
            fix=f"$ sources start {first}",
            exit_code=USAGE,
        )
    if last > today:
        raise Refusal(
            f"--to {last} has not come yet",
            why=f"today is {today} (UTC)",
            fix=f"end the range on {today} or before",
            exit_code=USAGE,
        )


def _check_clock(warehouse: Warehouse, job: Job) -> None:
    """A day that has not come by the database's clock would be computed, empty, and called done."""
    from usage_pipeline.rollups import planning

    now, _ = planning.clock(warehouse, job.rollup, job.whole)
    if job.asked.last > now.date():
        raise Refusal(
            f"--to {job.asked.last} has not come yet by the database's clock",
            why=f"it says {now:%Y-%m-%d %H:%M}, this machine {datetime.now(UTC):%Y-%m-%d %H:%M} (UTC)",
            fix=f"set the clock that is wrong, or end the range on {now.date()} or before",
            exit_code=USAGE,
        )
