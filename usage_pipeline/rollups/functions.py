"""The functions that follow their files, in the order in which `migrate apply` creates them."""

from typing import Final

from usage_pipeline.engine.functions import LOOK, ladder
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse.functions import FunctionFile

TOKENS_OF_WINDOW: Final = FunctionFile("rollups.sql", "tokens_of_window")
LADDER: Final = ladder(FAMILIES)
RUNS: Final = tuple(
    FunctionFile("rollups.sql", name)
    for name in (
        "source_losses", "lock_below", "tokens_of_periods", "stored_tokens", "replace_tokens",
        "run_tokens", "aggregate_user_token_usage",
    )
)  # fmt: skip
"""How a period is run; the last is who calls it from SQL."""


def wanted(adapter: Adapter) -> tuple[FunctionFile, ...]:
    """The active adapter's functions and directory, the rollup's statement, what guards it, and its runs."""
    return (
        adapter.functions,
        adapter.directory.functions,
        TOKENS_OF_WINDOW,
        access.FUNCTIONS,
        LADDER,
        *RUNS,
        LOOK,
    )
