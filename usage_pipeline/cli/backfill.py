"""`backfill ASSET… | all --from --to`: a plan, one run an asset on the stack's instance, what changed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from usage_pipeline.cli import (
    asked,
    backfill_blame,
    backfill_checks,
    backfill_job,
    backfill_words,
    console,
    stack,
)
from usage_pipeline.cli.backfill_job import Job
from usage_pipeline.periods import clock
from usage_pipeline.warehouse import backfills, dagster_instance, session
from usage_pipeline.warehouse.backfills import Held
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    import dagster as dg

    from usage_pipeline.cli.backfill_blame import Broken
    from usage_pipeline.rollups.rollup import Outcome, Span
    from usage_pipeline.rollups.runs import Command
    from usage_pipeline.settings import Settings
    from usage_pipeline.warehouse.connections import Warehouse


@click.command()
@click.argument("assets", nargs=-1, metavar="ASSET… | all")
@click.option("--from", "first", type=console.DAY, help="First day, UTC.")
@click.option("--to", "last", type=console.DAY, help="Last day, inclusive.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--restart", is_flag=True, help="Compute also what an interrupted backfill has finished.")
@click.option("--list", "listed", is_flag=True, help="Show the last backfills and how far they came.")
@click.option("--json", "as_json", is_flag=True, help="The list as one JSON document.")
@click.pass_context
def backfill(
    context: click.Context, assets: tuple[str, ...], first: date | None, last: date | None,
    dry_run: bool, yes: bool, restart: bool, listed: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compute a range again from the source; nothing changes where nothing differs.

    ASSET is named as on Dagster's page (tokens_daily, tokens_weekly …); several run one after the other, the
    finest first, and `all` means them all. Each day stands for the week, month or year that holds it.
    A backfill that was interrupted goes on where it broke off when the same command is given again.
    """
    if listed:
        if assets or first or last or dry_run or restart:
            raise click.UsageError("--list stands alone", context)
        _list(as_json)
        return
    if as_json:
        raise click.UsageError("--json goes with --list", context)
    if not assets or first is None or last is None:
        words = {"an ASSET or `all`": assets or None, "--from": first, "--to": last}
        lacking = ", ".join(word for word, given in words.items() if given is None)
        raise click.UsageError(f"{lacking} is missing (or give --list)", context)
    with stack.ending_on_signals(), session.opened(dagster=not dry_run) as (found, warehouse):
        job = backfill_job.asked_for(found, warehouse, assets, first, last)
        job = replace(job, before=None) if restart else job
        asks = not yes and asked.is_terminal()
        _plan(warehouse, job, waits=asks or dry_run, say=click.echo if dry_run else console.narrate)
        if dry_run:
            return
        if asks and not asked.agrees("Go on?", default=True):
            console.narrate("Nothing was computed.")
            return
        began = time.perf_counter()
        outcomes = _run(found, warehouse, job)
    for line in backfill_words.summary(job, outcomes, time.perf_counter() - began):
        console.narrate(line)
    for line in backfill_blame.gaps(found, job, outcomes, clock.today()):
        console.narrate(line)


def run(
    found: "Settings", warehouse: "Warehouse", names: Sequence[str], first: date, last: date
) -> "list[Outcome]":
    """Run the assets over the range, one Dagster run each; what every period found and wrote."""
    return _run(found, warehouse, backfill_job.asked_for(found, warehouse, names, first, last))


def _run(found: "Settings", warehouse: "Warehouse", job: Job) -> "list[Outcome]":
    import dagster as dg

    from usage_pipeline.rollups import orphans
    from usage_pipeline.rollups.runs import Command

    stack.prepare(found)
    outcomes: list[Outcome] = []
    with _interruptible(), dagster_instance.opened(found) as instance, ExitStack() as running:
        what = job.names if len(job.spans) == 1 else f"{len(job.spans)} assets"
        progress = running.enter_context(console.bar(what, job.asked.period_count))

        def watch(outcome: "Outcome") -> None:
            outcomes.append(outcome)
            progress.advance()

        taken_over = job.before.run_ids if job.before else ()
        orphans.bury(instance, warehouse, orphans.left(warehouse), taken_over=taken_over)
        try:
            first_run_id = str(uuid4())
            with _held(warehouse, job, first_run_id) as held:
                defs = _definitions(found, warehouse, Command(held, watch))
                broken = list(_broken(instance, defs, warehouse, job, held, first_run_id))
        except dg.Failure as failure:
            raise backfill_blame.broken_off(outcomes, failure.description or "") from None
    warehouse.dispose()
    if broken:
        raise backfill_blame.incomplete(found, job, broken, outcomes)
    return outcomes


def _held(warehouse: "Warehouse", job: Job, run_id: str) -> AbstractContextManager[Held]:
    """The record of the whole command: a new one, or the one that it goes on with."""
    before = job.before.id if job.before else None
    return backfills.held(warehouse, job.asked, run_id=run_id, root_run_id=None, backfill_id=before)


def _definitions(found: "Settings", warehouse: "Warehouse", command: "Command") -> "dg.Definitions":
    """What the code location has of the families, for the runs of this command."""
    import dagster as dg

    from usage_pipeline.rollups import assets

    return dg.Definitions(
        assets.assets(found.first_day, command),
        asset_checks=assets.asset_checks(),
        resources={"warehouse": warehouse},
        executor=dg.in_process_executor,
    )


def _broken(
    instance: "dg.DagsterInstance", defs: "dg.Definitions", warehouse: "Warehouse", job: Job, held: Held,
    first_run_id: str,
) -> "Iterator[Broken]":  # fmt: skip
    """Run every asset; those that had to leave periods out do not keep the others from what they can."""
    from usage_pipeline.rollups.runs import Incomplete

    for number, span in enumerate(job.spans):
        run_id = str(uuid4()) if number else first_run_id
        tags = {
            **backfill_job.tags(warehouse, span, held.id, run_id),
            **backfill_job.earlier_tries(instance, span, held.id, held.run_ids),
        }
        try:
            run = _execute(instance, defs, span, run_id, tags)
            backfill_checks.tell(run.get_asset_check_evaluations())
        except Incomplete as incomplete:
            backfill_checks.tell(incomplete.looked_at)
            yield span, incomplete.failed


def _execute(
    instance: "dg.DagsterInstance", defs: "dg.Definitions", span: "Span", run_id: str, tags: dict[str, str]
) -> "dg.ExecuteInProcessResult":
    """One run: the asset, then its checks."""
    import dagster as dg

    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_id=run_id,
        asset_selection=[dg.AssetKey(span.rollup.name)],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags=tags,
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """What Dagster makes of an interrupt, as our commands know it."""
    from dagster._core.errors import DagsterExecutionInterruptedError

    try:
        yield
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None


def _plan(warehouse: "Warehouse", job: Job, *, waits: bool, say: Callable[[str], None]) -> None:
    """Tell what will be done; `waits`: somebody wants to know it, and exactly, before it is done."""
    from usage_pipeline.rollups import planning

    patience_ms = planning.PATIENCE_MS if waits else planning.HASTE_MS
    plan = planning.make(warehouse, job.spans, patience_ms=patience_ms, before=job.before)
    say(f"{job.names} from {job.asked.first} to {job.asked.last}")
    for name, text in backfill_words.facts(job, plan):
        say(f"  {name:<14} {text}")


def _list(as_json: bool) -> None:
    with session.opened() as (_, warehouse), warehouse.begin(Role.READER) as connection:
        known = backfills.newest(connection)
    if as_json:
        console.emit_json([backfill_words.document(each) for each in known])
        return
    if not known:
        console.narrate("No backfill was started yet.")
    for line in backfill_words.table(known):
        click.echo(line)
