"""The families that there are, in the order in which they are locked and shown."""

from typing import Final

from usage_pipeline.families.family import Family
from usage_pipeline.families.tokens import TOKENS

FAMILIES: Final[tuple[Family, ...]] = (TOKENS,)
