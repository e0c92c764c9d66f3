"""Those who write the chat while it is being computed."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

from benchmarks.bench import Bench
from benchmarks.rows import Row, at_most
from benchmarks.sides import equality, writer
from benchmarks.stage import Stage
from usage_pipeline.warehouse import embedded

QUIET: Final = 8.0
"""Seconds of writing while nothing else runs."""


def measure(bench: Bench) -> Iterator[Row]:
    """Quiet, then beside fills with a connection less than there are cores, and with as many."""
    stage = bench.documented()
    few = max(1, bench.cores - 1)
    connections = sorted({few, bench.cores})
    quiet: list[float] = []
    slow: dict[int, list[float]] = {each: [] for each in connections}
    took: dict[int, list[float]] = {each: [] for each in connections}
    for number in range(bench.rounds):
        quiet.append(_quiet(stage))
        for each in connections:
            seconds, latency = _beside(stage, each)
            slow[each].append(latency)
            took[each].append(seconds)
            bench.say(
                f"round {number + 1}: p99 quiet {quiet[-1]:.2f} ms, {each} connections {latency:.2f} ms"
            )
    for each in connections:
        yield Row(
            "writers", f"p99 of a chat message beside a fill with {each} connection{'s' * (each > 1)}",
            median(slow[each]), unit="ms", other="quiet", theirs=median(quiet),
            bar=at_most(3) if each == few else None, note=f"the database worked {median(took[each]):.3g} s",
        )  # fmt: skip


def _quiet(stage: Stage) -> float:
    """The slowest hundredth, in milliseconds, with nobody else there."""
    stage.settle()
    with writer.writing(stage) as written:
        time.sleep(QUIET)
    return written.p99()


def _beside(stage: Stage, connections: int) -> tuple[float, float]:
    """The seconds of the work of half a fill, and the slowest hundredth of the messages due meanwhile."""
    days = stage.size.day_count // 2
    stage.empty()
    with writer.writing(stage) as written:
        first = stage.first_of_last(days)
        stage.backfill("tokens_daily", first=first, USAGE_CONNECTIONS=str(connections))
    equality.require_last_days(stage, days)
    (row,) = stage.run("dagster_work", login="postgres", database=embedded.DAGSTER_DATABASE)
    since, until = map(float, row)
    return until - since, written.p99(since, until)
