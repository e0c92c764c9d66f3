"""The asset as Dagster runs it: a range is one run, each day says what it found, and no secret is written."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

import dagster as dg
import pytest
from sqlalchemy.engine import make_url

from usage_pipeline.definitions import defs
from usage_pipeline.engine.functions import of_window
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods import partitions
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import columns, functions, runs, workers
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources import specs
from usage_pipeline.warehouse import backfills, presence
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.cli.own_stack import until
from usage_pipeline_tests.conftest import START
from usage_pipeline_tests.factories import NOON, Chat, set_clock, set_policy
from usage_pipeline_tests.rollups import launching
from usage_pipeline_tests.rollups.launching import tokens_daily

pytestmark = pytest.mark.command

FIRST = NOON.date()
COLUMNS = columns.of(TOKENS)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def materialize(
    instance: dg.DagsterInstance, warehouse: Warehouse, first: date, last: date, **more: str
) -> dg.ExecuteInProcessResult:
    return launching.launch(tokens_daily, instance, warehouse, first, last, **more)


def numbers(instance: dg.DagsterInstance) -> Mapping[str | None, Mapping[str, object]]:
    return launching.shown(instance, "tokens_daily")


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
    assert [found[day]["total_tokens"] for day in days] == [15, 0, 45]
    assert [found[day]["dagster/partition_row_count"] for day in days] == [1, 0, 2]
    assert [found[day]["users"] for day in days] == [1, 0, 1]
    assert [found[day]["unattributed_messages"] for day in days] == [0, 0, 1]
    assert [found[day]["refused_messages"] for day in days] == [0, 0, 1]
    assert all(isinstance(found[day]["duration_ms"], int) for day in days)
    assert [found[day]["conversations"] for day in days] == [1, 0, 2]
    pictures = [str(found[day]["messages_by_hour"]) for day in days]
    assert ["most 1 from 12:00 UTC" in pictures[0], "none" in pictures[1]] == [True, True]
    assert all(len(picture) < 1500 for picture in pictures), "every partition keeps its own"
    for picture in pictures:
        encoded = re.findall(r"base64,([^)]+)\)", picture)
        assert ElementTree.fromstring(base64.b64decode(encoded[0])).tag.endswith("svg")  # noqa: S314 - our own


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
    curse(server, database, "2026-03-06")
    assert not materialize(instance, warehouse, FIRST, FIRST + timedelta(days=4)).success
    keys = [day.date().isoformat() for day in days]
    assert sorted(str(key) for key in numbers(instance)) == [key for key in keys if key != "2026-03-06"]
    assert "2026-03-06 not computed: the database refused (P0001): this day is cursed" in events(instance)
    lift(server, database)
    with server.connect(database) as connection:
        stored = connection.execute(
            "select count(distinct period_start) from usage.user_token_usage"
        ).fetchone()
    assert stored == (4,)
    assert materialize(instance, warehouse, FIRST, FIRST + timedelta(days=4)).success
    assert sorted(str(key) for key in numbers(instance)) == keys


def launch(instance: dg.DagsterInstance, warehouse: Warehouse, count: int) -> bool:
    """A run of one day, or of a range; whether it came to its end."""
    if count > 1:
        return materialize(instance, warehouse, FIRST, FIRST + timedelta(days=count - 1)).success
    return dg.materialize(
        [tokens_daily, *specs.specs()],
        selection=[tokens_daily],
        instance=instance,
        resources={"warehouse": warehouse},
        partition_key=FIRST.isoformat(),
    ).success


@pytest.mark.parametrize("count", [1, 2], ids=["a day", "a range"])
def test_every_machine_sees_that_somebody_works(
    count: int, chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """By a lock that its tag names: it is held before the run says so, and until its process ends."""
    chat.answer()
    with server.connect(database) as connection:
        connection.execute("""
            create table public.seen as
              select (classid::bigint << 32) | objid::bigint as key from pg_locks with no data;
            create function public.look() returns trigger security definer language plpgsql as $$ begin
              insert into public.seen select (classid::bigint << 32) | objid::bigint from pg_locks
                where locktype = 'advisory' and objsubid = 1 and mode = 'ExclusiveLock';
              return new;
            end $$;
            create trigger look before insert on usage.rollup_ledger
              for each row execute function public.look()
        """)
        assert launch(instance, warehouse, count)
        (run,) = instance.get_runs()
        lock = run.tags[workers.TAG].partition(", lock ")[2]
        seen = "select count(*) from public.seen where key = %s"
        assert connection.execute(seen, [int(lock.partition(" ")[0])]).fetchone() == (count,)
    assert presence.is_held(warehouse, lock), "the checks come after, and the end of the run"
    other = Warehouse(server.url(database))
    warehouse.dispose()
    until(lambda: presence.is_held(other, lock) is False, 10)  # the server sees the end of a session later
    other.dispose()


def computed_by(server: Server, database: str) -> dict[str, str]:
    """Which run the ledger names for each day."""
    with server.connect(database) as connection:
        rows = connection.execute(
            "select to_char(period_start, 'YYYY-MM-DD'), run_id from usage.rollup_ledger"
            " where covered_until is not null"
        ).fetchall()
    return dict(rows)


def curse(server: Server, database: str, day: str) -> None:
    """From now on this day fails."""
    with server.connect(database) as connection:
        connection.execute(
            "create function public.fail() returns trigger language plpgsql as $$"
            " begin raise exception 'this day is cursed'; end $$"
        )
        connection.execute(
            f"create trigger cursed before insert on usage.rollup_ledger for each row"
            f" when (new.period_start = '{day} 00:00:00+00') execute function public.fail()"
        )


def lift(server: Server, database: str) -> None:
    with server.connect(database) as connection:
        connection.execute("drop trigger cursed on usage.rollup_ledger")


def test_a_retry_goes_on_and_a_new_launch_computes_again(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """A retry that begins anew may never end; a launch that leaves days out computes nothing."""
    session = chat.session(user_id=chat.user())
    for number in range(4):
        chat.answer(at=NOON + timedelta(days=number), conversation_id=session.conversation_id)
    last = FIRST + timedelta(days=3)
    curse(server, database, "2026-03-06")
    failed = materialize(instance, warehouse, FIRST, last)
    assert not failed.success
    first_run = computed_by(server, database)
    assert sorted(first_run) == ["2026-03-04", "2026-03-05", "2026-03-07"]
    lift(server, database)
    retried = materialize(
        instance, warehouse, FIRST, last, root_run_id=failed.run_id, parent_run_id=failed.run_id
    )
    assert retried.success
    second_run = computed_by(server, database)
    assert second_run == {**first_run, "2026-03-06": retried.run_id}
    found = numbers(instance)
    assert len(found) == 4, "it tells of the finished days too"
    assert [found[day]["messages"] for day in sorted(second_run)] == [1] * 4
    assert [found[day]["total_tokens"] for day in sorted(second_run)] == [15] * 4
    assert all("most 1 from 12:00 UTC" in str(found[day]["messages_by_hour"]) for day in second_run)
    assert [("duration_ms" in found[day]) for day in sorted(second_run)] == [False, False, True, False]
    of_a_finished_one = materialize(
        instance, warehouse, FIRST, last, root_run_id=failed.run_id, parent_run_id=retried.run_id
    )
    assert set(computed_by(server, database).values()) == {of_a_finished_one.run_id}
    launched = materialize(instance, warehouse, FIRST, last)
    assert set(computed_by(server, database).values()) == {launched.run_id}
    with warehouse.begin(Role.READER) as connection:
        listed = backfills.newest(connection)
    assert [(each.state, each.run_ids) for each in listed] == [
        ("done", (launched.run_id,)),
        ("done", (of_a_finished_one.run_id,)),
        ("done", (failed.run_id, retried.run_id)),
    ]
    assert {(each.asked.first, each.asked.last, each.asked.period_count) for each in listed} == {
        (FIRST, last, (last - FIRST).days + 1)
    }, "the days as a person asks for them: another launch of the same range is known by them"
    tags = instance.get_run_by_id(launched.run_id)
    assert tags is not None
    assert tags.tags[runs.BACKFILL_TAG] == str(listed[0].id)


@pytest.mark.parametrize(
    "made_older",
    [
        "update usage.backfills set code_version = '0'",
        "update usage.rollup_ledger set code_version = '0'",
    ],
)
def test_other_code_does_not_go_on_with_what_older_code_began(
    chat: Chat,
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    server: Server,
    database: str,
    made_older: str,
) -> None:
    """Half a range by one rule and half by another is no range."""
    chat.answer()
    curse(server, database, "2026-03-05")
    failed = materialize(instance, warehouse, FIRST, FIRST + timedelta(days=1))
    lift(server, database)
    with server.connect(database) as connection:
        connection.execute(made_older.encode())
    retried = materialize(instance, warehouse, FIRST, FIRST + timedelta(days=1), root_run_id=failed.run_id)
    assert set(computed_by(server, database).values()) == {retried.run_id}


def test_what_is_kept_still_counts(chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance) -> None:
    """The page must not show fewer messages than the table holds."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=START, grace_days=1)
    chat.answer()
    materialize(instance, warehouse, FIRST, FIRST)
    chat.connection.execute("delete from public.chat_messages_v2")
    materialize(instance, warehouse, FIRST, FIRST)
    found = numbers(instance)[FIRST.isoformat()]
    assert (found["messages"], found["total_tokens"]) == (1, 15)
    assert (found["source_messages"], found["kept_messages"]) == (0, 1)


def test_a_day_that_was_read_in_part_is_not_finished(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """Today is computed up to some instant: going on later must read the rest of it."""
    with server.connect(database) as connection:
        set_clock(connection, NOON + timedelta(days=1))
    curse(server, database, "2026-03-04")
    failed = materialize(instance, warehouse, FIRST, FIRST + timedelta(days=1))
    assert sorted(computed_by(server, database)) == ["2026-03-05"]
    lift(server, database)
    chat.answer(at=NOON + timedelta(days=1, hours=1))
    with server.connect(database) as connection:
        set_clock(connection, NOON + timedelta(days=2))
    assert materialize(
        instance, warehouse, FIRST, FIRST + timedelta(days=1), root_run_id=failed.run_id
    ).success
    assert numbers(instance)["2026-03-05"]["messages"] == 1


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
    tables = {"chat_messages_v2", "conversation_sessions", "profiles"}
    derived = {each.name: each.below.name for each in ROLLUPS.values() if each.below}
    assert set(found) == {"tokens_daily", "session_totals", *derived, *tables}
    assert all(spec.description and spec.owners and spec.kinds for spec in found.values())
    daily = found["tokens_daily"]
    assert daily.group_name == "tokens"
    assert daily.partitions_def == partitions.of(Grain.DAILY, START)
    assert {dep.asset_key.to_user_string() for dep in daily.deps} == tables - {"profiles"}
    group = {name for name, spec in found.items() if spec.group_name == "tokens"}
    assert group == {"tokens_daily", *derived}, (
        "what is off until it is enabled would fail with the whole group"
    )
    for name, below in derived.items():
        assert [dep.asset_key.to_user_string() for dep in found[name].deps] == [below]
    for name in tables:
        schema = found[name].metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        assert all(column.description for column in schema.columns)


def test_today_has_a_partition_and_tomorrow_has_none() -> None:
    """The open day is computed too; frozen time shows it without waiting for midnight."""
    noon = NOON.replace(year=2027)
    with dg.partition_loading_context(effective_dt=noon):
        keys = partitions.of(Grain.DAILY, START).get_partition_keys()
    assert keys[-1] == noon.date().isoformat()


def test_the_catalogue_tells_the_truth_about_the_table(server: Server, database: str) -> None:
    """A sentence on the page that differs from the comment in the database is one too many."""
    with server.connect(database) as connection:
        rows = connection.execute(
            "select attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)"
            " from pg_attribute where attrelid = 'usage.user_token_usage'::regclass and attnum > 0"
            " order by attnum"
        ).fetchall()
    assert rows == [(each.name, each.type, each.meaning) for each in COLUMNS]


def test_what_the_catalogue_says_of_an_asset() -> None:
    """Whoever stands before a number must find the table, the columns, the statement and the file."""
    found = defs.resolve_assets_def(dg.AssetKey("tokens_daily")).get_asset_spec()
    shown = found.metadata
    assert shown["dagster/table_name"] == "usage.user_token_usage"
    assert "INSERT INTO usage.user_token_usage" in shown["sql"].value
    assert "usage_private.tokens_of_window" in shown["sql"].value
    assert len(shown["columns_from"].records) == len(COLUMNS)
    lineage = shown["dagster/column_lineage"]
    known = {
        (spec.key, column.name)
        for spec in specs.specs()
        for column in spec.metadata["dagster/column_schema"].columns
    }
    named = {dep for deps in lineage.deps_by_column.values() for dep in deps}
    assert {(dep.asset_key, dep.column_name) for dep in named} <= known
    assert {dep.asset_key for dep in named} < {spec.key for spec in specs.specs()}
    files = [Path(each.file_path) for each in shown["dagster/code_references"].value.code_references]
    assert [file.name for file in files if not file.is_file()] == []
    assert {file.name for file in files} == {
        "assets.py", "replace.py", "look.sql", "window.sql",
    }  # fmt: skip


@pytest.mark.parametrize("asset", ["tokens_weekly", "tokens_monthly", "tokens_yearly"])
def test_a_derived_asset_comes_from_the_one_below(asset: str) -> None:
    """Lineage that jumps over the days sends an analyst to rows that no week was ever made from."""
    shown = defs.resolve_assets_def(dg.AssetKey(asset)).get_asset_spec().metadata
    below = ROLLUPS[asset].level.below
    lineage = shown["dagster/column_lineage"].deps_by_column
    read = {(dep.asset_key.to_user_string(), dep.column_name) for deps in lineage.values() for dep in deps}
    assert {table for table, _ in read} == {below}
    assert {column for _, column in read} <= {each.name for each in COLUMNS}
    rows = {each.data["column"]: each.data[f"made from {below}"] for each in shown["columns_from"].records}
    assert rows["conversation_count"] == "distinct ← conversation_ids"
    assert rows["total_tokens"] == "sum ← total_tokens"


@pytest.mark.parametrize("name", ROLLUPS)
def test_every_column_says_what_counts(name: str) -> None:
    """A number of which nobody knows what is in it is compared with another that holds something else."""
    shown = defs.resolve_assets_def(dg.AssetKey(name)).get_asset_spec().metadata
    for column in shown["dagster/column_schema"].columns:
        meaning, _, extent = column.description.partition("\n\n")
        assert meaning.endswith("."), column.name
        assert extent.endswith("."), column.name
        if column.type == "bigint":
            assert "Includes" in extent, column.name
            assert "xcludes" in extent, column.name
    words = {
        "tokens_daily": "day",
        "tokens_weekly": "week",
        "tokens_monthly": "month",
        "tokens_yearly": "year",
    }
    texts = " ".join(column.description for column in shown["dagster/column_schema"].columns)
    assert f"answer of the {words[name]}," in texts


def test_functions_that_changed_do_not_go_on_with_what_others_began(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch,
    server: Server, database: str,
) -> None:  # fmt: skip
    """Half a range read through one adapter and half through another is no range."""
    chat.answer()
    curse(server, database, "2026-03-05")
    failed = materialize(instance, warehouse, FIRST, FIRST + timedelta(days=1))
    lift(server, database)
    monkeypatch.setattr(functions, "wanted", lambda adapter: (of_window(TOKENS),))
    retried = materialize(instance, warehouse, FIRST, FIRST + timedelta(days=1), root_run_id=failed.run_id)
    assert set(computed_by(server, database).values()) == {retried.run_id}


@pytest.mark.parametrize("tag", ["abc", "3; drop table x", "99999999999", "１２", ""])
def test_a_forged_tag_is_nobodys_backfill(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, tag: str
) -> None:
    """Tags are typed in the launchpad: nonsense must not end in a traceback, nor in another's backfill."""
    run = dg.materialize(
        [tokens_daily, *specs.specs()],
        selection=[tokens_daily],
        instance=instance,
        resources={"warehouse": warehouse},
        tags={runs.RANGE_TAG: "2026-03-04", runs.RANGE_END_TAG: "2026-03-05", runs.BACKFILL_TAG: tag},
    )
    assert run.success


def test_a_day_that_has_not_come_is_not_computed(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """A clock that jumped back would empty a finished day; one ahead would call an empty day computed."""
    chat.answer()
    assert materialize(instance, warehouse, FIRST, FIRST).success
    with server.connect(database) as connection:
        set_clock(connection, NOON - timedelta(days=1))
        before = connection.execute("select count(*) from usage.user_token_usage").fetchone()
    assert not materialize(instance, warehouse, FIRST, FIRST).success
    assert "has not come yet by the database's clock" in events(instance)
    with server.connect(database) as connection:
        assert connection.execute("select count(*) from usage.user_token_usage").fetchone() == before == (1,)
        rows = connection.execute("select covered_until from usage.rollup_ledger").fetchall()
    assert rows == [(NOON.replace(hour=0) + timedelta(days=1),)]
