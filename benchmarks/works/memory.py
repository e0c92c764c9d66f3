"""The memory of the Python side, by how much it computes."""

from collections.abc import Iterator
from statistics import median

from benchmarks.bench import Bench
from benchmarks.rows import Row, at_most
from benchmarks.sides import equality
from benchmarks.stage import Stage


def measure(bench: Bench) -> Iterator[Row]:
    """A first fill of an eighth of the days, and of half of them, in turns."""
    stage = bench.documented()
    many, few = stage.size.day_count // 2, stage.size.day_count // 8
    peaks: dict[int, list[float]] = {few: [], many: []}
    for number in range(bench.rounds):
        for days, found in peaks.items():
            stage.empty()
            found.append(_peak(stage, days))
            equality.require_last_days(stage, days)
            bench.say(f"round {number + 1} of {bench.rounds}: {days} days, at most {found[-1]:.0f} MiB")
    messages = {days: f"{2 * stage.answers(days):,} messages" for days in peaks}
    yield Row(
        "memory", f"peak memory of the command, {messages[many]}", median(peaks[many]), unit="MiB",
        other=messages[few], theirs=median(peaks[few]), bar=at_most(1.1),
    )  # fmt: skip


def _peak(stage: Stage, days: int) -> float:
    """Of a fill of the last days."""
    first = stage.first_of_last(days)
    ran = stage.backfill("tokens_daily", first=first, module="benchmarks.sides.weighing")
    return int(ran.printed.splitlines()[-1]) / 2**20
