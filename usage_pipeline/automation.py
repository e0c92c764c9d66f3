"""Everything that happens unattended, on this page.

- Each hour the open day is computed, so that today's numbers are at most an hour old.
- Each night what is due by the ledger: what a night missed, was refused or broke off is due in the next.
- A week, a month and a year follow when the days or months below them have changed.

Running in the demo; elsewhere once `usage-pipeline automation on` has said so.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import dagster as dg

from usage_pipeline.derived import nights
from usage_pipeline.derived.due_partitions import Due
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse.connections import Warehouse

_When = dg.AutomationCondition
IDLE: Final = ~_When.in_progress() & ~_When.any_deps_in_progress()
EACH_HOUR: Final = _When.cron_tick_passed(nights.EACH_HOUR) & _When.in_latest_time_window() & IDLE

FRESH: Final = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=3), fail_window=timedelta(hours=26))
"""Of the days: the badge on the page; whether yesterday is there is a check's to say."""


def conditions(warehouse: Warehouse) -> dict[str, dg.AutomationCondition[dg.AssetKey]]:
    """When each asset is computed, by its name."""
    due = Due(warehouse)
    each_night = _When.cron_tick_passed(nights.EACH_NIGHT) & due & IDLE
    follows = _When.any_deps_updated().since_last_handled() & due & IDLE
    raw = each_night.with_label("what is due, each night") | EACH_HOUR.with_label("the open day, each hour")
    made = each_night.with_label("what is due, each night") | follows.with_label("what is below has changed")
    return {name: raw if rollup.reads_raw else made for name, rollup in ROLLUPS.items()}


def attached(assets: Iterable[dg.AssetsDefinition], warehouse: Warehouse) -> list[dg.AssetsDefinition]:
    """The same assets, each with its condition, and the days with how old they may be."""
    known = conditions(warehouse)

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.to_user_string()
        if name not in known:
            return spec
        is_raw = ROLLUPS[name].reads_raw
        return spec.replace_attributes(
            automation_condition=known[name], freshness_policy=FRESH if is_raw else None
        )

    return list(dg.map_asset_specs(conditioned, assets))


def sensor(found: Settings) -> dg.AutomationConditionSensorDefinition:
    """What looks at the conditions; `usage-pipeline automation` and Dagster's page have its switch."""
    status = dg.DefaultSensorStatus
    return dg.AutomationConditionSensorDefinition(
        nights.SENSOR,
        target=dg.AssetSelection.assets(*ROLLUPS),
        use_user_code_server=True,  # the conditions ask our database
        default_status=status.RUNNING if found.automation else status.STOPPED,
        minimum_interval_seconds=10,
        description="The open day each hour, what is due each night, and what follows: see automation.py.",
    )
