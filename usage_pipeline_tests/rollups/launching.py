"""A range of one asset, run as Dagster runs it but in this process; and what its page then shows."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from usage_pipeline.rollups import assets, check_runs, checks, session_totals_asset
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline_tests.conftest import START

tokens_daily, *_ = assets.assets(START)
tokens_daily_checks = check_runs.of_asset(ROLLUPS["tokens_daily"], checks.of(ROLLUPS["tokens_daily"]))
session_totals = session_totals_asset.session_totals(START)


def launch(
    asset: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    first: date,
    last: date,
    **more: str,
) -> dg.ExecuteInProcessResult:
    """One run over a range of days; `more` are tags of Dagster's own."""
    return launch_keys(asset, instance, warehouse, first.isoformat(), last.isoformat(), **more)


def launch_keys(
    asset: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    first: str,
    last: str,
    **more: str,
) -> dg.ExecuteInProcessResult:
    """The same of any grain, whose partitions have keys of their own."""
    return dg.materialize(
        [asset, *specs.specs()],
        selection=[asset],
        instance=instance,
        resources={"warehouse": warehouse},
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
            **{f"dagster/{name}": value for name, value in more.items()},
        },
    )


def shown(instance: dg.DagsterInstance, asset: str) -> Mapping[str | None, Mapping[str, object]]:
    """The metadata of each partition, as the page shows it."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    return {
        record.partition_key: {name: value.value for name, value in event.metadata.items()}
        for record in reversed(records)  # the newest comes last and stays
        if (event := record.asset_materialization)
    }
