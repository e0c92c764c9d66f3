"""`migrate`: the schema, the functions from files, the rights on the source; there, and back again."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from usage_pipeline import settings
from usage_pipeline.cli import console, rollback
from usage_pipeline.refusals import ATTENTION
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Warehouse

if TYPE_CHECKING:
    from usage_pipeline.sources.adapters import Adapter


@click.group()
def migrate() -> None:
    """Apply the schema to the database, show what would be done, or go back."""


migrate.add_command(rollback.rollback)
migrate.add_command(rollback.restore)


@migrate.command()
@click.pass_context
def apply(context: click.Context) -> None:
    """Run what is pending: revisions, functions, grants on the source tables."""
    with session.opened(create=True) as (found, warehouse):
        left = everything(found, warehouse)
    if left:
        console.narrate("This login may not run these; their owner may:", style="yellow")
        for statement in left:
            click.echo(f"{statement};")
        context.exit(ATTENTION)


@migrate.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Say what has run and what is pending; exit 3 when something is."""
    from usage_pipeline.rollups import functions
    from usage_pipeline.sources import access, directory
    from usage_pipeline.warehouse.migrations import engine, rights
    from usage_pipeline.warehouse.roles import Role

    with session.opened(read_only=True) as (found, warehouse):
        with warehouse.begin(Role.LOGIN) as connection:
            adapter = access.active(connection, found.token_source)
            wanting = access.grants(connection, adapter)
            for_names = directory.grants(connection, adapter)
        state = engine.status(warehouse, functions.wanted(adapter))
    for name in state.revisions:
        click.echo(f"{'pending' if name in state.pending else 'applied'}  {name}")
    for words in rights.counted(state.rights):
        click.echo(f"pending  {words}")
    for file in functions.wanted(adapter):
        click.echo(f"{'pending' if file.name in state.outdated else 'applied'}  functions of {file.name}")
    for grant in wanting:
        click.echo(f"pending  {grant.statement}")
    for grant in for_names:
        click.echo(f"missing  {grant.statement} (for names only)")
    context.exit(0 if state.is_current and not wanting else ATTENTION)


@migrate.command()
def sql() -> None:
    """Print everything a first `apply` would run on this database."""
    from usage_pipeline.rollups import functions
    from usage_pipeline.sources import access, directory
    from usage_pipeline.warehouse import statements
    from usage_pipeline.warehouse.migrations import engine
    from usage_pipeline.warehouse.roles import Role

    with (
        session.opened(create=True, read_only=True) as (found, warehouse),
        warehouse.begin(Role.LOGIN) as connection,
    ):
        adapter = access.active(connection, found.token_source)
        grants = [grant.statement for grant in access.grants(connection, adapter)]
        for_names = [grant.statement for grant in directory.grants(connection, adapter)]
        login = str(statements.run(connection, "warehouse.sql", "session_login").scalar_one())
    click.echo(engine.script(grants, functions.wanted(adapter), login, for_names))


def everything(found: Settings, warehouse: Warehouse) -> list[str]:
    """Bring the database to this code; the statements that only another login may run."""
    from usage_pipeline.rollups import functions
    from usage_pipeline.sources import access
    from usage_pipeline.warehouse import statements
    from usage_pipeline.warehouse.migrations import engine, rights
    from usage_pipeline.warehouse.roles import Role

    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        access.require_tables(connection, adapter)
    try:
        with console.step("migrations") as words:
            words.append(", ".join(engine.apply(warehouse)) or "nothing pending")
    except rights.OwnedByOthers as refusal:
        return list(refusal.statements)
    left = []
    with (
        console.step(f"rights on the tables of {adapter.name}") as words,
        warehouse.begin(Role.LOGIN) as connection,
    ):
        wanting = access.grants(connection, adapter)
        for grant in wanting:
            if grant.is_permitted:
                statements.run_script(connection, grant.statement)
            else:
                left.append(grant.statement)
        words.append(f"{len(wanting) - len(left)} given" if wanting else "nothing lacking")
    _name_users(warehouse, adapter)
    with console.step("functions") as words:
        words.append(", ".join(engine.install(warehouse, functions.wanted(adapter))) or "nothing changed")
    if not left or found.start:
        _settle_policy(found, warehouse)
    return left


def _name_users(warehouse: Warehouse, adapter: "Adapter") -> None:
    """Let our reader see names where this login may; nothing waits for the rest."""
    from usage_pipeline.sources import directory

    table = adapter.directory.table.name
    with console.step(f"rights on the names in {table}") as words:
        without = directory.give(warehouse, adapter)
        words.append("not given: users show by id" if without else "nothing lacking")
    if without:
        console.narrate(f"Names need this of the owner of {table}; numbers do not:", style="yellow")
        for statement in without:
            console.narrate(f"  {statement};")


def _settle_policy(found: Settings, warehouse: Warehouse) -> None:
    """Record the first day and the grace where none are recorded; settings that differ are refused."""
    from usage_pipeline.warehouse import policy
    from usage_pipeline.warehouse.policy import Policy
    from usage_pipeline.warehouse.roles import Role

    with warehouse.begin(Role.WRITER) as connection:
        is_new = policy.read(connection) is None
    if is_new:
        with console.step("first day") as words:
            first_day, why = (found.start, "as set") if found.start else _first_day(warehouse)
            with warehouse.begin(Role.WRITER) as connection:
                policy.settle(
                    connection, Policy(first_day, found.tokens_grace_days or policy.USUAL_GRACE_DAYS)
                )
            words.append(f"{first_day} ({why})")
    with warehouse.begin(Role.WRITER) as connection:
        there = policy.require(connection, found)
    if found.start is None and found.home.exists():
        settings.store(found, start=there.first_day)  # so that Dagster loads without asking the database


def _first_day(warehouse: Warehouse) -> tuple[date, str]:
    """The day of the oldest message; yesterday, where there is none."""
    from usage_pipeline.serving import tokens
    from usage_pipeline.sources import report
    from usage_pipeline.warehouse.roles import Role

    with warehouse.begin(Role.READER) as connection:
        oldest = report.oldest_day(connection)
        if oldest is not None:
            return oldest, "the oldest message"
        return tokens.today(connection) - timedelta(days=1), "no message yet"
