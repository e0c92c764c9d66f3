"""`sources enable | disable session-totals`: the one column of a source that is written, if asked for."""

from typing import TYPE_CHECKING, Final

import click

from usage_pipeline import settings
from usage_pipeline.cli import console
from usage_pipeline.refusals import ATTENTION, Refusal
from usage_pipeline.warehouse import session

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from usage_pipeline.sources.access import Grant

_WHAT: Final = click.Choice(["session-totals"])
_PATIENCE_MS: Final = 500
"""A policy locks the whole table: whoever waits for that makes the chat wait behind."""


@click.command()
@click.argument("what", type=_WHAT)
@click.pass_context
def enable(context: click.Context, what: str) -> None:
    """Let the asset session_totals write that one column of the session table; off until then."""
    from usage_pipeline.sources import access, session_totals
    from usage_pipeline.warehouse.roles import Role

    with session.opened() as (found, warehouse), warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        totals = session_totals.of(adapter)
        _require_roles(connection)
        obstacle = session_totals.read(connection, totals).obstacle
        if obstacle:
            raise obstacle
        wanted = session_totals.grants(connection, totals)
        if not _run(connection, wanted):
            context.exit(ATTENTION)
        session_totals.require(connection, totals)
        searches_all = session_totals.lacks_index(connection, totals, adapter)
    settings.store(found, session_totals="on")
    console.narrate(
        f"Session totals are on{'' if wanted else ' already'}:"
        f" the asset session_totals may write {totals.table}.{totals.column}, and nothing else there."
        " Where Dagster runs already, reload its definitions."
    )
    if searches_all:
        table, column = totals.searched
        console.narrate(
            f"No index of {table} begins with {column}: a run reads it whole for every 200 conversations.",
            style="yellow",
        )


@click.command()
@click.argument("what", type=_WHAT)
@click.pass_context
def disable(context: click.Context, what: str) -> None:
    """Take that right back; the numbers that were written stay."""
    from usage_pipeline.sources import access, session_totals
    from usage_pipeline.warehouse.roles import Role

    with session.opened() as (found, warehouse), warehouse.begin(Role.LOGIN) as connection:
        totals = session_totals.of(access.active(connection, found.token_source))
        wanted = session_totals.revocations(connection, totals)
        if not _run(connection, wanted):
            context.exit(ATTENTION)
        if session_totals.revocations(connection, totals):
            raise Refusal(
                "session totals are still on",
                why="the right to write was granted by a login that this one cannot act for",
                fix=f"let that login revoke update on {totals.table}",
            )
    settings.store(found, session_totals="off")
    console.narrate(f"Session totals are off{'' if wanted else ' already'}.")


def _require_roles(connection: "Connection") -> None:
    from usage_pipeline.warehouse.migrations import state

    if not state.founded(connection):
        raise Refusal(
            "migrations are pending", why="our roles do not exist", fix="$ migrate apply", exit_code=ATTENTION
        )


def _run(connection: "Connection", wanted: "list[Grant]") -> bool:
    """Run all of them or none: where one needs another login, they are printed for it."""
    from usage_pipeline.warehouse import statements

    if not all(each.is_permitted for each in wanted):
        console.narrate("This login may not run these; the owner of the table may:", style="yellow")
        for each in wanted:
            click.echo(f"{each.statement};")
        return False
    statements.run(connection, "warehouse.sql", "limit_waiting", milliseconds=_PATIENCE_MS)
    for each in wanted:
        statements.run_script(connection, each.statement)
    return True
