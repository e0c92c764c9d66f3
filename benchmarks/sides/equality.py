"""All sides against one plain statement over the raw rows: none is timed that has other rows."""

from typing import Final

from benchmarks.stage import Stage
from benchmarks.world.data import Shape
from usage_pipeline.periods.calendar import midnight
from usage_pipeline.refusals import Refusal

UNITS: Final = {
    "day": "tokens_daily",
    "week": "tokens_weekly",
    "month": "tokens_monthly",
    "year": "tokens_yearly",
}


class Unequal(Refusal):
    """A side whose rows are not those of the plain statement: its time must never be told."""


def prepare(stage: Stage, shape: Shape) -> None:
    """The plain statement's rows, computed once for as long as the stage stands; views of the product's."""
    if stage.run("exists", login="postgres", name="bench.plain_year") == [(False,)]:
        _compute(stage, shape)
    for unit, rollup in UNITS.items():
        period_type = rollup.removeprefix("tokens_")
        view = {"view": f"bench.ours_{unit}"}
        stage.run("ours_rows", login="postgres", names=view, period_type=period_type)


def _compute(stage: Stage, shape: Shape) -> None:
    for name in ("create_plain", f"plain_events_{shape}"):
        stage.run(name, login="postgres")
    for unit in UNITS:
        stage.run("plain_rows", login="postgres", names={"result": f"bench.plain_{unit}"}, unit=unit)


def require(stage: Stage, name: str, found: str, expected: str = "bench.plain_day") -> None:
    """Two relations hold the same rows, and not none, or Unequal."""
    relations = {"expected": expected, "found": found}
    ((different, compared),) = stage.run("differences", login="postgres", names=relations)
    if different or not compared:
        raise Unequal(f"{name}: {different} of {compared} rows are not those of the plain statement")


def require_ours(stage: Stage, *units: str) -> None:
    """What the product stored, of some grains; and what only it stores agrees with itself."""
    for unit in units:
        require(stage, f"usage-pipeline, {UNITS[unit]}", f"bench.ours_{unit}", f"bench.plain_{unit}")
    _require_whole(stage)


def require_last_days(stage: Stage, count: int) -> None:
    """What the product stored of the last days, and that it stored nothing else."""
    stage.run("plain_since", login="postgres", first=midnight(stage.first_of_last(count)))
    require(stage, f"usage-pipeline, the last {count} days", "bench.ours_day", "bench.plain_since")
    _require_whole(stage)


def _require_whole(stage: Stage) -> None:
    ((odd,),) = stage.run("ours_odd", login="postgres")
    if odd:
        raise Unequal(f"usage-pipeline: {odd} rows with wrong ids, end or refused messages")
