"""Makes a stack that does not run believe that it last looked so many hours ago: as if it had been off since.

python -m usage_pipeline_tests.cli.last_look 24
"""

import sys
from dataclasses import replace

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.scheduler.instigation import SensorInstigatorData
from dagster._daemon.asset_daemon import (
    asset_daemon_cursor_from_instigator_serialized_cursor as read,
)
from dagster._daemon.asset_daemon import (
    asset_daemon_cursor_to_instigator_serialized_cursor as written,
)

from usage_pipeline.derived import nights


def shifted(cursor: AssetDaemonCursor, hours: float) -> AssetDaemonCursor:
    known = cursor.previous_condition_cursors
    assert known, "it never looked"
    earlier = [replace(each, effective_timestamp=each.effective_timestamp - 3600 * hours) for each in known]
    return replace(cursor, previous_condition_cursors=earlier)


def main(hours: float) -> None:
    with dg.DagsterInstance.get() as instance:
        (state,) = [each for each in instance.all_instigator_state() if each.name == nights.SENSOR]
        data = state.instigator_data
        assert isinstance(data, SensorInstigatorData)
        cursor = shifted(read(data.cursor, None), hours)
        instance.update_instigator_state(state.with_data(data._replace(cursor=written(cursor))))


if __name__ == "__main__":
    main(float(sys.argv[1]))
