"""The ladder, as the families define it: which grain is made from which."""

from dataclasses import dataclass
from typing import Final

from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import tokens
from usage_pipeline.rollups.rollup import Rollup

_PERIODS: Final = {
    Grain.WEEKLY: "ISO week (from Monday, UTC)",
    Grain.MONTHLY: "UTC month",
    Grain.YEARLY: "UTC year",
}


@dataclass(frozen=True)
class Step:
    """One rung: a rollup, the grain it is made from, and what one of its rows is about."""

    rollup: Rollup
    below: Grain
    period: str


LADDER: Final = tuple(
    Step(tokens.rollup(each.run_period), TOKENS.grain(each.below).run_period, _PERIODS[each.run_period])
    for each in TOKENS.grains
    if each.below
)

ROLLUPS: Final = {each.name: each for each in (tokens.DAILY, *(step.rollup for step in LADDER))}
"""What a range can be computed of, finest first, by the asset's name."""
