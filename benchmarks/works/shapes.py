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
    count = floor.of_all_days(stage, bench.cores)
    fill = Side("usage-pipeline", lambda: stage.backfill("tokens_daily").seconds, before=stage.empty)
    rounds.prove([fill])
    equality.require_ours(stage, "day")
    rounds.alternate([count, fill], bench.rounds, bench.say)
    assert fill.seconds is not None
    yield Row(
        "llm_calls", f"first fill of {stage.answers(stage.size.day_count):,} answers, tokens in `llm_calls`",
        fill.seconds, other=count.name, theirs=count.seconds,
    )  # fmt: skip
