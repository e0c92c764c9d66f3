"""All days for all users from nothing; the same again; then weeks, months and years from the days."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row, at_least, at_most
from benchmarks.sides import equality, floor, pull, seed, tools
from benchmarks.sides.equality import Unequal
from benchmarks.sides.ours import Command
from benchmarks.stage import Stage

Value = TypeVar("Value")

COARSER: Final = ("tokens_weekly", "tokens_monthly", "tokens_yearly")
SAMPLED: Final = 10
"""pandas computes each tenth day."""
NOTES: Final = {
    "pandas": f"each {SAMPLED}th day, made up to all",
    "the seed's loop, with its": f"{seed.USERS} users, made up to all",
    "the seed's loop, without": "one user, made up to all",
    "the seed's materialized view": "fewer columns, no conversations, no memory",
}
BARS: Final = {
    "floor": at_most(10),
    "SQLMesh": at_least(1.8),
    "dbt": at_least(4.5),
    "pandas": at_least(12),
    "the seed's loop, with its": at_least(10),
    "the seed's loop, without": at_least(300),
}


def measure(bench: Bench) -> Iterator[Row]:
    """One round after another: floor, first fill, again, climb, then the others."""
    stage = bench.documented()
    seed.prepare(stage)
    days, coarser = Command(stage, ("tokens_daily",)), Command(stage, COARSER)
    first = days.side("usage-pipeline", stage.empty)
    again = Side(
        "the same fill again, nothing changed", lambda: stage.backfill(*days.assets).seconds, stage.settle
    )
    climb = coarser.side(f"{stage.size.day_count} days to weeks, months and years", stage.settle)
    others = [
        pull.fill(stage, SAMPLED),
        seed.loop(stage, has_index=True),
        seed.loop(stage, has_index=False),
        seed.view(stage),
    ]
    bench.say("comparing the rows of every side …")
    written = _prove(stage, first, again, climb)
    days.forget()
    coarser.forget()
    rounds.prove(others)
    peers = [] if bench.is_quick else tools.best(stage, bench.say)
    count = floor.of_all_days(stage, bench.cores)
    copying = Side(
        "copying", lambda: stage.timed("copied_fill", login="postgres")[0], lambda: _empty_copy(stage)
    )
    rounds.alternate([count, first, again, climb, copying, *peers, *others], bench.rounds, bench.say)
    equality.require_ours(stage, *equality.UNITS)
    tools.require(stage, peers)
    assert first.seconds is not None
    what = f"first fill of {stage.answers(stage.size.day_count):,} answers"
    for side in (count, *peers, *others):
        yield Row(
            "fill", what, first.seconds, other=side.name, theirs=side.seconds, bar=_of(BARS, side),
            note=side.failure or _of(NOTES, side) or "",
        )  # fmt: skip
    yield Row("again", "rows written by the same fill again", written, "rows", bar=at_most(0))
    for work, side, bar in (("again", again, at_most(1)), ("climb", climb, at_most(0.5))):
        assert side.seconds is not None
        yield Row(work, side.name, side.seconds, other="first fill", theirs=first.seconds, bar=bar)
    yield from _taken_apart(bench, days, first, coarser, climb, copying)


def _taken_apart(
    bench: Bench, days: Command, first: Side, coarser: Command, climb: Side, copying: Side
) -> Iterator[Row]:
    """Statements beside the command that sent them; and what they write beside all that they do."""
    at_once = f"on {bench.cores} connections, by the product's own record"
    for what, command, side in (("the first fill", days, first), ("weeks, months and years", coarser, climb)):
        yield Row(
            "command", f"{what}: the statements alone", command.statements / bench.cores,
            other="the whole command", theirs=side.seconds, note=at_once,
        )  # fmt: skip
    assert copying.seconds is not None
    yield Row(
        "command", "weeks, months and years: their rows written once more, nothing computed", copying.seconds,
        other="the statements, one after another", theirs=coarser.statements,
    )  # fmt: skip


def _empty_copy(stage: Stage) -> None:
    stage.run("copied_create", login="postgres")
    stage.settle()


def _prove(stage: Stage, first: Side, again: Side, climb: Side) -> int:
    """One round that is not measured: the rows are right, and a second fill writes and drops none of them."""
    rounds.prove([first])
    equality.require_ours(stage, "day")
    ((_, before, since),) = stage.run("written", login="postgres", since=0)
    rounds.prove([again])
    ((changed, after, _),) = stage.run("written", login="postgres", since=since)
    rounds.prove([climb])
    equality.require_ours(stage, *equality.UNITS)
    written = int(changed) + abs(int(after) - int(before))
    if written:
        raise Unequal(f"usage-pipeline: the same fill again wrote {written} rows")
    return written


def _of(known: Mapping[str, Value], side: Side) -> Value | None:
    return next((value for name, value in known.items() if side.name.startswith(name)), None)
