"""The daily assets: a title, a window, a statement, a result."""

from collections.abc import Mapping, Sequence
from functools import partial

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods import calendar, partitions
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import ranges, readiness, tokens
from usage_pipeline.rollups.ranges import Failed
from usage_pipeline.rollups.tokens import Outcome
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse

Numbers = Mapping[str, dg.IntMetadataValue]


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
    columns of their own). What belongs to nobody known stands under the nil UUID. One row per user and day:
    `select * from usage.user_token_usage where period_type = 'daily' and period_start = '2026-01-31 00:00Z'`.
    """
    days = partitions.days(list(context.partition_keys))
    windows = list(calendar.windows(Grain.DAILY, days[0], days[-1]))
    try:
        readiness.require(warehouse, settings.load().token_source)
        tokens.ensure_partitions(warehouse, windows[0], windows[-1])
    except Refusal as refusal:
        raise dg.Failure(str(refusal), allow_retries=False) from None
    done, failed = _compute(context, warehouse, windows)
    if failed:
        _report(context, done)
        raise dg.Failure(_blame(failed, missing=len(windows) - len(done)), allow_retries=False)
    for day, numbers in done.items():
        context.add_asset_metadata(numbers, partition_key=day)
    return dg.MaterializeResult()


def _compute(
    context: dg.AssetExecutionContext, warehouse: Warehouse, windows: Sequence[Window]
) -> tuple[dict[str, Numbers], list[Failed]]:
    """The numbers of the days that were committed, and the days that failed."""
    done: dict[str, Numbers] = {}
    failed: list[Failed] = []
    compute = partial(tokens.run_day, warehouse, run_id=context.run.run_id)
    for ended in ranges.run(windows, compute, connections=warehouse.connections):
        if isinstance(ended, Failed):
            failed.append(ended)
        else:
            done[f"{ended.window.start:%Y-%m-%d}"] = _metadata(ended.result)
            warehouse.progress(ended.result)
    return done, failed


def _blame(failed: Sequence[Failed], missing: int) -> str:
    """Which day failed first and why, and how many were not computed in all."""
    first = min(failed, key=lambda each: each.window)
    others = f" and {missing - 1} more" if missing > 1 else ""
    return f"{first.window.start:%Y-%m-%d}{others} not computed: {first.refusal}"


def _report(context: dg.AssetExecutionContext, done: Mapping[str, Mapping[str, dg.IntMetadataValue]]) -> None:
    """Tell Dagster what is committed before the run fails: a failed run counts as nothing done."""
    for day, numbers in done.items():
        context.instance.report_runless_asset_event(
            dg.AssetMaterialization(context.asset_key, partition=day, metadata=numbers)
        )


def _metadata(outcome: Outcome) -> Numbers:
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
