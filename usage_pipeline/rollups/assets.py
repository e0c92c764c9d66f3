"""The daily assets: a title, a window, a statement, a result."""

from datetime import date

import dagster as dg

from usage_pipeline.periods import partitions
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import catalogue, check_runs, checks, tokens
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse


def tokens_daily(first_day: date) -> dg.AssetsDefinition:
    """The days of tokens, from the first day on."""

    @dg.asset(
        name=tokens.DAILY.name,
        group_name="tokens",
        partitions_def=partitions.of(Grain.DAILY, first_day),
        deps=list(specs.keys("tokens")),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"postgres", "sql"},
        pool=tokens.DAILY.name,
        owners=["team:data"],
        tags={"grain": "daily", "subject": "tokens"},
        code_version=tokens.CODE_VERSION,
        metadata=catalogue.of_asset(tokens.DAILY.name),
    )
    def compute(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult[None]:
        """Tokens, messages and conversations of each user and UTC day.

        Counts every answer of the model, also those that report no tokens or make no sense (with 0 tokens,
        in columns of their own). What belongs to no known user is stored under the nil UUID. One row per
        user and day: `select * from usage.user_token_usage where period_type = 'daily' and
        period_start = '2026-01-31 00:00Z'`.
        """
        return check_runs.run(context, warehouse, tokens.DAILY, checks.DAILY)

    return compute
