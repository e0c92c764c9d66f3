"""Where the time of a day goes: the statement of a day taken apart, each part beside the day's floor."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from benchmarks import rounds
from benchmarks.bench import Bench
from benchmarks.rounds import Side
from benchmarks.rows import Row
from benchmarks.sides import equality, floor
from benchmarks.sides.equality import Unequal
from benchmarks.stage import Stage
from usage_pipeline.periods.calendar import midnight

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
    """The sums of a step, its answers and their tokens first, are those of the plain statement."""
    window = {"first": midnight(stage.last), "until": midnight(stage.last + timedelta(days=1))}
    seconds, (found,) = stage.timed(name, login="postgres", settings="step_settings", **window)
    (expected,) = stage.run("plain_sums", login="postgres", day=midnight(stage.last))
    if any(int(ours) != theirs for ours, theirs in zip(found, expected, strict=False)):
        raise Unequal(f"{name}: {found[:2]} is not {expected}, as the plain statement has it")
    return seconds


def _run(stage: Stage) -> float:
    """By the product's own record."""
    stage.backfill("tokens_daily", first=stage.last)
    equality.require_last_days(stage, 1)
    return stage.durations(stage.last)["tokens_daily"]
