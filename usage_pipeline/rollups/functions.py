"""The functions that follow their files, in the order in which `migrate apply` creates them."""

from typing import Final

from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse.functions import FunctionFile

TOKENS_OF_WINDOW: Final = FunctionFile("rollups.sql", "tokens_of_window")


def wanted(adapter: Adapter) -> tuple[FunctionFile, ...]:
    """The active adapter's functions, then the rollup's statement over them."""
    return (adapter.functions, TOKENS_OF_WINDOW)
