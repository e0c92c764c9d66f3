"""`backfill ASSET --from --to`: a range of days, in this process, on the stack's Dagster instance."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from usage_pipeline.cli import console, stack
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import session

if TYPE_CHECKING:
    from usage_pipeline.rollups.rollup import Outcome
    from usage_pipeline.settings import Settings


@click.command()
@click.argument("asset")
@click.option("--from", "first", type=console.DAY, required=True, help="First day, UTC.")
@click.option("--to", "last", type=console.DAY, required=True, help="Last day, inclusive.")
def backfill(asset: str, first: date, last: date) -> None:
    """Compute a range of days again from the source; nothing changes where nothing differs."""
    with stack.ending_on_signals(), session.opened(dagster=True) as (found, _):
        check_range(found, first, last)
        outcomes = run(found, asset, first, last)
    for line in summary(outcomes):
        console.narrate(line)


def run(found: "Settings", asset: str, first: date, last: date) -> "list[Outcome]":
    """Run the asset over the range as one Dagster run; what every day found and wrote."""
    stack.prepare(found)
    with _plainly():
        return _run(found, asset, first, last)


@contextmanager
def _plainly() -> Iterator[None]:
    """What Dagster makes of an interrupt or of a lost storage, in our words."""
    from dagster._core.errors import DagsterExecutionInterruptedError
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    except (DagsterPostgresException, SQLAlchemyError) as error:
        raise Refusal(
            "Dagster's storage was lost or cannot be used",
            why=type(error).__name__,
            fix="check that its server runs, and DAGSTER_PG_URL if you set it; the same command goes on",
        ) from None


def _run(found: "Settings", asset: str, first: date, last: date) -> "list[Outcome]":
    import dagster as dg

    from usage_pipeline.definitions import defs, warehouse
    from usage_pipeline.rollups import readiness

    keys = {node.key.to_user_string() for node in defs.resolve_all_asset_specs() if node.partitions_def}
    if asset not in keys:
        raise Refusal(
            f"there is no asset `{asset}` to compute",
            why=f"known are: {', '.join(sorted(keys))}",
            fix="correct the name",
            exit_code=USAGE,
        )
    readiness.require(warehouse, found.token_source)
    outcomes: list[Outcome] = []
    job = defs.resolve_implicit_global_asset_job_def()
    with (
        dg.DagsterInstance.get() as instance,
        console.bar(asset, (last - first).days + 1) as progress,
    ):

        def watch(outcome: "Outcome") -> None:
            outcomes.append(outcome)
            progress.advance(progress.task_ids[0])

        warehouse.progress = watch
        try:
            job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(asset)],
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={
                    "dagster/asset_partition_range_start": first.isoformat(),
                    "dagster/asset_partition_range_end": last.isoformat(),
                },
            )
        except dg.Failure as failure:
            done = f"{len(outcomes)} days were computed and stay" if outcomes else "nothing was stored"
            raise Refusal(f"the run failed; {done}", why=failure.description or "") from None
    warehouse.dispose()
    return outcomes


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


def summary(outcomes: "Sequence[Outcome]") -> list[str]:
    """What a backfill did, in two lines."""
    inserted, updated, deleted = (
        sum(getattr(each, name) for each in outcomes) for name in ("inserted", "updated", "deleted")
    )
    changed = sum(each.changed > 0 for each in outcomes)
    answers = sum(each.entry.source_rows for each in outcomes)
    seconds = sum(each.seconds for each in outcomes)
    return [
        f"{len(outcomes):,} days computed from {answers:,} answers in {seconds:.1f} s, {changed:,} changed",
        f"rows inserted {inserted:,} · updated {updated:,} · deleted {deleted:,}",
    ]
