"""The functions that follow their files, in the order in which `migrate apply` creates them."""

from functools import cache
from typing import Final

from usage_pipeline.engine import functions
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse.functions import FunctionFile

TOKENS_OF_WINDOW: Final = FunctionFile("families.tokens", "tokens_of_window")


@cache
def wanted(adapter: Adapter) -> tuple[FunctionFile, ...]:
    """The active adapter's functions and directory, the rollup's statement, how a period is run."""
    return (
        adapter.functions,
        adapter.directory.functions,
        TOKENS_OF_WINDOW,
        access.FUNCTIONS,
        *functions.made(FAMILIES),
        FunctionFile("rollups.sql", "source_losses"),
        FunctionFile("rollups.sql", "aggregate_user_token_usage"),
    )
