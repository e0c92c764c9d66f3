"""`recalc --user --from --to`: one user's rows brought up to date, at every grain the range touches."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import click

from usage_pipeline import settings
from usage_pipeline.cli import asked, console, reported
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import ATTENTION, Refusal
from usage_pipeline.warehouse import dagster_yaml, session

if TYPE_CHECKING:
    from usage_pipeline.derived.recalculation import Part
    from usage_pipeline.rollups.ranges import Done, Failed
    from usage_pipeline.rollups.rollup import Outcome
    from usage_pipeline.serving.people import Person

_EXAMPLES: Final = """\b
Examples:
  usage-pipeline recalc --user "Ada Lovelace" --from yesterday --to today
"""


@click.command(epilog=_EXAMPLES)
@click.option("--user", "who", metavar="NAME-OR-ID", required=True, help="Whose rows.")
@click.option("--from", "first", type=console.DAY, required=True, help="First day, UTC.")
@click.option("--to", "last", type=console.DAY, required=True, help="Last day, inclusive.")
def recalc(who: str, first: date, last: date) -> None:
    """Compute one user's usage again: the days, then the weeks, months and years that hold them.

    Days are read for this user alone; what is made from days is made again as a whole. What is sealed or
    was never computed is left as it is, and named with the command for it.
    """
    from usage_pipeline.derived import recalculation
    from usage_pipeline.rollups import readiness

    with session.opened() as (found, warehouse):
        dagster_yaml.require(found)  # what changes is reported there
        readiness.require(warehouse, found)
        asked.check_range(found, Grain.DAILY, first, last)
        person = asked.person(warehouse, who)
        parts = recalculation.parts(warehouse, first, last)
        chosen = [part for part in parts if part.open]
        if not chosen:
            raise _nothing_open(parts, person, found.first_day, first, last)
        count = sum(len(part.open) for part in chosen)
        ended: list[Done[Outcome] | Failed] = []
        with console.bar("recalculating", count) as progress:
            for each in recalculation.run(warehouse, chosen, person.user_id, f"recalc {uuid4()}"):
                ended.append(each)
                progress.advance()
        outcomes, failed = asked.parted(ended)
        _tell(parts, outcomes, person, found.first_day)
        reported.report(found, outcomes)
    asked.end(failed, "recalculated")


def _tell(parts: "Sequence[Part]", outcomes: "Sequence[Outcome]", person: "Person", start: date) -> None:
    name = console.printable(person.label or str(person.user_id))
    console.narrate(f"{name}, recalculated:")
    for part in parts:
        done = [each for each in outcomes if each.rollup == part.rollup]
        if done:
            console.narrate(f"  {part.rollup.name:<14} {len(done):,} computed, {asked.rows(done)}")
    for line in _left(parts, person, start):
        console.narrate(line, style="yellow")


def _left(parts: "Sequence[Part]", person: "Person", start: date) -> list[str]:
    """What stays as it is, a line a reason, with the command that is for it."""
    lines = []
    for part in parts:
        for why, periods in asked.left(part.periods, "open").items():
            windows = [each.window for each in periods]
            fix = _fix(part.rollup.name, why, asked.bounds(windows, start), person)
            named = asked.periods(part.rollup.grain, windows)
            lines.append(f"{part.rollup.name} left as it is, {len(windows):,} {why}: {named}{fix}")
    return lines


def _fix(name: str, why: str, bounds: str, person: "Person") -> str:
    form = settings.program()
    if why == "sealed":
        return f". To restate: {form} restate {name} {bounds} --user {person.user_id} --reason WHY"
    if why == "never computed":
        return f". To compute: {form} backfill all {bounds}"
    return ""


def _nothing_open(parts: "Sequence[Part]", person: "Person", start: date, first: date, last: date) -> Refusal:
    """Of the days it is said why; the periods above follow from them."""
    days = asked.left(parts[0].periods, "open")
    main = max(days, key=lambda why: len(days[why]))
    bounds = asked.bounds([each.window for each in days[main]], start)
    _, _, fix = _fix(parts[0].rollup.name, main, bounds, person).partition(": ")
    return Refusal(
        f"nothing from {first} to {last} can be recalculated",
        why="days: " + ", ".join(f"{len(each):,} {why}" for why, each in days.items()),
        fix=fix.replace(f"{settings.program()} ", "$ ") or "ask for other days",
        exit_code=ATTENTION,
    )
