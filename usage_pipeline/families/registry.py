"""The families that there are, in the order in which they are locked and shown."""

from typing import Final

from usage_pipeline.families.family import Family, Grain
from usage_pipeline.families.tokens import TOKENS

FAMILIES: Final[tuple[Family, ...]] = (TOKENS,)
ASSETS: Final = tuple(grain.name for family in FAMILIES for grain in family.grains)


def of_asset(name: str) -> tuple[Family, Grain]:
    """The family and the grain of an asset."""
    return next((family, grain) for family in FAMILIES for grain in family.grains if grain.name == name)
