"""Dagster's log on our storage: the same events as on Dagster's own, in few statements."""

from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster import DagsterEvent, DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster_postgres import PostgresEventLogStorage

from usage_pipeline import definitions  # noqa: F401 - where warnings of Dagster's are filtered
from usage_pipeline.rollups.runs import RANGE_END_TAG, RANGE_TAG
from usage_pipeline.sources import specs
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.dagster_storage import StackEvents
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import NOON, Chat
from usage_pipeline_tests.rollups import launching
from usage_pipeline_tests.rollups.launching import tokens_daily, tokens_daily_checks

DAYS = [NOON.date() + timedelta(days=number) for number in range(30)]
PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
DONE = dg.DagsterEventType.ASSET_MATERIALIZATION
FINISHED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


@pytest.fixture
def instance(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster as our `dagster.yaml` sets it, its storage in an empty database."""
    text = files("usage_pipeline.cli").joinpath("dagster.yaml").read_text(encoding="utf-8")
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("USAGE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500")
    with cloned(server, "template1") as name:
        url = server.url(name, driver="psycopg2").render_as_string(hide_password=False)
        monkeypatch.setenv("DAGSTER_PG_URL", url)
        with dg.DagsterInstance.from_config(str(tmp_path)) as found:
            yield found


def partitions(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[date]:
    records = instance.get_records_for_run(run_id, of_type=kind).records
    return [date.fromisoformat(str(record.partition_key)) for record in records]


def test_a_run_plans_and_reports_each_partition_once(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    chat.answer(at=NOON)
    assert launching.launch(tokens_daily, instance, warehouse, DAYS[0], DAYS[-1]).success
    (run,) = instance.get_runs()
    assert partitions(instance, run.run_id, PLANNED) == DAYS
    assert partitions(instance, run.run_id, DONE) == DAYS
    (known,) = instance.get_asset_records([tokens_daily.key])
    assert known.asset_entry.last_run_id == run.run_id
    last = known.asset_entry.last_materialization
    assert last is not None
    assert last.asset_materialization is not None
    assert last.asset_materialization.partition == DAYS[-1].isoformat()
    status = instance.event_log_storage.get_latest_planned_materialization_info(
        tokens_daily.key, DAYS[3].isoformat()
    )
    assert status is not None
    assert status.run_id == run.run_id


def test_the_log_is_that_of_dagsters_own_storage(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same events in the same order, with the same tags and the same word on the asset."""
    chat.answer(at=NOON)
    tables = [told_by(instance, launch(instance, warehouse, DAYS[:3]))]
    monkeypatch.setattr(StackEvents, "store_event_batch", PostgresEventLogStorage.store_event_batch)
    tables.append(told_by(instance, launch(instance, warehouse, DAYS[:3])))
    assert tables[0] == tables[1]
    assert len(tables[0][0]) > 10
    assert len(tables[0][1]) == 3


def launch(instance: dg.DagsterInstance, warehouse: Warehouse, days: list[date]) -> str:
    done = launching.launch(tokens_daily, instance, warehouse, days[0], days[-1])
    assert done.success
    return done.run_id


def told_by(instance: dg.DagsterInstance, run_id: str) -> tuple[list[object], list[object], list[object]]:
    """A run's events, the tags of them that Dagster looks for, and the asset as it was left."""
    storage = instance.event_log_storage
    assert isinstance(storage, StackEvents)
    with storage.index_connection() as connection:
        events = connection.execute(
            sa.text(
                "select dagster_event_type, step_key, asset_key, partition from event_logs"
                " where run_id = :run_id order by id"
            ),
            {"run_id": run_id},
        ).all()
        tags = connection.execute(
            sa.text(
                "select event_logs.partition, tag.asset_key, tag.key, tag.value <> ''"
                " from asset_event_tags tag join event_logs on event_logs.id = tag.event_id"
                " where event_logs.run_id = :run_id"
                " order by event_logs.id, tag.key"
            ),
            {"run_id": run_id},
        ).all()
        asset = connection.execute(
            sa.text(
                "select asset_key, last_run_id = :run_id, last_materialization_timestamp is not null,"
                " last_materialization like '%2026-%' from asset_keys"
            ),
            {"run_id": run_id},
        ).all()
    return [*map(tuple, events)], [*map(tuple, tags)], [*map(tuple, asset)]


def test_a_batch_of_several_kinds_is_written_in_its_order(instance: dg.DagsterInstance) -> None:
    """A check that a run plans stands between its partitions."""
    storage = instance.event_log_storage
    job, run_id = "job", "11111111-1111-4111-8111-111111111111"
    assets = [dg.AssetKey("a"), dg.AssetKey("b")]
    planned = [
        DagsterEvent.build_asset_materialization_planned_event(
            job, "step", AssetMaterializationPlannedData(asset, partition=key, partitions_subset=None)
        )
        for asset in assets
        for key in ("1", "2")
    ]
    check = DagsterEvent(
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value, job, step_key="step",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=assets[0], check_name="whole"),
    )  # fmt: skip
    every = [*planned[:3], check, planned[3]]
    storage.store_event_batch(
        [
            dg.EventLogEntry(  # type: ignore[no-untyped-call]
                error_info=None, level=10, user_message="", run_id=run_id, timestamp=float(number),
                step_key="step", job_name=job, dagster_event=event,
            )
            for number, event in enumerate(every, start=1)
        ]
    )  # fmt: skip
    stored = [
        record.event_log_entry.get_dagster_event() for record in storage.get_records_for_run(run_id).records
    ]
    assert [(event.event_type, event.partition) for event in stored] == [
        (event.event_type, event.partition) for event in every
    ]
    assert {key for key in assets if storage.has_asset_key(key)} == set(assets)


def test_a_check_of_a_run_stands_once_in_its_history(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    """On Dagster's own storage it is planned for each of the run's partitions, and comes for none of them."""
    chat.answer(at=NOON)
    runs = [
        dg.materialize(
            [tokens_daily, tokens_daily_checks, *specs.specs()],
            selection=dg.AssetSelection.assets(tokens_daily.key),
            instance=instance,
            resources={"warehouse": warehouse},
            tags={RANGE_TAG: first.isoformat(), RANGE_END_TAG: DAYS[-1].isoformat()},
        )
        for first in (DAYS[0], DAYS[-2])
    ]
    for key in tokens_daily_checks.check_keys:
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        assert [each.run_id for each in history] == [each.run_id for each in reversed(runs)]
        assert {each.status for each in history} <= FINISHED


def test_statements_and_connections_do_not_grow_with_the_partitions(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    """Dagster's own storage takes two connections for every partition that a run plans."""
    opened: list[object] = []
    written: list[str] = []

    def connected(connection: object, _: object) -> None:
        opened.append(connection)

    def executed(_: object, __: object, text: str, *___: object) -> None:
        if "INSERT INTO event_logs" in text:
            written.append(text)

    events = instance.event_log_storage
    assert isinstance(events, StackEvents)
    engine = events._engine
    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "before_cursor_execute", executed)
    for days in (DAYS[:2], DAYS):
        opened.clear()
        written.clear()
        launch(instance, warehouse, days)
        assert len(opened) < 5
        assert len(written) < 20


def test_a_connection_that_the_server_ended_is_opened_anew(
    instance: dg.DagsterInstance, server: Server
) -> None:
    assert instance.get_runs_count() == 0
    engine = instance.event_log_storage._engine  # type: ignore[attr-defined]
    with server.connect() as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [engine.url.database]
        )
    assert instance.get_runs_count() == 0
    assert engine.url.username == embedded.LOGIN
