"""One night: a day that was never computed, with the week, the month and the year that hold it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from types import ModuleType
from typing import Final

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.peers.place import Unavailable
from benchmarks.rounds import Side
from benchmarks.rows import Row, at_least, at_most
from benchmarks.sides import equality, floor, seed
from benchmarks.stage import Stage
from benchmarks.works.fill import PEERS

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
        self._set_clock(self.stage.last)
        self.stage.empty()
        self.stage.backfill("all", last=self.stage.last - timedelta(days=1))
        self.stage.run("night_keep", login="postgres", day=self.stage.last)
        self._set_clock(self.stage.last + timedelta(days=1))

    def restore(self) -> None:
        """The evening before once more."""
        self.stage.run("night_restore", login="postgres", day=self.stage.last)
        self.stage.run("vacuum", login="postgres")
        self.stage.settle()

    def run(self) -> float:
        """The night; its seconds as a whole command."""
        seconds = self.stage.backfill("all", first=self.stage.last).seconds
        took = {
            rollup: float(ms) / 1000
            for rollup, ms in self.stage.run("ledger_of_night", login="postgres", day=self.stage.last)
        }
        self.commands.append(seconds)
        self.days.append(took["tokens_daily"])
        self.grains.append(sum(took.values()))
        return seconds

    def forget(self) -> None:
        for times in (self.commands, self.days, self.grains):
            times.clear()

    def _set_clock(self, day: date) -> None:
        instant = datetime.combine(day, time(2), UTC)
        self.stage.run("set_clock", login="postgres", instant=instant)


def measure(bench: Bench) -> Iterator[Row]:
    """Nights on the whole history and on parts of it, the view's refresh, the peers' nights."""
    stage = bench.documented()
    nights = Nights(stage)
    shorter = [] if bench.is_quick else [Nights(bench.last_days(days)) for days in HISTORIES]
    for each in (nights, *shorter):
        each.prepare()
        each.restore()
        each.run()
        equality.require_ours(each.stage, *equality.UNITS)
        each.forget()
    seed.prepare(stage)
    seed.make_view(stage)
    day_floor = Side("floor of the day", lambda: floor.count(stage, stage.last, stage.last, workers=0)[1])
    refresh = Side(
        "the seed's view, refreshed concurrently", lambda: seed.refresh_view(stage), rounds=bench.rounds
    )
    peers, missing = [], {}
    if not bench.is_quick:
        for name in PEERS:
            try:
                peers.append(_peer(stage, name))
            except Unavailable as reason:
                missing[name] = str(reason)
    ours = [
        Side(f"usage-pipeline, {each.name}", each.run, before=each.restore) for each in (nights, *shorter)
    ]
    rounds.alternate([day_floor, *ours, refresh, *peers], 2 * bench.rounds + 1, bench.say)
    equality.require_ours(stage, *equality.UNITS)
    yield from _rows(nights, shorter, day_floor, refresh, peers, missing)


def _peer(stage: Stage, name: str) -> Side:
    """The peer computes the day once more, with all days there; no peer has weeks, months and years."""
    tool: ModuleType = PEERS[name]
    place, variant = stage.place(), tool.VARIANTS[0]
    tool.prepare(place, variant)
    tool.fill(place, variant)
    equality.require(stage, name, tool.RESULT)
    return Side(name, rounds.timed(lambda: tool.night(place, stage.last, variant)), stage.settle)


def _rows(
    nights: Nights,
    shorter: list[Nights],
    day_floor: Side,
    refresh: Side,
    peers: list[Side],
    missing: dict[str, str],
) -> Iterator[Row]:
    whole = "one night, the statements of day, week, month and year"
    command = "one night as a whole command"
    grains = median(nights.grains)
    yield Row("night", whole, grains, other=refresh.name, theirs=refresh.seconds, bar=at_least(15))
    yield Row(
        "night",
        "the statement of the day",
        median(nights.days),
        other="floor: count(*) of the day by the index",
        theirs=day_floor.seconds,
        bar=at_most(10),
    )
    for each in reversed(shorter):
        times = nights.stage.size.day_count // each.stage.size.day_count
        yield Row(
            "night",
            f"{whole}, {times} times the history",
            grains,
            other=each.name,
            theirs=median(each.grains),
            bar=at_most(1.15),
        )
    for side in peers:
        bar = at_least(2.5) if side.name == "dbt" else None
        yield Row(
            "night",
            command,
            median(nights.commands),
            other=side.name,
            theirs=side.seconds,
            bar=bar,
            note="theirs is the day alone",
        )
    for name, reason in missing.items():
        yield Row("night", command, median(nights.commands), other=name, note=reason)
