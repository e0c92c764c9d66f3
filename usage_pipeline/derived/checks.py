"""The checks of the derived assets: those of every grain, and that each rung is what lies below it."""

from collections.abc import Sequence

import dagster as dg

from usage_pipeline.derived.ladder import LADDER, Step
from usage_pipeline.rollups import check_runs, checks
from usage_pipeline.rollups.check import Check


def asset_checks() -> list[dg.AssetChecksDefinition]:
    """Those of each rung."""
    return [check_runs.of_asset(step.rollup, of(step)) for step in LADDER]


def of(step: Step) -> Sequence[Check]:
    """Those of one rung."""
    return (ladder(step), *checks.OF_EVERY_GRAIN)


def ladder(step: Step) -> Check:
    """The rung of one step; what is pruned below, or changed since, is not compared, and said."""
    below = f"{step.rollup.family}_{step.below}"
    return Check(
        "ladder",
        "check_ladder",
        f"Each user's row is the sum of {below}: messages, tokens; conversations up to the sum.",
        f"rows were altered past the runs. Look at the checks of {below} first; once they are green, compute "
        "these periods again; of sealed ones the command shows first what changes, and asks.",
        checks.AGAIN,
        checks.RESTATED,
        room="derived.sql",
        binds={"below": below, "below_grain": step.below.value, "most_rows": checks.MOST_ROWS},
        again={},
    )
