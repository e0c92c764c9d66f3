"""The ladder: which grain is made from which. The database's own copy is `rollups/sql/ladder.sql`."""

from dataclasses import dataclass
from typing import Final

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import tokens
from usage_pipeline.rollups.rollup import Rollup


@dataclass(frozen=True)
class Step:
    """One rung: a rollup, the grain it is made from, and what one of its rows is about."""

    rollup: Rollup
    below: Grain
    period: str


LADDER: Final = (
    Step(tokens.rollup(Grain.WEEKLY), Grain.DAILY, "ISO week (from Monday, UTC)"),
    Step(tokens.rollup(Grain.MONTHLY), Grain.DAILY, "UTC month"),
    Step(tokens.rollup(Grain.YEARLY), Grain.MONTHLY, "UTC year"),
)

ROLLUPS: Final = {each.name: each for each in (tokens.DAILY, *(step.rollup for step in LADDER))}
"""What a range can be computed of, finest first, by the asset's name."""
