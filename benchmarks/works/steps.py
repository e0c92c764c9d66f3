"""Where the time of a day goes: the statement of a day taken apart, each part beside the day's floor."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from benchmarks import rounds
from benchmarks import stage as stages
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row
from benchmarks.sides import floor
from benchmarks.stage import Stage

STEPS: Final = {
    "step_walk": "the product's own walk over the day's answers",
    "step_read": "… and their tokens out of the JSON",
    "step_group": "… and grouped by conversation, owner and user",
}


def measure(bench: Bench) -> Iterator[Row]:
    """Each step contains the one before it; the last is the product's own run of the day, first and again."""
    stage = bench.documented()
    stage.empty()
    floor_side = Side(
        "floor: count(*) of the day by the index",
        lambda: floor.count(stage, stage.last, stage.last, workers=0)[1],
    )
    steps = {name: Side(said, _timed(stage, name)) for name, said in STEPS.items()}
    first = Side("… and stored, proved and recorded: a day's run", lambda: _run(stage), before=stage.empty)
    again = Side("a day's run, nothing changed", lambda: _run(stage), before=stage.settle)
    rounds.alternate([floor_side, *steps.values(), first, again], 4 * bench.rounds + 1, lambda _: None)
    for side in (*steps.values(), first, again):
        yield Row(
            "steps",
            side.name,
            1000 * side.seconds,
            unit="ms",
            other=floor_side.name,
            theirs=1000 * floor_side.seconds,
        )


def _timed(stage: Stage, name: str) -> Callable[[], float]:
    return partial(_seconds, stage, name)


def _seconds(stage: Stage, name: str) -> float:
    binds = {"first": stage.last, "until": stage.last + timedelta(days=1)}
    with stage.connect("postgres") as connection:
        connection.execute(stages.statement("step_settings"))
        began = time.perf_counter()
        connection.execute(stages.statement(name), binds).fetchall()
        return time.perf_counter() - began


def _run(stage: Stage) -> float:
    """By the product's own record."""
    stage.backfill("tokens_daily", first=stage.last)
    took = dict(stage.run("ledger_of_night", login="postgres", day=stage.last))
    return float(took["tokens_daily"]) / 1000
