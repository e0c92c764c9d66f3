"""Where the time of a day goes: the statement of a day taken apart, each part beside the day's floor."""

import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final

from benchmarks import rounds
from benchmarks import stage as stages
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row
from benchmarks.sides import equality, floor
from benchmarks.sides.equality import Unequal
from benchmarks.stage import Stage

STEPS: Final = {
    "step_walk": "the product's own walk over the day's answers",
    "step_read": "… and their tokens out of the JSON",
    "step_group": "… and grouped by conversation, owner and user",
}


def measure(bench: Bench) -> Iterator[Row]:
    """Each step but the last contains the one before it; the last is the run of the same day once more."""
    stage = bench.documented()
    count = floor.of_the_last_day(stage)
    steps = [Side(said, partial(_seconds, stage, name)) for name, said in STEPS.items()]
    first = Side("… and stored, proved and recorded: a day's run", partial(_run, stage), before=stage.empty)
    again = Side("a day's run, nothing changed", partial(_run, stage), before=stage.settle)
    rounds.prove([*steps, first, again])
    rounds.alternate([count, *steps, first, again], 2 * bench.rounds, lambda _: None)
    for side in (*steps, first, again):
        assert side.seconds is not None
        assert count.seconds is not None
        theirs = 1000 * count.seconds
        yield Row("steps", side.name, 1000 * side.seconds, unit="ms", other=count.name, theirs=theirs)


def _seconds(stage: Stage, name: str) -> float:
    binds = {"first": stage.last, "until": stage.last + timedelta(days=1)}
    with stage.connect("postgres") as connection:
        connection.execute(stages.statement("step_settings"))
        began = time.perf_counter()
        row = connection.execute(stages.statement(name), binds).fetchone()
        seconds = time.perf_counter() - began
    _require(stage, name, row)
    return seconds


def _require(stage: Stage, name: str, found: tuple[Any, ...] | None) -> None:
    """The sums of a step are those of the plain statement."""
    ((answers, tokens),) = stage.run("plain_sums", login="postgres", day=stage.last)
    expected = {"step_walk": (answers,), "step_read": (answers, tokens), "step_group": (answers, tokens)}[
        name
    ]
    if found is None or tuple(map(int, found[: len(expected)])) != expected:
        raise Unequal(f"{name}: {found} is not {expected}, as the plain statement has it")


def _run(stage: Stage) -> float:
    """By the product's own record."""
    stage.backfill("tokens_daily", first=stage.last)
    equality.require_last_days(stage, 1)
    return stage.durations(stage.last)["tokens_daily"]
