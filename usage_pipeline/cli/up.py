"""`up`: Dagster's web server and daemon on a database of one's own, until somebody ends them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from usage_pipeline import settings
from usage_pipeline.cli import console, lock, stack
from usage_pipeline.cli.lock import Lock
from usage_pipeline.cli.page import Page, no_open_option, port_option, served, until_ended
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_instance, dagster_yaml, session
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.dagster_instance import Heartbeat


@click.command()
@no_open_option
@port_option
def up(port: int, no_open: bool) -> None:
    """Run Dagster's page and its daemon on your own database; Ctrl-C stops both."""
    with stack.ending_on_signals(), suppress(KeyboardInterrupt):  # early or late, it is how a person ends it
        _require_place()
        with session.opened() as (found, warehouse), lock.alone(found.home, "up") as held:
            _look(found, warehouse)
            with session.opened(dagster=True):
                _run(found, warehouse, held, port=port, open_page=not no_open)


def _run(found: Settings, warehouse: Warehouse, held: Lock, *, port: int, open_page: bool) -> None:
    stack.prepare(found)
    stack.create_storage(found)
    _bury_the_dead(found, warehouse)
    with _only_daemon(found), served(found, port) as page:
        page.stand(held)
        stack.make_current(found)
        stack.write_env_file(found)
        with until_ended():
            _greet(page)
            if open_page:
                page.show()
            page.wait()


@contextmanager
def _only_daemon(found: Settings) -> Iterator[None]:
    """Refuse where an operator's instance has a daemon; the one of the last `up` is known to have ended."""
    if found.operators_instance is None:
        yield
        return
    ended = found.home / "daemon.ended"
    with dagster_instance.opened(found) as instance:
        beat = dagster_instance.heartbeat(instance)
    if beat and beat.is_fresh and not (ended.exists() and beat.daemon_id == ended.read_text().strip()):
        raise _second_daemon(found.operators_instance, beat)
    try:
        yield
    finally:
        with suppress(Refusal), dagster_instance.opened(found) as instance:
            beat = dagster_instance.heartbeat(instance)
            ended.write_text(f"{beat.daemon_id}\n" if beat else "")


def _second_daemon(home: Path, beat: Heartbeat) -> Refusal:
    return Refusal(
        f"the Dagster instance in {home} has a daemon already",
        why=f"{beat.task} of daemon {beat.daemon_id} was heard from {beat.age_seconds} s ago;"
        " two would launch everything twice",
        fix="use the page that runs with it, which may load usage_pipeline.definitions;"
        f" or end it, and give the same command {dagster_instance.FRESH} s later",
        exit_code=REFUSED,
    )


def _require_place() -> None:
    """The demo brings its data along and keeps its stack to itself; an operator's instance must exist."""
    found = settings.load()
    dagster_yaml.require(found)
    if found.is_demo:
        raise Refusal(
            f"{found.home} is the demo's",
            why="`up` runs a stack on a database of your own",
            fix="$ demo runs this one; $ init --database-url URL makes one of your own",
            exit_code=REFUSED,
        )


def _look(found: Settings, warehouse: Warehouse) -> None:
    """Refuse now what every run would refuse later: pending migrations, a source that hides rows."""
    from usage_pipeline.rollups import readiness

    with console.step("your database") as words:
        adapter = readiness.require(warehouse, found)
        words.extend([warehouse.place, f"source {adapter.name}"])
    warehouse.dispose()


def _bury_the_dead(found: Settings, warehouse: Warehouse) -> None:
    """What a power cut left running in Dagster's eyes ends here, and is tried again by its daemon."""
    from usage_pipeline.rollups import orphans

    orphaned = orphans.left(warehouse)
    if orphaned or dagster_instance.shows_work(found):
        with dagster_instance.opened(found) as instance:
            orphans.bury(instance, warehouse, orphaned)
    warehouse.dispose()


def _greet(page: Page) -> None:
    form = settings.program()
    console.narrate(
        f"\n  {page.lineage}\n\n  In another terminal:\n"
        f"    {form} status\n"
        f"    {form} usage tokens\n\n"
        f"  Ctrl-C stops both; logs stand in {page.logs}."
    )
