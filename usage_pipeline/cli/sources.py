"""`sources`: what is read, whether it can be read whole, and what in it makes no sense."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline import refusals, settings
from usage_pipeline.cli import console, horizon, session_totals
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods import clock
from usage_pipeline.refusals import ATTENTION, USAGE, Refusal
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.failures import Pending

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from usage_pipeline.settings import Settings
    from usage_pipeline.sources.report import Report, TableReport


_STATES: Final = {
    "reported": "reported", "total_only": "only a total", "missing": "unmetered", "refused": "refused",
}  # fmt: skip


@click.group(invoke_without_command=True)
@click.option(
    "--all",
    "all_of_them",
    is_flag=True,
    help="All refusals since the first day, not only 20 of the last week.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def sources(context: click.Context, all_of_them: bool, as_json: bool) -> None:
    """Show the source tables, our rights on them, and their refused and stray rows; exit 3 if any."""
    if context.invoked_subcommand is not None:
        return
    from usage_pipeline.sources import access, directory, report
    from usage_pipeline.warehouse import horizon as horizons
    from usage_pipeline.warehouse.roles import Role

    with session.opened(read_only=True) as (found, warehouse):
        with warehouse.begin(Role.LOGIN) as connection:  # our roles may not exist yet; the source comes first
            adapter = access.active(connection, found.token_source)
        names = directory.read(warehouse, adapter)
        with warehouse.begin(Role.READER) as connection:
            since = found.first_day if all_of_them else None
            made = report.make(connection, adapter.name, since=since, directory=names)
            begins = horizons.read(connection, TOKENS.name)
    if as_json:
        console.emit_json(asdict(made), needs_attention=made.needs_attention, horizon=begins)
    else:
        _show(made)
        console.output().print(horizon.words(begins))
    context.exit(ATTENTION if made.needs_attention else 0)


sources.add_command(horizon.horizon)


@sources.command()
@click.argument("day", type=console.DAY)
def start(day: date) -> None:
    """Move the first day that has a partition."""
    found = settings.load()
    if not settings.EARLIEST_START <= day <= clock.today():
        raise Refusal(
            f"{day} cannot be the first day",
            why=f"it must lie between {settings.EARLIEST_START} and today",
            fix="give another date",
            exit_code=USAGE,
        )
    was, left_out = _move(found, day)
    console.narrate(f"The first day is {day} (it was {was}); a running web server shows it once reloaded.")
    if left_out:
        console.narrate(f"{left_out:,} messages are older: no partition holds them.", style="yellow")
    if settings.load().start not in (None, day):
        console.narrate(
            f"USAGE_START still says {found.start}: set it to {day}, or unset it.", style="yellow"
        )


sources.add_command(session_totals.enable)
sources.add_command(session_totals.disable)


def _move(found: "Settings", day: date) -> tuple[date | None, int]:
    """Move the first day in the database and the settings: what it was, and how many messages are older."""
    from usage_pipeline.sources import report
    from usage_pipeline.warehouse.roles import Role

    with session.opened() as (_, warehouse):
        try:
            with warehouse.begin(Role.WRITER) as connection:
                was = _record(connection, found, day)
        except Pending:
            if not found.home.exists():
                raise
            settings.store(found, start=day)  # `migrate apply` records it
            return found.start, 0
        with suppress(Refusal), warehouse.begin(Role.READER) as connection:
            return was, report.answers_before(connection, day)
    return was, 0


def _record(connection: "Connection", found: "Settings", day: date) -> date | None:
    """The file is written before the commit: where it cannot be, nothing has changed."""
    from usage_pipeline.warehouse import policy

    before = policy.read(connection, TOKENS.name)
    grace_days = found.tokens_grace_days or policy.USUAL_GRACE_DAYS
    policy.settle(connection, policy.Policy(day, grace_days), TOKENS.name)
    policy.change(connection, TOKENS.name, first_day=day)
    if found.home.exists():
        settings.store(found, start=day)
    return before.first_day if before else found.start


def _show(made: "Report") -> None:
    from rich.markup import escape

    out = console.output()
    out.print(f"Tokens come from the adapter [bold]{made.adapter}[/bold]")
    for each in made.tables:
        out.print(f"\n[bold]{each.name}[/bold]")
        for name, text in _facts(each):
            out.print(f"  {name:<9} {escape(console.printable(text))}")
    for line in _directory(made):
        out.print(escape(console.printable(line)))
    out.print(f"Session totals: {escape(console.printable(_switch(made)))}")
    if made.states is None:
        return
    counted = ", ".join(f"{_STATES[state]} {count:,}" for state, count in made.states.items()) or "none"
    out.print(f"Answers of the last 7 days: {counted}")
    since = (
        f"since {made.refusals_since}"
        if made.shows_all
        else "of the last 7 days (20 at most; --all: every one)"
    )
    out.print(f"Refused answers {since}: {len(made.refusals):,}")
    for refusal in made.refusals:
        what = f"{refusal.field} {refusal.reason}: `{refusal.value}`"
        line = f"  {refusal.occurred_at}  {refusal.event_id}  {what}"
        out.print(escape(console.printable(line)))
    out.print(f"Strays, which belong to no day: {made.stray_count:,}")
    for stray in made.strays:
        line = f"  {stray.occurred_at or '–'}  {stray.event_id}  {stray.reason}"
        out.print(escape(console.printable(line)))


def _directory(made: "Report") -> Iterator[str]:
    """Where the names of the users come from, and what helps where they do not."""
    if made.directory:
        yield ""
        yield f"Directory: {made.directory.in_words}"
        for line in refusals.as_typed(made.directory.fix or "", settings.program()).splitlines():
            yield f"  Fix: {line}"


def _switch(made: "Report") -> str:
    """Whether the one column that we may write is kept true, and what hinders it."""
    totals = made.session_totals
    if totals is None:
        return "this source has no column for them"
    column = f"{totals.table_name}.{totals.column_name}"
    if not totals.is_enabled:
        return f"off ({column} is not written; {settings.program()} sources enable session-totals)"
    return f"on, but {totals.obstacle}" if totals.obstacle else f"on ({column} is written)"


def _facts(table: "TableReport") -> Iterator[tuple[str, str]]:
    """What a person wants to know of one table, a line each."""
    yield "columns", ", ".join(table.found) or "none"
    if table.missing:
        yield "missing", ", ".join(table.missing)
    for name, default in table.defaulted.items():
        yield "absent", f"{name}; {default} stands in"
    policy = (
        "row-level security is on, our policies let us in"
        if table.has_row_security
        else "no row-level security"
    )
    yield "rights", "; ".join(table.obstacles) or f"our roles read every row ({policy})"
    if table.wants_index:
        yield "index", f"none begins with {table.wants_index}: every search reads the whole table"
    elif table.index:
        yield "index", table.index
