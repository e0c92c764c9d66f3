"""The assets: one for each grain of each family, from one factory."""

from datetime import date
from typing import Final

import dagster as dg

from usage_pipeline.periods import partitions
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import catalogue, check_runs, checks
from usage_pipeline.rollups.rollup import ROLLUPS, Rollup
from usage_pipeline.rollups.runs import Command
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse

_PERIODS: Final = {
    Grain.DAILY: "UTC day",
    Grain.WEEKLY: "ISO week (from Monday, UTC)",
    Grain.MONTHLY: "UTC month",
    Grain.YEARLY: "UTC year",
}


def assets(first_day: date, command: Command | None = None) -> list[dg.AssetsDefinition]:
    """Those of every family, with partitions from the first day on; `command`: its runs are part of it."""
    return [_asset(each, first_day, command) for each in ROLLUPS.values()]


def asset_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of all of them."""
    return [check_runs.of_asset(each, checks.of(each)) for each in ROLLUPS.values()]


def _asset(rollup: Rollup, first_day: date, command: Command | None) -> dg.AssetsDefinition:
    family, below = rollup.family, rollup.below

    @dg.asset(
        name=rollup.name,
        description=_description(rollup),
        group_name=family.name,
        partitions_def=partitions.of(rollup.grain, first_day),
        deps=[dg.AssetDep(below.name, partition_mapping=partitions.WITHIN)]
        if below
        else list(specs.keys(family.contract)),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"postgres", "sql"},
        pool=rollup.name,
        owners=["team:data"],
        tags={"grain": rollup.grain.value, "subject": family.name},
        code_version=rollup.code_version,
        metadata=catalogue.of(rollup),
    )
    def compute(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult[None]:
        return check_runs.run(context, warehouse, rollup, checks.of(rollup), command)

    return compute


def _description(rollup: Rollup) -> str:
    family, below = rollup.family, rollup.below
    made = _made_from(below.name) if below else family.counts
    return (
        f"{family.meaning} and {_PERIODS[rollup.grain]}.\n\n{made}\n\n"
        f"Its rows: {family.table} where {family.grain_column} = '{rollup.level.stored_as}'."
    )


def _made_from(below: str) -> str:
    return (
        f"Made from {below}; what is distinct is counted from its ids, never added. Includes each period of "
        f"{below} that is computed; one that is over is computed when all of them are, the current one up to "
        "its first gap, and says how far. Excludes what was written since, until the next run. Once its "
        "grace is over a run seals it: from then on it changes only as a recorded restatement."
    )
