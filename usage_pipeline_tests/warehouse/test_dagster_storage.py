"""Dagster's log on our storage: the same events as on Dagster's own, in few statements."""

from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster_postgres import PostgresEventLogStorage

from usage_pipeline import definitions  # noqa: F401 - where warnings of Dagster's are filtered
from usage_pipeline.rollups.assets import tokens_daily
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.dagster_storage import StackEvents
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import NOON, Chat
from usage_pipeline_tests.rollups import launching

DAYS = [NOON.date() + timedelta(days=number) for number in range(30)]
PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
DONE = dg.DagsterEventType.ASSET_MATERIALIZATION


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
    """The same kinds of events in the same order, the same partitions, the same tags."""
    chat.answer(at=NOON)
    assert launching.launch(tokens_daily, instance, warehouse, DAYS[0], DAYS[2]).success
    monkeypatch.setattr(StackEvents, "store_event_batch", PostgresEventLogStorage.store_event_batch)
    assert launching.launch(tokens_daily, instance, warehouse, DAYS[0], DAYS[2]).success
    theirs, ours = instance.get_runs()

    def told(run: dg.DagsterRun) -> list[tuple[object, object, object]]:
        return [
            (
                log.get_dagster_event().event_type,
                log.get_dagster_event().partition,
                log.get_dagster_event().step_key,
            )
            for log in instance.all_logs(run.run_id)
            if log.is_dagster_event
        ]

    assert told(ours) == told(theirs)


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
        assert launching.launch(tokens_daily, instance, warehouse, days[0], days[-1]).success
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
