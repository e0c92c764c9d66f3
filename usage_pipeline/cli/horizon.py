"""`sources horizon DAY|none`: from which day on the raw rows stand, said by whoever purges them."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline.cli import asked, console
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods import calendar, clock
from usage_pipeline.refusals import REFUSED, USAGE, Refusal
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    from usage_pipeline.settings import Settings
    from usage_pipeline.warehouse.connections import Warehouse

_EXAMPLES: Final = """\b
Examples:
  usage-pipeline sources horizon 2026-01-01
  usage-pipeline sources horizon none --yes
"""


class _DayOrNone(console.Day):
    """A UTC day, or `none`."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "DAY|none"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        return date.min if value == "none" else super().convert(value, param, ctx)


@click.command(epilog=_EXAMPLES)
@click.argument("day", type=_DayOrNone())
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def horizon(day: date, yes: bool) -> None:
    """Declare the first DAY whose raw rows are whole, before those ahead of it are purged.

    No period that begins before it is read from raw rows again: open ones stay as they stand, those never
    computed count as empty. Once the command has ended, no run reads them any more. On a terminal it asks;
    without one it only moves forward. `none` says that nothing is purged.
    """
    from usage_pipeline.warehouse import horizon as horizons
    from usage_pipeline.warehouse import policy

    if day > clock.today():
        raise Refusal(
            f"the horizon cannot be {day}", why="it has not come yet, and today is still read",
            fix="give a day up to today", exit_code=USAGE,
        )  # fmt: skip
    with session.opened() as (found, warehouse):
        with warehouse.begin(Role.READER) as connection:
            before = horizons.read(connection, TOKENS.name)
            policy.require(connection, found, TOKENS.name)
        doubt = _doubt(found, warehouse, before, day)
        asks = not yes and asked.is_terminal()
        if doubt and not (yes or asks):
            raise doubt
        fixed = _fixed(found, warehouse, before, day)
        if fixed:
            console.narrate(f"Fixes {asked.count(fixed, 'computed day')} before {day} as they stand.")
        if asks and (doubt or before != day != date.min) and not _agrees(doubt):
            return
        begins_at = None if day == date.min else calendar.midnight(day)
        with warehouse.begin(Role.WRITER) as connection:
            horizons.declare(connection, TOKENS.name, begins_at)
    console.narrate(f"{words(None if begins_at is None else day)} (it was {before or 'not declared'}).")


def words(day: date | None) -> str:
    """The horizon as `sources` shows it."""
    if day is None:
        return "Raw history: whole, no horizon is declared"
    return f"Raw history: from {day} on; no period that begins earlier is read from raw rows"


def _doubt(found: "Settings", warehouse: "Warehouse", before: date | None, day: date) -> Refusal | None:
    """What a person should know first; None for the plain step forward."""
    if before is not None and day < before:
        return Refusal(
            f"this moves the horizon back from {before}",
            why="runs will read raw rows that were declared gone, and miss what is no longer there",
            fix="add --yes if the rows are back",
            exit_code=REFUSED,
        )
    missing = _not_computed(found, warehouse, day)
    if missing:
        return Refusal(
            f"{len(missing):,} days before {day} were never computed to their end, the first is {missing[0]}",
            why="behind the horizon what they lack would count as empty for ever",
            fix=f"$ backfill tokens_daily --from {missing[0]} --to {missing[-1]}; or add --yes",
            exit_code=REFUSED,
        )
    return None


def _not_computed(found: "Settings", warehouse: "Warehouse", day: date) -> list[date]:
    from usage_pipeline.serving import tokens

    if day <= found.first_day:
        return []
    with warehouse.begin(Role.READER) as connection:
        covered = tokens.coverage(connection, found.first_day, day - timedelta(days=1))
    return sorted([*covered.missing, *covered.partial])


def _fixed(found: "Settings", warehouse: "Warehouse", before: date | None, day: date) -> int:
    """How many computed days are no longer read again, that were until now."""
    from usage_pipeline.derived import restatement
    from usage_pipeline.rollups.rollup import ROLLUPS

    first = max(found.first_day, before or date.min)
    if day <= first:
        return 0
    days = restatement.standing(warehouse, ROLLUPS["tokens_daily"], first, day - timedelta(days=1))
    return sum(each.state in restatement.COMPUTED for each in days)


def _agrees(doubt: Refusal | None) -> bool:
    """Without a person's word a doubt is the answer, and a plain step is not taken."""
    if doubt:
        console.narrate(f"{doubt.what}: {doubt.why}.", style="yellow")
    if asked.agrees("Declare it?", default=False):
        return True
    if doubt:
        raise doubt
    console.narrate("Nothing was declared.")
    return False
