"""The daily assets: a title, a window, a statement, a result."""

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods import calendar, partitions
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import readiness, tokens
from usage_pipeline.rollups.tokens import Outcome
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse


@dg.asset(
    group_name="tokens",
    partitions_def=partitions.daily,
    deps=list(specs.keys("tokens")),
    backfill_policy=dg.BackfillPolicy.single_run(),
    kinds={"postgres", "sql"},
    pool="tokens_daily",
    owners=["team:data"],
    tags={"grain": "daily"},
    code_version=tokens.CODE_VERSION,
    metadata={"dagster/table_name": "usage.user_token_usage"},
)
def tokens_daily(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult[None]:
    """Tokens, messages and conversations of each user and UTC day.

    Counts every answer of the model, also those that report no tokens or make no sense (with 0 tokens, in
    columns of their own). What belongs to nobody known stands under the nil UUID. Reads one row per user with
    `select * from usage.user_token_usage where period_type = 'daily' and period_start = '2026-01-31'`.
    """
    days = partitions.days(list(context.partition_keys))
    windows = list(calendar.windows(Grain.DAILY, days[0], days[-1]))
    try:
        readiness.require(warehouse, settings.load().token_source)
        tokens.ensure_partitions(warehouse, windows[0], windows[-1])
        for day, window in zip(days, windows, strict=True):
            outcome = tokens.run_day(warehouse, window, run_id=context.run.run_id)
            context.add_asset_metadata(_metadata(outcome), partition_key=day.isoformat())
            warehouse.progress(outcome)
    except Refusal as refusal:
        raise dg.Failure(str(refusal), allow_retries=False) from None
    return dg.MaterializeResult()


def _metadata(outcome: Outcome) -> dict[str, dg.IntMetadataValue]:
    """The numbers of one day; Dagster plots them over time."""
    entry = outcome.entry
    numbers = {
        "dagster/partition_row_count": entry.stored_rows,
        "users": outcome.user_count,
        "messages": entry.source_rows,
        "tokens": entry.totals["total_tokens"],
        "unattributed_messages": entry.unattributed_rows,
        "unmetered_messages": entry.unmetered_rows,
        "refused_messages": entry.refused_rows,
        "rows_written": outcome.changed,
        "duration_ms": round(outcome.seconds * 1000),
    }
    return {name: dg.IntMetadataValue(number) for name, number in numbers.items()}
