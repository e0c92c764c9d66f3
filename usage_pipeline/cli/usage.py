"""`usage tokens`: who used how much, in a table a person wants to read."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline import settings
from usage_pipeline.cli import console
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import session

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from usage_pipeline.serving.tokens import Coverage, Line, Person
    from usage_pipeline.settings import Settings

_COUNTS: Final = ("messages", "conversations", "prompt_tokens", "completion_tokens", "total_tokens")
_HEADINGS: Final = {
    "messages": "Messages",
    "conversations": "Conversations",
    "prompt_tokens": "Prompt",
    "completion_tokens": "Completion",
    "total_tokens": "Total",
    "share": "Share",
    "last_activity": "Last activity",
}
_LONGEST_NAME: Final = 40
_FIRST_TO_GO: Final = ("last_activity", "conversations", "completion_tokens", "prompt_tokens")


@click.group()
def usage() -> None:
    """Read what is stored."""


@usage.command()
@click.option("--user", "who", metavar="NAME-OR-ID", help="One user, day by day.")
@click.option("--from", "first", type=console.DAY, help="First day, UTC; 30 days up to --to if left out.")
@click.option(
    "--to", "last", type=console.DAY, help="Last day, inclusive; the newest computed one if left out."
)
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values with a header.")
def tokens(who: str | None, first: date | None, last: date | None, form: str | None) -> None:
    """Tokens of each user, or of one user day by day."""
    from usage_pipeline.serving import tokens as serving
    from usage_pipeline.warehouse.connections import Role

    with session.opened() as (found, warehouse), warehouse.begin(Role.READER) as connection:
        covered = _coverage(connection, found, first, last)
        person = serving.person(connection, who) if who is not None else None
        if person:
            lines = serving.by_day(connection, person.user_id, covered.first, covered.last)
        else:
            lines = serving.by_user(connection, covered.first, covered.last)
        conversations = serving.conversation_count(
            connection, person.user_id if person else None, covered.first, covered.last
        )
    if form == "json":
        _emit_json(lines, covered, person, conversations)
    elif form == "csv":
        _emit_csv(lines, person)
    else:
        _emit_table(lines, covered, person, conversations)
    for note in [*_notes(lines, covered), *_origin(found, covered)]:
        console.narrate(note, style="yellow" if covered.missing else None)


def _coverage(
    connection: "Connection", found: "Settings", first: date | None, last: date | None
) -> "Coverage":
    from usage_pipeline.serving import tokens as serving

    newest = serving.latest_day(connection)
    if newest is None:
        raise Refusal(
            "no day of tokens was computed yet",
            fix=f"$ backfill tokens_daily --from {found.start} --to {_newest_to_compute(found)}",
        )
    end = last or max(newest, first or newest)
    start = first or max(found.start, end - timedelta(days=serving.DAYS_SHOWN - 1))
    if start > end:
        raise Refusal(f"--from {start} comes after --to {end}", fix="swap the two dates", exit_code=USAGE)
    if end < found.start:
        raise Refusal(
            f"--to {end} lies before the first day",
            why=f"no day before {found.start} is computed",
            fix=f"ask for a day from {found.start} on, or move the first day: $ sources start {end}",
            exit_code=USAGE,
        )
    if end > datetime.now(UTC).date():
        raise Refusal(f"--to {end} has not come yet", fix="ask for a day up to today", exit_code=USAGE)
    return serving.coverage(connection, start, end, begins=found.start)


def _newest_to_compute(found: "Settings") -> str:
    """Yesterday, which is over; today where nothing is."""
    return "yesterday" if found.start < datetime.now(UTC).date() else "today"


def _share(line: "Line", whole: int) -> float:
    return line.total_tokens / whole if whole else 0.0


def _emit_json(
    lines: Sequence["Line"], covered: "Coverage", person: "Person | None", conversations: int
) -> None:
    whole = sum(line.total_tokens for line in lines)
    key = "day" if person else "user_id"
    rows = [{key: line.key, **_values(line), "share_ratio": round(_share(line, whole), 6)} for line in lines]
    totals: dict[str, object] = {name: sum(getattr(line, name) for line in lines) for name in _COUNTS}
    console.emit_json(
        {"rows": rows, "totals": totals | {"conversations": conversations}},
        first_day=covered.first,
        last_day=covered.last,
        complete=covered.is_complete,
        as_of=covered.as_of,
        missing_days=covered.missing,
        user_id=person.user_id if person else None,
        timezone="UTC",
    )


def _values(line: "Line") -> dict[str, object]:
    return {each.name: getattr(line, each.name) for each in fields(line) if each.name != "key"}


def _emit_csv(lines: Sequence["Line"], person: "Person | None") -> None:
    whole = sum(line.total_tokens for line in lines)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [each.name for each in fields(lines[0]) if each.name != "key"] if lines else ["label"]
    writer.writerow(["day" if person else "user_id", *names, "share_ratio"])
    for line in lines:
        values = [_harmless(value) for value in _values(line).values()]
        writer.writerow([line.key, *values, f"{_share(line, whole):.6f}"])


def _harmless(value: object) -> object:
    """A spreadsheet would run a name that begins like a formula, a terminal one with control characters."""
    if isinstance(value, str):
        value = console.printable(value)
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return value.isoformat() if isinstance(value, datetime) else value


def _emit_table(
    lines: Sequence["Line"], covered: "Coverage", person: "Person | None", conversations: int
) -> None:
    from rich.markup import escape
    from rich.table import Table

    whole = sum(line.total_tokens for line in lines)
    sums: dict[str, int] = {name: sum(getattr(line, name) for line in lines) for name in _COUNTS}
    sums["conversations"] = conversations
    rows = [(console.printable(line.label, _LONGEST_NAME), _cells(line, whole)) for line in lines]
    rows.append(
        (
            "Total",
            {name: f"{sums[name]:,}" for name in _COUNTS}
            | {"share": "100.0%" if whole else "", "last_activity": ""},
        )
    )
    out = console.output()
    shown = _columns_that_fit(rows, out.width)
    name = console.printable(person.label or str(person.user_id), _LONGEST_NAME) if person else ""
    title = f"Tokens of {escape(name)}" if person else "Tokens by user"
    table = Table(title=f"{title}, {covered.first} to {covered.last} (UTC)", title_justify="left")
    table.add_column("Day" if person else "User", no_wrap=True)
    for name in shown:
        table.add_column(_HEADINGS[name], justify="right", no_wrap=True)
    for label, cells in rows:
        if cells is rows[-1][1]:
            table.add_section()
        table.add_row(
            escape(label), *(cells[name] for name in shown), style="bold" if label == "Total" else None
        )
    out.print(table)


def _cells(line: "Line", whole: int) -> dict[str, str]:
    seen = line.last_activity.strftime("%Y-%m-%d %H:%M") if line.last_activity else ""
    counts = {name: f"{getattr(line, name):,}" for name in _COUNTS}
    return counts | {"share": f"{_share(line, whole):.1%}" if whole else "", "last_activity": seen}


def _columns_that_fit(rows: Sequence[tuple[str, dict[str, str]]], width: int) -> list[str]:
    """All columns, less those a person misses least until the table fits."""
    widths = {
        name: 3 + max(len(heading), *(len(cells[name]) for _, cells in rows))
        for name, heading in _HEADINGS.items()
    }
    room = width - 4 - max(len(label) for label, _ in rows)
    shown = list(_HEADINGS)
    for name in _FIRST_TO_GO:
        if sum(widths[each] for each in shown) <= room:
            break
        shown.remove(name)
    return shown


def _notes(lines: Sequence["Line"], covered: "Coverage") -> list[str]:
    """What a reader must know before repeating a number."""
    unmetered = sum(line.unmetered_messages for line in lines)
    refused = sum(line.refused_messages for line in lines)
    unsplit = sum(line.total_tokens - line.prompt_tokens - line.completion_tokens for line in lines)
    notes = [_completeness(covered)]
    if unsplit:
        notes.append(f"{unsplit:,} of the total are not split into prompt and completion by their answers.")
    if unmetered:
        notes.append(f"{_answers(unmetered)} no tokens; they count as messages.")
    if refused:
        form = f"{settings.program()} sources --all"
        notes.append(f"{_answers(refused)} tokens that make no sense and count with 0: {form}")
    return notes


def _answers(count: int) -> str:
    return f"{count:,} answer reports" if count == 1 else f"{count:,} answers report"


def _origin(found: "Settings", covered: "Coverage") -> list[str]:
    """Where the numbers come from, if that is not what a reader expects."""
    notes = []
    if covered.first < found.start:
        notes.append(f"No day before {found.start} is computed: {settings.program()} sources start DAY")
    if found.is_demo:
        notes.append(f"These are the demo's data, in {found.home}.")
    return notes


def _completeness(covered: "Coverage") -> str:
    if covered.missing:
        first, last = covered.missing[0], covered.missing[-1]
        return (
            f"Incomplete, days never computed: {len(covered.missing)}, the first is {first}: "
            f"{settings.program()} backfill tokens_daily --from {first} --to {last}"
        )
    if covered.partial:
        first, last = covered.partial[0], covered.partial[-1]
        return (
            f"Incomplete: {first} is read up to {covered.as_of:%Y-%m-%d %H:%M} UTC: "
            f"{settings.program()} backfill tokens_daily --from {first} --to {last}"
        )
    return f"Complete for these days, as of {covered.as_of:%Y-%m-%d %H:%M} UTC."
