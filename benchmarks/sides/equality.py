"""All sides against one plain statement over the raw rows: none is timed that has other rows."""

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
    """The plain statement's rows, computed once for as long as the stage stands."""
    if stage.run("exists", login="postgres", name="bench.ours_year") == [(True,)]:
        return
    for name in ("create_plain", f"plain_events_{shape}"):
        stage.run(name, login="postgres")
    with stage.connect("postgres") as connection:
        for unit in UNITS:
            text = stages.with_names("plain_rows", result=f"bench.plain_{unit}")
            psycopg.ClientCursor(connection).execute(text, {"unit": unit})
    stage.run("ours_rows", login="postgres")


def require(stage: Stage, name: str, found: str, expected: str = "bench.plain_day") -> int:
    """The number of rows that two relations share, or Unequal."""
    with stage.connect("postgres") as connection:
        row = connection.execute(stages.with_names("differences", expected=expected, found=found)).fetchone()
    assert row is not None
    different, compared = row
    if different or not compared:
        raise Unequal(f"{name}: {different} of {compared} rows are not those of the plain statement")
    return int(compared)


def require_ours(stage: Stage, *units: str) -> None:
    """What the product stored, of some grains."""
    for unit in units:
        require(stage, f"usage-pipeline, {UNITS[unit]}", f"bench.ours_{unit}", f"bench.plain_{unit}")
