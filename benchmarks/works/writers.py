"""Those who write the chat while it is being computed."""

from collections.abc import Iterator
from datetime import timedelta
from statistics import median
from typing import Final

from benchmarks.bench import Bench
from benchmarks.rows import Row, at_most
from benchmarks.sides import writer
from benchmarks.stage import Stage

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
            stage.empty()
            seconds, latency = _beside(stage, each)
            slow[each].append(latency)
            took[each].append(seconds)
            bench.say(
                f"round {number + 1}: p99 quiet {quiet[-1]:.2f} ms, {each} connections {latency:.2f} ms"
            )
    stage.run("writer_forget")
    for each in connections:
        yield Row(
            "writers",
            f"p99 of a chat message beside a fill with {each} connection{'s' * (each > 1)}",
            median(slow[each]),
            unit="ms",
            other="quiet",
            theirs=median(quiet),
            bar=at_most(3) if each == few else None,
            note=f"the fill took {median(took[each]):.3g} s",
        )


def _quiet(stage: Stage) -> float:
    """The slowest hundredth, in milliseconds, with nobody else there."""
    stage.settle()
    with writer.writing(stage) as written:
        writer.rest(QUIET)
    return written.p99


def _beside(stage: Stage, connections: int) -> tuple[float, float]:
    """The seconds of half a fill, and the slowest hundredth of the messages written while it ran."""
    first = stage.last - timedelta(days=stage.size.day_count // 2 - 1)
    with writer.writing(stage) as written:
        ran = stage.backfill("tokens_daily", first=first, USAGE_CONNECTIONS=str(connections))
    return ran.seconds, written.p99
