"""The functions that follow their files, in the order in which `migrate apply` creates them."""

from functools import cache

from usage_pipeline.engine import functions
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse.functions import FunctionFile


@cache
def wanted(adapter: Adapter) -> tuple[FunctionFile, ...]:
    """The active adapter's functions and directory, then what a run of each family needs."""
    return (
        adapter.functions,
        adapter.directory.functions,
        access.FUNCTIONS,
        *functions.made(FAMILIES),
        FunctionFile("rollups.sql", "source_losses"),
        FunctionFile("rollups.sql", "aggregate_user_token_usage"),
    )
