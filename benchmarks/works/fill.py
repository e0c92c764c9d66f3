"""All days for all users from nothing; the same again; then weeks, months and years from the days."""

from collections.abc import Iterator
from types import ModuleType
from typing import Final

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.peers import dbt, sqlmesh
from benchmarks.peers.place import Unavailable, Variant
from benchmarks.rounds import Side
from benchmarks.rows import Row, at_least, at_most
from benchmarks.sides import equality, floor, pull, seed
from benchmarks.stage import Stage

PEERS: Final = {"SQLMesh": sqlmesh, "dbt": dbt}
COARSER: Final = ("tokens_weekly", "tokens_monthly", "tokens_yearly")
BARS: Final = {"SQLMesh": at_least(1.8), "dbt": at_least(4.5)}
SAMPLED: Final = 10
"""pandas computes each tenth day."""


def measure(bench: Bench) -> Iterator[Row]:
    """One round after another: floor, first fill, again, climb, then the others."""
    stage = bench.documented()
    bench.say("comparing the rows of every side …")
    seed.prepare(stage)
    answers, _ = floor.count(stage, stage.first, stage.last)
    first, again, climb = _ours(stage)
    others = [
        Side("pandas", lambda: pull.fill(stage, SAMPLED)),
        Side("the seed's loop, with its index", lambda: seed.loop(stage, has_index=True)),
        Side("the seed's loop, without", lambda: seed.loop(stage, has_index=False)),
        Side("the seed's materialized view", lambda: seed.make_view(stage), before=stage.settle),
    ]
    written = _prove(stage, first, again, climb)
    rounds.prove(others)
    peers, missing = [], {}
    if not bench.is_quick:
        for name in PEERS:
            try:
                peers.append(_peer(bench, stage, name))
            except Unavailable as reason:
                missing[name] = str(reason)
    count = Side("floor", lambda: floor.count(stage, stage.first, stage.last)[1])
    rounds.alternate([count, first, again, climb, *peers, *others], bench.rounds, bench.say)
    equality.require_ours(stage, *equality.UNITS)
    yield from _rows(answers, count, first, [*peers, *others], missing)
    yield Row("again", "rows written by the same fill again", written, "rows", bar=at_most(0))
    yield Row(
        "again",
        "the same fill again, nothing changed",
        again.seconds,
        other="first fill",
        theirs=first.seconds,
        bar=at_most(1),
    )
    yield Row(
        "climb",
        "90 days to weeks, months and years",
        climb.seconds,
        other="first fill",
        theirs=first.seconds,
        bar=at_most(0.5),
    )


def _ours(stage: Stage) -> tuple[Side, Side, Side]:
    """The product's own commands; each finds what the one before it left."""
    return (
        Side("usage-pipeline", lambda: stage.backfill("tokens_daily").seconds, before=stage.empty),
        Side("usage-pipeline, again", lambda: stage.backfill("tokens_daily").seconds, before=stage.settle),
        Side("usage-pipeline, climb", lambda: stage.backfill(*COARSER).seconds, before=stage.settle),
    )


def _prove(stage: Stage, *ours: Side) -> int:
    """One round that is not measured: the rows are right, and a second fill writes none of them again."""
    first, again, climb = ours
    first.before()
    first.run()
    equality.require_ours(stage, "day")
    before = stage.run("written", login="postgres")
    again.run()
    after = stage.run("written", login="postgres")
    climb.run()
    equality.require_ours(stage, *equality.UNITS)
    return int(after[0][0] - before[0][0])


def _peer(bench: Bench, stage: Stage, name: str) -> Side:
    """A peer at its best: each of its settings is tried once, and its rows are compared."""
    tool: ModuleType = PEERS[name]
    tried = {}
    for variant in tool.VARIANTS:
        tool.prepare(stage.place(), variant)
        tried[variant] = _peer_side(stage, name, variant)
        rounds.alternate([tried[variant]], 1, lambda _: None)
        equality.require(stage, name, tool.RESULT)
    best = min(tried, key=lambda each: tried[each].seconds)
    for variant, side in tried.items():
        bench.say(f"{name}, {variant.name}: {side.seconds:.1f} s{', its best' if variant == best else ''}")
    tool.prepare(stage.place(), best)
    return _peer_side(stage, name, best)


def _peer_side(stage: Stage, name: str, variant: Variant) -> Side:
    tool: ModuleType = PEERS[name]
    place = stage.place()

    def before() -> None:
        tool.empty(place, variant)
        stage.settle()

    return Side(f"{tool.VERSION}, {variant.name}", rounds.timed(lambda: tool.fill(place, variant)), before)


def _rows(
    answers: int, count: Side, first: Side, others: list[Side], missing: dict[str, str]
) -> Iterator[Row]:
    what = f"first fill of {answers:,} answers"
    bars = {
        "pandas": at_least(12),
        "the seed's loop, with its index": at_least(10),
        "the seed's loop, without": at_least(300),
    }
    notes = {
        "pandas": f"each {SAMPLED}th day, made up to all",
        "the seed's loop, with its index": f"{seed.USERS} users, made up to all",
        "the seed's loop, without": "one user, made up to all",
        "the seed's materialized view": "fewer columns, no sessions, no distincts, no memory",
    }
    yield Row(
        "fill", what, first.seconds, other="floor: parallel count(*)", theirs=count.seconds, bar=at_most(10)
    )
    for side in others:
        bar = bars.get(side.name) or next((BARS[name] for name in BARS if side.name.startswith(name)), None)
        yield Row(
            "fill",
            what,
            first.seconds,
            other=side.name,
            theirs=side.seconds,
            bar=bar,
            note=notes.get(side.name, ""),
        )
    for name, reason in missing.items():
        yield Row("fill", what, first.seconds, other=name, bar=BARS[name], note=reason)
