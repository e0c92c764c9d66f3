"""All sides against one plain statement over the raw rows: none is timed that has other rows."""

from datetime import timedelta
from typing import Final

import psycopg

from benchmarks import stage as stages
from benchmarks.stage import Stage
from benchmarks.world.data import Shape

UNITS: Final = {
    "day": "tokens_daily",
    "week": "tokens_weekly",
    "month": "tokens_monthly",
    "year": "tokens_yearly",
}


class Unequal(Exception):  # noqa: N818 - the one thing that must never be printed as a time
    """A side whose rows are not those of the plain statement."""


def prepare(stage: Stage, shape: Shape) -> None:
    """The plain statement's rows, computed once for as long as the stage stands; views of the product's."""
    if stage.run("exists", login="postgres", name="bench.plain_year") == [(False,)]:
        _compute(stage, shape)
    with stage.connect("postgres") as connection:
        for unit, rollup in UNITS.items():
            text = stages.with_names("ours_rows", view=f"bench.ours_{unit}")
            psycopg.ClientCursor(connection).execute(text, {"period_type": rollup.removeprefix("tokens_")})


def _compute(stage: Stage, shape: Shape) -> None:
    for name in ("create_plain", f"plain_events_{shape}"):
        stage.run(name, login="postgres")
    with stage.connect("postgres") as connection:
        for unit in UNITS:
            text = stages.with_names("plain_rows", result=f"bench.plain_{unit}")
            psycopg.ClientCursor(connection).execute(text, {"unit": unit})


def require(stage: Stage, name: str, found: str, expected: str = "bench.plain_day") -> None:
    """Two relations hold the same rows, and not none, or Unequal."""
    with stage.connect("postgres") as connection:
        row = connection.execute(stages.with_names("differences", expected=expected, found=found)).fetchone()
    assert row is not None
    different, compared = row
    if different or not compared:
        raise Unequal(f"{name}: {different} of {compared} rows are not those of the plain statement")


def require_ours(stage: Stage, *units: str) -> None:
    """What the product stored, of some grains; and what only it stores agrees with itself."""
    for unit in units:
        require(stage, f"usage-pipeline, {UNITS[unit]}", f"bench.ours_{unit}", f"bench.plain_{unit}")
    _require_whole(stage)


def require_last_days(stage: Stage, count: int) -> None:
    """What the product stored of the last days, and that it stored nothing else."""
    first = stage.last - timedelta(days=count - 1)
    stage.run("plain_since", login="postgres", first=first)
    require(stage, f"usage-pipeline, the last {count} days", "bench.ours_day", "bench.plain_since")
    _require_whole(stage)


def _require_whole(stage: Stage) -> None:
    ((odd,),) = stage.run("ours_odd", login="postgres")
    if odd:
        raise Unequal(f"usage-pipeline: {odd} rows with wrong ids, end or refused messages")
