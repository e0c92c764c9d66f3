"""`usage tokens`: who used how much, in a table a person wants to read."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline.cli import asked, console, usage_records, usage_table, usage_words
from usage_pipeline.cli.usage_answer import Answer
from usage_pipeline.periods.calendar import Grain, floor
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.serving import activity, limits, lines, people, periods
from usage_pipeline.serving import tokens as serving
from usage_pipeline.warehouse import policy, session
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from usage_pipeline.serving.activity import Activity
    from usage_pipeline.serving.tokens import Coverage

_SHOWN: Final = {
    Grain.DAILY: (30, 30),
    Grain.WEEKLY: (1, 12),
    Grain.MONTHLY: (1, 12),
    Grain.YEARLY: (1, None),
}
"""How many periods are shown if nothing says from when: of everybody, and of one user (None: all)."""
_MOST: Final = 50
"""How many users of a period have a line of their own."""


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
    help="A day of the first period, UTC. If left out: 30 days; the newest week, month or year with usage; "
    "of one user 12 weeks, 12 months, all years.",
)  # fmt: skip
@click.option(
    "--to", "last", type=console.DAY, help="A day of the last period; of the newest computed one if left out."
)
@click.option(
    "--all", "all_of_them", is_flag=True,
    help=f"Every user, not only the {_MOST} of a period with the most tokens.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document with every user.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values with a header and every user.")
def tokens(
    named: str, who: str | None, first: date | None, last: date | None,
    all_of_them: bool, as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """Tokens of each user, or of one user period by period."""
    if as_json and as_csv:
        raise Refusal("--json and --csv exclude each other", fix="give one of them", exit_code=USAGE)
    emit = usage_records.emit_json if as_json else usage_records.emit_csv if as_csv else usage_table.emit
    most = None if all_of_them or as_json or as_csv else _MOST
    with session.opened() as (found, warehouse), warehouse.begin(Role.READER) as connection:
        today = serving.today(connection)
        begins = policy.require(connection, found).first_day
        answer = _Asked(connection, Grain(named), who, first, last, begins, today).answer(most)
    emit(answer)
    for note in usage_words.notes(answer, found):
        is_lacking = answer.covered.missing or answer.covered.stale
        console.narrate(note, style="yellow" if is_lacking else None)


@dataclass(frozen=True)
class _Asked:
    """What a person asks for, and the database and clock that answer it."""

    connection: "Connection"
    grain: Grain
    who: str | None
    first: date | None
    last: date | None
    begins: date
    today: date

    def answer(self, most: int | None) -> Answer:
        covered = self._covered()
        first, last = covered.first, covered.last
        person = people.person(self.connection, self.who) if self.who is not None else None
        user_id = person.user_id if person else None
        found = (
            lines.by_user(self.connection, first, last, grain=self.grain, most=most)
            if user_id is None
            else lines.by_period(self.connection, user_id, first, last, grain=self.grain)
        )
        count = lines.conversation_count(self.connection, user_id, first, last, grain=self.grain)
        known = (self._newer(covered), self._last(user_id, is_idle=not found))
        return Answer(covered, person, found, count, self.today, self.begins, *known)

    def _covered(self) -> "Coverage":
        rollup = periods.rollup(self.grain)
        newest = serving.latest_day(self.connection, rollup.name)
        if newest is None:
            raise limits.nothing_computed(rollup, begins=self.begins, today=self.today)
        if self._shows_the_newest:
            newest = serving.latest_day(self.connection, rollup.name, with_rows=True) or newest
        end = self.last or max(newest, self.first or newest)
        start = self.first or self._default_start(end)
        asked.check_order(start, end)
        begin, final = floor(self.grain, end), periods.last_day(self.grain, end)
        limits.require_reachable(f"--to {end}", begin, final, begins=self.begins, today=self.today)
        return self._coverage(start, end)

    @property
    def _shows_the_newest(self) -> bool:
        """One period, the newest with usage: of one user, and of days, several are shown."""
        return not (self.first or self.last or self.who is not None) and self.grain is not Grain.DAILY

    def _default_start(self, end: date) -> date:
        """Never after the end, a period's first day where nobody names it: history may begin later."""
        count = _SHOWN[self.grain][self.who is not None]
        if count is None:
            return min(end, self.begins)
        return min(end, max(self.begins, periods.earlier(self.grain, end, count - 1)))

    def _coverage(self, first: date, last: date) -> "Coverage":
        return serving.coverage(self.connection, first, last, grain=self.grain, begins=self.begins)

    def _newer(self, covered: "Coverage") -> "Coverage | None":
        """The periods that have begun since the one that is shown because it is the newest with usage."""
        since = covered.last + timedelta(days=1)
        return self._coverage(since, self.today) if self._shows_the_newest and since <= self.today else None

    def _last(self, user_id: "UUID | None", *, is_idle: bool) -> "Activity | None":
        if user_id is not None:
            return activity.of_user(self.connection, user_id, self.grain)
        return activity.of_everybody(self.connection, self.grain) if is_idle else None
