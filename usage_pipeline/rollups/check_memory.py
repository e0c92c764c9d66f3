"""Which periods a check found broken when it last looked: a run over other periods does not clear them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from usage_pipeline.rollups.check import Check
from usage_pipeline.rollups.rollup import Rollup

KEY: Final = "broken_periods"
_LOOKED: Final = {Status.SUCCEEDED, Status.FAILED}


def before(instance: dg.DagsterInstance, rollup: Rollup, check: Check) -> Sequence[datetime]:
    """The starts of these periods, oldest first, as Dagster's log holds them beside the check's result."""
    key = dg.AssetCheckKey(dg.AssetKey(rollup.name), check.name)
    known = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=_LOOKED)
    evaluation = known[0].evaluation if known else None
    found = evaluation.metadata.get(KEY) if evaluation else None
    starts = found.value if isinstance(found, dg.JsonMetadataValue) else None
    return [datetime.fromisoformat(each) for each in starts] if isinstance(starts, list) else []


def metadata(starts: Collection[datetime]) -> dict[str, dg.MetadataValue]:
    """The same, to be written beside a result."""
    return {KEY: dg.MetadataValue.json([each.isoformat() for each in sorted(starts)])} if starts else {}
