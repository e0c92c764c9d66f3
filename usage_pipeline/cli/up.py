"""`up`: Dagster's web server and daemon on a database of one's own, until somebody ends them."""

from contextlib import suppress

import click

from usage_pipeline import settings
from usage_pipeline.cli import console, lock, stack
from usage_pipeline.cli.lock import Lock
from usage_pipeline.cli.page import Page, no_open_option, port_option, served, until_ended
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_tables, session
from usage_pipeline.warehouse.connections import Warehouse


@click.command()
@no_open_option
@port_option
def up(port: int, no_open: bool) -> None:
    """Run Dagster's page and its daemon on your own database; Ctrl-C stops both."""
    with stack.ending_on_signals(), suppress(KeyboardInterrupt):  # early or late, it is how a person ends it
        _refuse_the_demos()
        with session.opened() as (found, warehouse), lock.alone(found.home, "up") as held:
            _look(found, warehouse)
            with session.opened(dagster=True):
                _run(found, warehouse, held, port=port, open_page=not no_open)


def _run(found: Settings, warehouse: Warehouse, held: Lock, *, port: int, open_page: bool) -> None:
    stack.prepare(found)
    stack.create_storage(found)
    _bury_the_dead(found, warehouse)
    with served(found, port) as page:
        page.stand(held)
        stack.write_env_file(found)
        with until_ended():
            _greet(page)
            if open_page:
                page.show()
            page.wait()


def _refuse_the_demos() -> None:
    """The demo brings its data along and keeps its stack to itself."""
    found = settings.load()
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
    if orphaned or dagster_tables.show_work(stack.storage(found)):
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
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
