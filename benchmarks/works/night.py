"""One night: a day that was never computed, with the week, the month and the year that hold it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Final

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row, at_least, at_most
from benchmarks.sides import equality, floor, seed, tools
from benchmarks.stage import Stage

HISTORIES: Final = (22, 44)
"""Days of chat beside all of them: the same year, month and week, a half and a quarter of the history."""


@dataclass
class Nights:
    """A stage on which one night after another is run, each from the evening before."""

    stage: Stage
    commands: list[float] = field(default_factory=list)
    days: list[float] = field(default_factory=list)
    """The statements of the day alone, by the product's own record, in seconds."""
    grains: list[float] = field(default_factory=list)
    """The statements of the day, week, month and year."""

    @property
    def name(self) -> str:
        return f"{self.stage.size.day_count} days of history"

    def prepare(self) -> None:
        """What the night before left, computed by the product as of that night, and kept."""
        self.stage.set_clock(self.stage.last)
        self.stage.empty()
        self.stage.backfill("all", last=self.stage.last - timedelta(days=1))
        self.stage.run("night_keep", login="postgres", day=self.stage.last)
        self.stage.set_clock(self.stage.last + timedelta(days=1))

    def side(self) -> Side:
        return Side(f"usage-pipeline, {self.name}", self._run, before=self._restore)

    def forget(self) -> None:
        """What was run so far was not measured."""
        for times in (self.commands, self.days, self.grains):
            times.clear()

    def _restore(self) -> None:
        """The evening before once more."""
        self.stage.run("night_restore", login="postgres", day=self.stage.last)
        self.stage.run("vacuum", login="postgres")
        self.stage.settle()

    def _run(self) -> float:
        """The night; its seconds as a whole command."""
        seconds = self.stage.backfill("all", first=self.stage.last).seconds
        took = self.stage.durations(self.stage.last)
        self.commands.append(seconds)
        self.days.append(took["tokens_daily"])
        self.grains.append(sum(took.values()))
        return seconds


def measure(bench: Bench) -> Iterator[Row]:
    """Nights on the whole history and on parts of it, the view's refresh, the peers' nights."""
    stage = bench.documented()
    nights = Nights(stage)
    shorter = [] if bench.is_quick else [Nights(bench.last_days(days)) for days in HISTORIES]
    for each in (nights, *shorter):
        each.prepare()
        rounds.prove([each.side()])
        equality.require_ours(each.stage, *equality.UNITS)
        each.forget()
    seed.prepare(stage)
    rounds.prove([seed.view(stage)])
    peers = [] if bench.is_quick else tools.nights(stage, stage.last)
    count, refresh = floor.of_the_last_day(stage), seed.refreshed_view(stage)
    rounds.prove([*peers, refresh])
    tools.require(stage, peers)
    ours = [each.side() for each in (nights, *shorter)]
    rounds.alternate([count, *ours, refresh, *peers], 2 * bench.rounds - 1, bench.say)
    for each in (nights, *shorter):
        equality.require_ours(each.stage, *equality.UNITS)
    tools.require(stage, peers)
    yield from _rows(nights, shorter, count, refresh, peers)


def _rows(
    nights: Nights, shorter: list[Nights], count: Side, refresh: Side, peers: list[Side]
) -> Iterator[Row]:
    whole = "one night, the statements of day, week, month and year"
    grains = median(nights.grains)
    recorded = "ours by the product's own record"
    yield Row(
        "night", whole, grains, other=refresh.name, theirs=refresh.seconds, bar=at_least(15), note=recorded
    )
    yield Row(
        "night", "one night, the statement of the day", median(nights.days), other=count.name,
        theirs=count.seconds, bar=at_most(10), note=recorded,
    )  # fmt: skip
    for each in reversed(shorter):
        times = nights.stage.size.day_count // each.stage.size.day_count
        yield Row(
            "night", f"{whole}, {times} times the history", grains, other=each.name,
            theirs=median(each.grains), bar=at_most(1.15), note="both by the product's own record",
        )  # fmt: skip
    for side in peers:
        yield Row(
            "night", "one night as a whole command, day, week, month and year", median(nights.commands),
            other=side.name, theirs=side.seconds, bar=at_least(2.5) if side.name.startswith("dbt") else None,
            note=side.failure or "theirs is the day alone",
        )  # fmt: skip
