"""What every verb over a range is asked for: an asset, days, a person; and how it tells what it did."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from usage_pipeline.cli import console
from usage_pipeline.periods import calendar, clock
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    from usage_pipeline.derived.restatement import Standing
    from usage_pipeline.families.family import Family
    from usage_pipeline.rollups.ranges import Done, Failed
    from usage_pipeline.rollups.rollup import Outcome, Rollup
    from usage_pipeline.serving.people import Person
    from usage_pipeline.settings import Settings

_SHOWN = 5
_SHAPES = {Grain.MONTHLY: "%Y-%m", Grain.YEARLY: "%Y"}


def rollup(name: str) -> "Rollup":
    """The rollup behind an asset's name."""
    from usage_pipeline.rollups.rollup import ROLLUPS

    if name not in ROLLUPS:
        raise Refusal(
            f"there is no asset `{name}`",
            why=f"known are: {', '.join(ROLLUPS)}",
            fix="correct the name",
            exit_code=USAGE,
        )
    return ROLLUPS[name]


def check_order(first: date | None, last: date | None) -> None:
    if first and last and first > last:
        raise Refusal(f"--from {first} comes after --to {last}", fix="swap the two dates", exit_code=USAGE)


def check_range(found: "Settings", grain: Grain, first: date, last: date) -> None:
    """Both days are inclusive, in order, and lie in periods that have a partition."""
    check_order(first, last)
    today = clock.today()
    if calendar.following(grain, first) <= found.first_day:
        raise Refusal(
            f"--from {first} lies before the first day {found.first_day}",
            why="no partition begins earlier",
            fix=f"ask for a day from {found.first_day} on, or move the first day: $ sources start {first}",
            exit_code=USAGE,
        )
    if last > today:
        raise Refusal(
            f"--to {last} has not come yet",
            why=f"today is {today} (UTC)",
            fix=f"end the range on {today} or before",
            exit_code=USAGE,
        )


def person(warehouse: Warehouse, who: str) -> "Person":
    """The one user that an id, a name or a part of it stands for."""
    from usage_pipeline.serving import people

    with warehouse.begin(Role.READER) as connection:
        return people.person(connection, who)


def is_terminal() -> bool:
    """Whether somebody sits there who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agrees(question: str, *, default: bool) -> bool:
    """Enter takes the default; an interrupt is a no."""
    try:
        return click.confirm(question, default=default, err=True)
    except click.Abort:
        console.narrate("")
        return False


def period(grain: Grain, window: Window) -> str:
    """A period as a person names it: its first day, its month or its year."""
    return f"{window.start:{_SHAPES.get(grain, '%Y-%m-%d')}}"


def periods(grain: Grain, windows: Sequence[Window]) -> str:
    """The first few of them by name."""
    named = ", ".join(period(grain, each) for each in windows[:_SHOWN])
    return f"{named} and {len(windows) - _SHOWN:,} more" if len(windows) > _SHOWN else named


def bounds(windows: Sequence[Window], start: date = date.min) -> str:
    """The range that holds these, as a verb takes it: from the first day on, and up to today."""
    last = max(windows).last_day
    return f"--from {max(min(windows).start.date(), start)} --to {min(last, clock.today())}"


def count(number: int, thing: str) -> str:
    """So many of a thing."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def left(periods: "Iterable[Standing]", wanted: str) -> "dict[str, list[Standing]]":
    """What stays as it is where a verb takes the `wanted` state, by the reason."""
    reasons = {"none": "never computed", "partial": "never computed", wanted: "before the source's horizon"}
    found: dict[str, list[Standing]] = {}
    for each in periods:
        if not each.stands(wanted):
            found.setdefault(reasons.get(each.state, each.state), []).append(each)
    return found


def parted(ended: "Iterable[Done[Outcome] | Failed]") -> "tuple[list[Outcome], list[Failed]]":
    """What was done, and what was refused."""
    from usage_pipeline.rollups.ranges import Failed

    known = list(ended)
    failed = [each for each in known if isinstance(each, Failed)]
    return [each.result for each in known if not isinstance(each, Failed)], failed


def differences(grain: Grain, outcomes: "Sequence[Outcome]") -> list[str]:
    """What each changed period holds more or less than before, a line each."""
    changed = [one for one in outcomes if one.changed][: 2 * _SHOWN]
    return [f"  {period(grain, each.window)}  {difference(each)}" for each in changed]


def difference(outcome: "Outcome") -> str:
    """What a period holds more or less than before."""
    now, before = outcome.entry.totals, outcome.before
    return "  ".join(
        f"{now.get(each.column, 0) - before.get(each.column, 0):+,} {each.words}"
        for each in outcome.rollup.family.kept
    )


def amounts(family: "Family", found: "Sequence[Mapping[str, int]]") -> str:
    """What these add up to, by measure: 1 message, 15 tokens."""
    sums = {each: sum(one.get(each.column, 0) for one in found) for each in family.kept}
    return ", ".join(count(amount, each.words.removesuffix("s")) for each, amount in sums.items())


def rows(outcomes: "Sequence[Outcome]") -> str:
    """What was written, in one breath."""
    inserted, updated, deleted = (
        sum(getattr(each, name) for each in outcomes) for name in ("inserted", "updated", "deleted")
    )
    return f"rows inserted {inserted:,} · updated {updated:,} · deleted {deleted:,}"


def end(failed: "Sequence[Failed]", what: str) -> None:
    """Nothing if all went well; else the refusal of the oldest period, and how many there are."""
    if failed:
        first = failed[0]
        others = f" (and {len(failed) - 1:,} more were refused)" if len(failed) > 1 else ""
        raise Refusal(
            f"{first.window.start:%Y-%m-%d} was not {what}{others}: {first.refusal.what}",
            why=first.refusal.why,
            fix=first.refusal.fix,
            exit_code=first.refusal.exit_code,
        )
