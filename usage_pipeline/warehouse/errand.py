"""What a command tells the runs of its own process: the backfill that they are part of, and who watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usage_pipeline.warehouse.backfills import Held
    from usage_pipeline.warehouse.connections import Warehouse


@dataclass(frozen=True)
class Errand:
    """One command: its record, which each of its runs joins, and what is told of every period as it ends."""

    held: "Held"
    watch: Callable[[Any], None]


@contextmanager
def on(warehouse: "Warehouse", errand: Errand) -> Iterator[None]:
    """Every run of the body is part of this errand; without one, a run records itself."""
    warehouse.errand = errand
    try:
        yield
    finally:
        warehouse.errand = None
