"""The other shape: tokens in the list of calls behind each answer, beside its own floor."""

from collections.abc import Iterator

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row
from benchmarks.sides import equality, floor


def measure(bench: Bench) -> Iterator[Row]:
    """A first fill; no bar yet."""
    stage = bench.llm_calls()
    count = Side("floor", lambda: floor.count(stage, stage.first, stage.last)[1])
    fill = Side("usage-pipeline", lambda: stage.backfill("tokens_daily").seconds, before=stage.empty)
    rounds.prove([fill])
    equality.require_ours(stage, "day")
    rounds.alternate([count, fill], bench.rounds, bench.say)
    answers, _ = floor.count(stage, stage.first, stage.last)
    yield Row(
        "llm_calls",
        f"first fill of {answers:,} answers, tokens in `llm_calls`",
        fill.seconds,
        other="floor: parallel count(*)",
        theirs=count.seconds,
    )
