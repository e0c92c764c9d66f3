"""What is due, as a condition of Dagster's: the partitions that the ledger names."""

import dagster as dg

from usage_pipeline.derived import due
from usage_pipeline.periods import partitions
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.warehouse.connections import Warehouse


class Due(dg.AutomationCondition[dg.AssetKey]):
    """True of the partitions that a run would bring up to date; the database is asked only if some may be."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    @property
    def name(self) -> str:
        return "due"

    @property
    def description(self) -> str:
        return (
            "The ledger says: never computed, recent, over and not sealed, or built from what changed since"
        )

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        candidates = context.candidate_subset
        if candidates.is_empty:
            return dg.AutomationResult(context, candidates)
        rollup = ROLLUPS[context.key.to_user_string()]
        found = {partitions.key(rollup.grain, each.window) for each in due.periods(self._warehouse, rollup)}
        known = found & candidates.expensively_compute_partition_keys()
        return dg.AutomationResult(context, candidates.compute_intersection_with_partition_keys(known))
