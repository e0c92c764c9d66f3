"""The asset as Dagster runs it: a range is one run, each day says what it found, and no secret is written."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import dagster as dg
import pytest
from sqlalchemy.engine import make_url

from usage_pipeline.definitions import defs
from usage_pipeline.periods import partitions
from usage_pipeline.rollups.assets import tokens_daily
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.factories import NOON, Chat

FIRST = NOON.date()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def materialize(
    instance: dg.DagsterInstance, warehouse: Warehouse, first: date, last: date
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [tokens_daily, *specs.specs()],
        selection=[tokens_daily],
        instance=instance,
        resources={"warehouse": warehouse},
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        },
    )


def numbers(instance: dg.DagsterInstance) -> Mapping[str | None, Mapping[str, object]]:
    """The metadata of each partition, as the page shows it."""
    records = instance.fetch_materializations(dg.AssetKey("tokens_daily"), limit=100).records
    return {
        record.partition_key: {
            name: value.value for name, value in record.asset_materialization.metadata.items()
        }
        for record in records
        if record.asset_materialization
    }


def test_a_range_is_one_run_with_a_word_for_each_day(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    """What lands on all partitions alike says nothing about any."""
    session = chat.session(user_id=chat.user())
    for day, count in ((0, 1), (2, 3)):
        for _ in range(count):
            chat.answer(at=NOON + timedelta(days=day), conversation_id=session.conversation_id)
    chat.answer({"tokens": -1}, at=NOON + timedelta(days=2))
    assert materialize(instance, warehouse, FIRST, FIRST + timedelta(days=2)).success
    assert len(instance.get_runs()) == 1
    found = numbers(instance)
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(3)]
    assert sorted(str(key) for key in found) == days
    assert [found[day]["messages"] for day in days] == [1, 0, 4]
    assert [found[day]["tokens"] for day in days] == [15, 0, 45]
    assert [found[day]["dagster/partition_row_count"] for day in days] == [1, 0, 2]
    assert [found[day]["users"] for day in days] == [1, 0, 1]
    assert [found[day]["unattributed_messages"] for day in days] == [0, 0, 1]
    assert [found[day]["refused_messages"] for day in days] == [0, 0, 1]
    assert all(isinstance(found[day]["duration_ms"], int) for day in days)


def test_a_hidden_source_fails_the_run_by_name(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    """Row-level security makes no error: the days would be green and empty."""
    chat.answer()
    chat.connection.execute("alter table public.chat_messages_v2 enable row level security")
    assert not materialize(instance, warehouse, FIRST, FIRST).success
    assert numbers(instance) == {}
    assert "public.chat_messages_v2 cannot be read whole" in events(instance)


def test_a_day_that_fails_is_the_only_one_missing(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """A failed run counts as nothing done: what it committed must be told, or it is computed again."""
    session = chat.session(user_id=chat.user())
    days = [NOON + timedelta(days=number) for number in range(5)]
    for day in days:
        chat.answer(at=day, conversation_id=session.conversation_id)
    with server.connect(database) as connection:
        connection.execute(
            "create function public.fail() returns trigger language plpgsql as $$"
            " begin raise exception 'this day is cursed'; end $$"
        )
        connection.execute(
            "create trigger cursed before insert on usage.rollup_ledger for each row"
            " when (new.period_start = '2026-03-06 00:00:00+00') execute function public.fail()"
        )
    assert not materialize(instance, warehouse, FIRST, FIRST + timedelta(days=4)).success
    keys = [day.date().isoformat() for day in days]
    assert sorted(str(key) for key in numbers(instance)) == [key for key in keys if key != "2026-03-06"]
    assert "2026-03-06 not computed: the database refused (P0001): this day is cursed" in events(instance)
    with server.connect(database) as connection:
        connection.execute("drop trigger cursed on usage.rollup_ledger")
        stored = connection.execute(
            "select count(distinct period_start) from usage.user_token_usage"
        ).fetchone()
    assert stored == (4,)
    assert materialize(instance, warehouse, FIRST, FIRST + timedelta(days=4)).success
    assert sorted(str(key) for key in numbers(instance)) == keys


@pytest.mark.parametrize("host", ["/nowhere", "127.0.0.1:1"])
def test_no_secret_in_the_event_log(instance: dg.DagsterInstance, host: str) -> None:
    """The event log is shown to everybody who sees the page."""
    place = f"127.0.0.1:1/{host[1:]}" if host == "/nowhere" else f"{host}/theirs"
    lost = Warehouse(make_url(f"postgresql+psycopg://somebody:canary-pa55word@{place}"))
    assert not materialize(instance, lost, FIRST, FIRST).success
    assert "cannot be reached" in events(instance)
    assert "canary" not in events(instance)
    assert "canary" not in "".join(str(run) for run in instance.get_runs())


def events(instance: dg.DagsterInstance) -> str:
    """Everything the instance remembers of its runs, as text."""
    return "".join(
        str(record.event_log_entry)
        for run in instance.get_runs()
        for record in instance.get_records_for_run(run.run_id).records
    )


def test_what_dagster_knows() -> None:
    """An asset without a description, an owner or a group is a box with a name."""
    found = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert set(found) == {"tokens_daily", "chat_messages_v2", "conversation_sessions", "profiles"}
    assert all(spec.description and spec.owners and spec.kinds for spec in found.values())
    daily = found["tokens_daily"]
    assert daily.group_name == "tokens"
    assert daily.partitions_def == partitions.daily
    assert {dep.asset_key.to_user_string() for dep in daily.deps} == set(found) - {"tokens_daily"}
    for name in set(found) - {"tokens_daily"}:
        schema = found[name].metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        assert all(column.description for column in schema.columns)


def test_today_has_a_partition_and_tomorrow_has_none() -> None:
    """The open day is computed too; frozen time shows it without waiting for midnight."""
    noon = NOON.replace(year=2027)
    with dg.partition_loading_context(effective_dt=noon):
        keys = partitions.daily.get_partition_keys()
    assert keys[-1] == noon.date().isoformat()
