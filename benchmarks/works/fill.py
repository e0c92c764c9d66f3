"""All days for all users from nothing; the same again; then weeks, months and years from the days."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row, at_least, at_most
from benchmarks.sides import equality, floor, pull, seed, tools
from benchmarks.sides.equality import Unequal
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
    ours = first, again, climb = _ours(stage)
    others = [
        pull.fill(stage, SAMPLED),
        seed.loop(stage, has_index=True),
        seed.loop(stage, has_index=False),
        seed.view(stage),
    ]
    bench.say("comparing the rows of every side …")
    written = _prove(stage, *ours)
    rounds.prove(others)
    peers = [] if bench.is_quick else tools.best(stage, bench.say)
    count = floor.of_all_days(stage, bench.cores)
    rounds.alternate([count, *ours, *peers, *others], bench.rounds, bench.say)
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


def _ours(stage: Stage) -> tuple[Side, Side, Side]:
    """The product's own commands; each finds what the one before it left."""
    return (
        Side("usage-pipeline", lambda: stage.backfill("tokens_daily").seconds, before=stage.empty),
        Side(
            "the same fill again, nothing changed",
            lambda: stage.backfill("tokens_daily").seconds,
            before=stage.settle,
        ),
        Side(
            f"{stage.size.day_count} days to weeks, months and years",
            lambda: stage.backfill(*COARSER).seconds,
            before=stage.settle,
        ),
    )


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
