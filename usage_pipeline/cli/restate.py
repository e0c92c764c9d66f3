"""`restate ASSET --from --to --reason`: sealed periods looked at again; a loss only where it is accepted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import click

from usage_pipeline import settings
from usage_pipeline.cli import asked, console, reported
from usage_pipeline.periods import calendar
from usage_pipeline.refusals import REFUSED, USAGE, Refusal
from usage_pipeline.warehouse import dagster_yaml, session
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    from usage_pipeline.derived.restatement import Loss, Standing, Wish
    from usage_pipeline.rollups.ranges import Done, Failed
    from usage_pipeline.rollups.rollup import Outcome
    from usage_pipeline.serving.people import Person
    from usage_pipeline.warehouse.connections import Warehouse

_EXAMPLES: Final = """\b
Examples:
  usage-pipeline restate tokens_daily --from 2026-03-01 --to 2026-03-31 --reason "late import"
  usage-pipeline restate tokens_daily --from 2026-03-04 --to 2026-03-04 \\
    --user "Ada Lovelace" --accept-loss --reason "test messages removed"
"""
_SHOWN: Final = 10


@dataclass(frozen=True)
class _Plan:
    """The periods that were asked for, by what can be done with them."""

    wish: "Wish"
    person: "Person | None"
    periods: "list[Standing]"
    losses: "list[Loss]"

    @property
    def chosen(self) -> "list[Standing]":
        """The sealed ones; where a loss is accepted, also the open ones that runs refuse because of it."""
        return [each for each in self.periods if each.stands("sealed") or each.is_lost]

    @property
    def left(self) -> "dict[str, list[Standing]]":
        """What stays as it is, by the reason."""
        return asked.left([each for each in self.periods if not each.is_lost], "sealed")


@click.command(epilog=_EXAMPLES)
@click.argument("asset")
@click.option("--from", "first", type=console.DAY, required=True, help="First day, UTC.")
@click.option("--to", "last", type=console.DAY, required=True, help="Last day, inclusive.")
@click.option("--user", "who", metavar="NAME-OR-ID", help="One user's rows alone, where raw rows are read.")
@click.option("--reason", help="Why; it is recorded with every change.")
@click.option("--accept-loss", is_flag=True, help="Also remove what the source no longer has.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def restate(
    asset: str, first: date, last: date, who: str | None, reason: str | None,
    accept_loss: bool, dry_run: bool, yes: bool,
) -> None:  # fmt: skip
    """Look at sealed periods of ASSET again, each in a transaction of its own.

    What grew in the source grows; what shrank stays as it was, unless --accept-loss says that the source
    wins. With it, open days that runs refuse because their source lost most of its rows are restated too.
    Every change is recorded, and the computed weeks, months and years above follow at once.
    """
    from usage_pipeline.derived import restatement
    from usage_pipeline.rollups import readiness

    rollup = asked.rollup(asset)
    if not (reason or "").strip():
        raise Refusal(
            "--reason is missing", why="every change of a sealed period is recorded with one",
            fix='add --reason "WHY"', exit_code=USAGE,
        )  # fmt: skip
    with session.opened() as (found, warehouse):
        dagster_yaml.require(found)  # what changes is reported there
        readiness.require(warehouse, found)
        asked.check_range(found, rollup.grain, first, last)
        person = asked.person(warehouse, who) if who is not None else None
        user_id = person.user_id if person else None
        wish = restatement.Wish(rollup, user_id, str(reason).strip(), accept_loss, f"restate {uuid4()}")
        plan = _plan(warehouse, wish, person, first, last)
        if accept_loss and not (dry_run or yes or asked.is_terminal()):
            raise _nobody_agrees(plan)
        _tell(plan, first, last, click.echo if dry_run else console.narrate)
        if dry_run:
            return
        if not yes and asked.is_terminal() and not asked.agrees("Go on?", default=not accept_loss):
            console.narrate("Nothing was restated.")
            return
        done, failed = _run(warehouse, plan)
        reported.report(found, done)
    asked.end(failed, "restated")


def _plan(warehouse: "Warehouse", wish: "Wish", person: "Person | None", first: date, last: date) -> _Plan:
    """Looked at without a write; where a loss would be accepted, the source is read to say how much."""
    from usage_pipeline.derived import restatement

    periods = restatement.standing(warehouse, wish.rollup, first, last)
    if wish.accepts_loss and wish.user_id is None:
        periods = restatement.with_losses(warehouse, wish.rollup, periods)
    plan = _Plan(wish, person, periods, [])
    if not plan.chosen:
        raise _not_of_one(warehouse, plan) or _nothing_sealed(
            plan, first, last, _stands_from(warehouse, wish)
        )
    if wish.accepts_loss:
        read = [each.window for each in plan.chosen if each.is_raw]
        with console.bar("comparing with the source", len(read)) as progress:
            for window in read:
                found = restatement.loss(warehouse, wish.rollup, window, wish.user_id)
                plan.losses.extend([found] if found.unit_count else [])
                progress.advance()
    return plan


def _not_of_one(warehouse: "Warehouse", plan: _Plan) -> Refusal | None:
    """Where runs refuse an open period because of its source, a loss of one user alone does not help."""
    from usage_pipeline.derived import restatement

    rollup = plan.wish.rollup
    if not (plan.wish.accepts_loss and plan.wish.user_id):
        return None
    known = restatement.with_losses(warehouse, rollup, plan.periods)
    lost = [each.window for each in known if each.is_lost]
    if not lost:
        return None
    return Refusal(
        f"{rollup.name} of {asked.periods(rollup.grain, lost)} is not sealed",
        why="until it is, a loss is accepted for all users at once",
        fix=f"$ restate {rollup.name} --from {lost[0].start.date()} --to {lost[-1].last_day}"
        " --accept-loss --reason WHY",
    )  # fmt: skip


def _stands_from(warehouse: "Warehouse", wish: "Wish") -> date | None:
    """The first day of the first period behind the horizon whose raw rows stand."""
    from usage_pipeline.warehouse import horizon

    with warehouse.begin(Role.READER) as connection:
        begins = horizon.read(connection, wish.rollup.family.name)
    if begins is None:
        return None
    return calendar.following(wish.rollup.grain, begins - timedelta(days=1))


def _nothing_sealed(plan: _Plan, first: date, last: date, stands_from: date | None) -> Refusal:
    """Why no period of the range can be restated, and what helps."""
    name, grain = plan.wish.rollup.name, plan.wish.rollup.grain
    left = {why: len(periods) for why, periods in plan.left.items()}
    fixes = {
        "pruned": "restate the periods above, which hold its numbers",
        "before the source's horizon": f"ask for days from {stands_from} on; older raw rows are gone",
    }
    why = ", ".join(f"{count:,} {reason}" for reason, count in left.items())
    main = max(left, key=lambda reason: left[reason])
    return Refusal(
        f"{name} of {asked.periods(grain, [each.window for each in plan.periods])} is not sealed"
        if main not in fixes else f"{name} holds nothing to restate from {first} to {last}",
        why=f"{why}; until it is sealed, a run makes a period equal its source" if main not in fixes else why,
        fix=fixes.get(main, f"$ backfill {name} --from {first} --to {last}"),
        exit_code=REFUSED if main in fixes else 1,
    )  # fmt: skip


def _nobody_agrees(plan: _Plan) -> Refusal:
    """A loss is for a person to accept, here or beforehand."""
    amount = f"{_lost(plan)} that" if plan.losses else "what"
    return Refusal(
        f"nothing was restated: --accept-loss would let go {amount} the source no longer has",
        why="nobody is there to be asked", fix="add --yes", exit_code=REFUSED,
    )  # fmt: skip


def _lost(plan: _Plan) -> str:
    return asked.amounts(plan.wish.rollup.family, [each.amounts for each in plan.losses])


def _tell(plan: _Plan, first: date, last: date, say: Callable[[str], None]) -> None:
    is_alone = all(each.is_raw for each in plan.chosen)
    whom = f", {plan.person.label or plan.person.user_id} alone" if plan.person and is_alone else ""
    say(console.printable(f"{plan.wish.rollup.name} from {first} to {last}{whom}"))
    for name, text in _facts(plan):
        say(f"  {name:<9} {text}")


def _facts(plan: _Plan) -> Iterator[tuple[str, str]]:
    grain = plan.wish.rollup.grain
    lost = sum(each.is_lost for each in plan.periods)
    also = f", {lost:,} open of which the source has lost most" if lost else ""
    yield "periods", f"{len(plan.periods):,}, {len(plan.chosen) - lost:,} of them sealed{also}"
    for why, periods in plan.left.items():
        named = asked.periods(grain, [each.window for each in periods])
        yield "left out", f"{len(periods):,} {why}: {named}"
    if plan.person and any(not each.is_raw for each in plan.chosen):
        yield "users", "all: what is made from the periods below knows no single user"
    yield "keeps", f"{_kept(plan)} beyond the source, when it was last looked at"
    if plan.wish.accepts_loss:
        yield "loses", f"{_lost(plan)} that the source no longer has"
        for each in plan.losses[:_SHOWN]:
            yield "", f"{asked.period(grain, each.window)}  {_amount(plan, each)}"
        if len(plan.losses) > _SHOWN:
            yield "", f"and {len(plan.losses) - _SHOWN:,} periods more"
        if any(not each.is_raw for each in plan.chosen):
            yield "", "what is made from the periods below becomes their sum again"
    yield "reason", console.printable(plan.wish.reason)


def _amount(plan: _Plan, loss: "Loss") -> str:
    family = plan.wish.rollup.family
    return f"{asked.amounts(family, [loss.amounts])} of {asked.count(loss.unit_count, family.words.unit)}"


def _kept(plan: _Plan) -> str:
    """What the ledger says is kept beyond the source, of the one user or of all."""
    user_id = plan.wish.user_id
    found = [
        (user, amount)
        for each in plan.chosen
        for user, amount in (each.kept or {}).items()
        if user_id is None or user == str(user_id)
    ]
    family = plan.wish.rollup.family
    users = asked.count(len({user for user, _ in found}), family.words.unit)
    return f"{asked.amounts(family, [amount for _, amount in found])} of {users}"


def _run(warehouse: "Warehouse", plan: _Plan) -> "tuple[list[Outcome], list[Failed]]":
    """Restate, let the periods above follow, say what changed; what was done, and what was refused."""
    from usage_pipeline.derived import restatement

    windows = [each.window for each in plan.chosen]
    with console.bar(plan.wish.rollup.name, len(windows)) as progress:
        done, failed = asked.parted(
            _watched(restatement.run(warehouse, plan.wish, windows), progress.advance)
        )
    console.narrate(f"{asked.count(len(done), 'period')} restated, {asked.rows(done)}")
    for line in asked.differences(plan.wish.rollup.grain, done):
        console.narrate(line)
    followed, refused = asked.parted(
        restatement.follow(warehouse, plan.wish, [each.window for each in done]) if done else ()
    )
    _tell_followed(followed)
    _tell_kept(plan, [*done, *followed])
    return [*done, *followed], [*failed, *refused]


def _watched(
    ended: "Iterator[Done[Outcome] | Failed]", advance: Callable[[], None]
) -> "Iterator[Done[Outcome] | Failed]":
    for each in ended:
        advance()
        yield each


def _tell_followed(outcomes: "Sequence[Outcome]") -> None:
    for each in outcomes:
        changed = asked.rows([each]) if each.changed else "unchanged"
        console.narrate(
            f"{each.rollup.name} of {asked.period(each.rollup.grain, each.window)} followed: {changed}"
        )


def _tell_kept(plan: _Plan, outcomes: "Sequence[Outcome]") -> None:
    family = plan.wish.rollup.family
    keeping = [each for each in outcomes if any(each.entry.kept_sum(one.column) for one in family.kept)]
    for name in dict.fromkeys(each.rollup.name for each in keeping):
        held = [each for each in keeping if each.rollup.name == name]
        amount = asked.amounts(family, [unit for each in held for unit in each.entry.kept.values()])
        bounds = asked.bounds([each.window for each in held])
        console.narrate(
            f"{name} keeps {amount} that the source no longer has, in {asked.count(len(held), 'period')}: "
            f"{settings.program()} restatements {name} --kept {bounds}"
        )
