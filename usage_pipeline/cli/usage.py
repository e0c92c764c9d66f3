"""`usage tokens`: who used how much, in a table a person wants to read."""

from datetime import date
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline.cli import asked, console, usage_records, usage_table, usage_words
from usage_pipeline.cli.usage_answer import Answer
from usage_pipeline.periods.calendar import Grain, floor, following
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.serving import lines, people, periods
from usage_pipeline.serving import tokens as serving
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from usage_pipeline.serving.tokens import Coverage
    from usage_pipeline.settings import Settings

_SHOWN: Final = {
    Grain.DAILY: (30, 30),
    Grain.WEEKLY: (1, 12),
    Grain.MONTHLY: (1, 12),
    Grain.YEARLY: (1, None),
}
"""How many periods are shown if nothing says from when: of everybody, and of one user (None: all)."""


@click.group()
def usage() -> None:
    """Read what is stored."""


@usage.command()
@click.option(
    "--grain", "named", type=click.Choice([each.value for each in periods.GRAINS]),
    default=Grain.DAILY.value, show_default=True,
    help="What a line is about: days added up, or each ISO week, month or year as it is stored.",
)  # fmt: skip
@click.option("--user", "who", metavar="NAME-OR-ID", help="One user, period by period.")
@click.option(
    "--from", "first", type=console.DAY,
    help="A day of the first period, UTC. If left out: 30 days; the last week, month or year; "
    "of one user 12 weeks, 12 months, all years.",
)  # fmt: skip
@click.option(
    "--to", "last", type=console.DAY, help="A day of the last period; of the newest computed one if left out."
)
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values with a header.")
def tokens(named: str, who: str | None, first: date | None, last: date | None, form: str | None) -> None:
    """Tokens of each user, or of one user period by period."""
    grain = Grain(named)
    with session.opened() as (found, warehouse), warehouse.begin(Role.READER) as connection:
        today = serving.today(connection)
        covered = _coverage(connection, found, grain, first, last, of_one=who is not None, today=today)
        answer = _answer(connection, covered, who, begins=found.first_day, today=today)
    emit = {"json": usage_records.emit_json, "csv": usage_records.emit_csv}.get(form or "", usage_table.emit)
    emit(answer)
    for note in usage_words.notes(answer, found):
        console.narrate(note, style="yellow" if covered.missing or covered.stale else None)


def _answer(
    connection: "Connection", covered: "Coverage", who: str | None, *, begins: date, today: date
) -> Answer:
    grain, first, last = covered.grain, covered.first, covered.last
    person = people.person(connection, who) if who is not None else None
    user_id = person.user_id if person else None
    return Answer(
        covered,
        person,
        lines.by_user(connection, first, last, grain=grain)
        if user_id is None
        else lines.by_period(connection, user_id, first, last, grain=grain),
        lines.conversation_count(connection, user_id, first, last, grain=grain),
        today,
        begins,
    )


def _coverage(
    connection: "Connection",
    found: "Settings",
    grain: Grain,
    first: date | None,
    last: date | None,
    *,
    of_one: bool,
    today: date,
) -> "Coverage":
    newest = serving.latest_day(connection, grain)
    if newest is None:
        raise _nothing_computed(grain, found, today)
    end = last or max(newest, first or newest)
    start = first or _default_start(grain, end, found.first_day, of_one=of_one)
    _require_sense(grain, start, end, begins=found.first_day, today=today)
    return serving.coverage(connection, start, end, grain=grain, begins=found.first_day)


def _default_start(grain: Grain, end: date, begins: date, *, of_one: bool) -> date:
    """Never after the end, which is a period's first day where nobody names it: history may begin later."""
    count = _SHOWN[grain][of_one]
    return min(end, begins if count is None else max(begins, periods.earlier(grain, end, count - 1)))


def _require_sense(grain: Grain, start: date, end: date, *, begins: date, today: date) -> None:
    asked.check_order(start, end)
    if following(grain, end) <= begins:
        raise Refusal(
            f"--to {end} lies before the first day",
            why=f"no day before {begins} is computed",
            fix=f"ask for a day from {begins} on, or move the first day: $ sources start {end}",
            exit_code=USAGE,
        )
    if floor(grain, end) > today:
        raise Refusal(f"--to {end} has not come yet", fix="ask for a day up to today", exit_code=USAGE)


def _nothing_computed(grain: Grain, found: "Settings", today: date) -> Refusal:
    """Up to yesterday, which is over; to today where nothing is. What is coarser needs what is below it."""
    assets = "all" if periods.below(grain) else periods.asset(grain)
    newest = "yesterday" if found.first_day < today else "today"
    return Refusal(
        f"no {periods.UNITS[grain]} of tokens was computed yet",
        fix=f"$ backfill {assets} --from {found.first_day} --to {newest}",
    )
