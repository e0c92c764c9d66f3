"""The derived assets: one factory over the ladder."""

from datetime import date

import dagster as dg

from usage_pipeline.derived import checks
from usage_pipeline.derived.ladder import LADDER, Step
from usage_pipeline.periods import partitions
from usage_pipeline.rollups import catalogue, check_runs
from usage_pipeline.warehouse.connections import Warehouse


def assets(first_day: date) -> list[dg.AssetsDefinition]:
    """One asset for each rung."""
    return [_asset(step, first_day) for step in LADDER]


def _asset(step: Step, first_day: date) -> dg.AssetsDefinition:
    rollup = step.rollup
    below = f"{rollup.family}_{step.below}"

    @dg.asset(
        name=rollup.name,
        description=_description(step, below),
        group_name=rollup.family,
        partitions_def=partitions.of(rollup.grain, first_day),
        deps=[dg.AssetDep(below, partition_mapping=partitions.WITHIN)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"postgres", "sql"},
        pool=rollup.name,
        owners=["team:data"],
        tags={"grain": rollup.grain.value, "subject": rollup.family},
        code_version=rollup.code_version,
        metadata=catalogue.of_asset(rollup.name),
    )
    def derived(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult[None]:
        return check_runs.run(context, warehouse, rollup, checks.of(step))

    return derived


def _description(step: Step, below: str) -> str:
    return (
        f"Tokens, messages and distinct conversations of each user and {step.period}.\n\n"
        f"Made from {below}; conversations and agents are counted from their ids, never added. Includes each "
        f"period of {below} that is computed; one that is over is computed when all of them are, the current "
        "one up to its first gap, and says how far. Excludes what was written since, until the next run. "
        "Once its grace is over a run seals it: from then on it changes only as a recorded restatement.\n\n"
        f"Its rows: usage.user_token_usage where period_type = '{step.rollup.grain}'."
    )
