"""The application's own sum of a conversation: true for what a day touched, and nothing else is moved."""

import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from usage_pipeline.definitions import defs
from usage_pipeline.demo.metering import read_usage
from usage_pipeline.periods import calendar, partitions
from usage_pipeline.rollups import session_totals as work
from usage_pipeline.rollups import workers
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources import session_totals as switch
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, Chat, set_clock, set_policy
from usage_pipeline_tests.rollups import launching
from usage_pipeline_tests.rollups.launching import session_totals
from usage_pipeline_tests.rollups.test_assets import events
from usage_pipeline_tests.sources.shapes import SHAPES

pytestmark = pytest.mark.command

FIRST = NOON.date()
SESSIONS = "public.conversation_sessions"
TOTALS = switch.of(SUPABASE_CHAT)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits half a minute for a test."""
    monkeypatch.setattr(work, "PAUSES", (0.05, 0.1))


def enable(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.LOGIN) as connection:
        for grant in switch.grants(connection, TOTALS):
            assert grant.is_permitted, grant.statement
            statements.run_script(connection, grant.statement)


@pytest.fixture
def enabled(warehouse: Warehouse) -> Warehouse:
    enable(warehouse)
    return warehouse


def run(
    instance: dg.DagsterInstance, warehouse: Warehouse, first: date = FIRST, last: date = FIRST
) -> dg.ExecuteInProcessResult:
    return launching.launch(session_totals, instance, warehouse, first, last)


def numbers(instance: dg.DagsterInstance) -> Mapping[str | None, Mapping[str, object]]:
    return launching.shown(instance, "session_totals")


def stored(chat: Chat) -> dict[UUID, int | None]:
    """The column by session."""
    return dict(
        chat.connection.execute("select id, total_tokens_used from public.conversation_sessions").fetchall()
    )


def expected(chat: Chat) -> dict[UUID, int]:
    """What each conversation used, in plain Python."""
    totals: dict[UUID, int] = defaultdict(int)
    for message in chat.messages:
        if message.role == "assistant":
            totals[message.conversation_id] += read_usage(message.metadata).total or 0
    return {session.id: totals[session.conversation_id] for session in chat.sessions}


def rows(chat: Chat) -> list[tuple[object, ...]]:
    """Every row of the table with its version, but for the column."""
    return chat.connection.execute(
        "select xmin::text, to_jsonb(each) - 'total_tokens_used' from public.conversation_sessions each"
        " order by id"
    ).fetchall()


def execute(chat: Chat, statement: str) -> None:
    chat.connection.execute(statement.encode())


def test_totals_are_those_of_all_answers_of_all_time(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    """A sum of the window alone would be right once, on the first day."""
    execute(chat, f"alter table {SESSIONS} alter total_tokens_used type bigint")
    for number, shape in enumerate(SHAPES.values()):
        session = chat.session(user_id=chat.user() if number % 2 else None)
        chat.answer(None, raw_metadata=shape.raw, conversation_id=session.conversation_id)
        for days in (-400, -3, 0, 2):
            chat.answer(conversation_id=session.conversation_id, at=NOON + timedelta(days=days))
        chat.answer({"tokens": 7}, conversation_id=session.conversation_id, at=None)
        chat.answer({"tokens": 9}, conversation_id=session.conversation_id, role="user")
    assert run(instance, enabled).success
    assert stored(chat) == expected(chat)
    assert len(set(stored(chat).values())) > 10
    assert numbers(instance)[FIRST.isoformat()]["rows_written"] == len(SHAPES)


def test_its_run_says_who_works_on_it(chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance) -> None:
    """As every run of ours does: one whose process is gone is not waited for."""
    assert run(instance, enabled).success
    (recorded,) = instance.get_runs()
    assert workers.tells_of(recorded.run_id, recorded.tags)


def test_only_what_the_window_touched_is_written(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    inside, outside = chat.session(), chat.session()
    chat.answer(conversation_id=inside.conversation_id)
    chat.answer(conversation_id=outside.conversation_id, at=NOON + timedelta(days=1))
    assert run(instance, enabled).success
    assert stored(chat) == {inside.id: 15, outside.id: 0}
    assert run(instance, enabled, FIRST, FIRST + timedelta(days=1)).success
    assert stored(chat) == {inside.id: 15, outside.id: 15}
    day, next_day = FIRST.isoformat(), (FIRST + timedelta(days=1)).isoformat()
    found = numbers(instance)
    assert [found[each]["conversations"] for each in (day, next_day)] == [1, 1]
    assert [found[each]["rows_written"] for each in (day, next_day)] == [0, 1]


def test_twice_writes_nothing(chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance) -> None:
    chat.answer(conversation_id=chat.session().conversation_id)
    assert run(instance, enabled).success
    before = rows(chat)
    assert run(instance, enabled).success
    assert rows(chat) == before
    assert numbers(instance)[FIRST.isoformat()]["rows_written"] == 0


def test_nothing_but_the_column_is_moved(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    """A list of chats is sorted by last_active: a nightly run would put them in another order."""
    execute(chat, f"alter table {SESSIONS} add column updated_at timestamptz default now()")
    for _ in range(5):
        chat.answer(conversation_id=chat.session(user_id=chat.user()).conversation_id)
    before = [row for _, row in rows(chat)]
    messages = chat.connection.execute("select xmin::text from public.chat_messages_v2").fetchall()
    assert run(instance, enabled).success
    assert stored(chat) == expected(chat)
    assert [row for _, row in rows(chat)] == before
    assert chat.connection.execute("select xmin::text from public.chat_messages_v2").fetchall() == messages


def test_what_was_deleted_or_edited_lowers_the_number(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    """An application that lets answers be deleted must not show what is gone."""
    fewer, edited, emptied = (chat.session() for _ in range(3))
    for session in (fewer, edited, emptied):
        chat.answer(conversation_id=session.conversation_id)
    extra = chat.answer({"tokens": 100}, conversation_id=fewer.conversation_id)
    assert run(instance, enabled).success
    assert stored(chat) == {fewer.id: 115, edited.id: 15, emptied.id: 15}
    chat.connection.execute("delete from public.chat_messages_v2 where id = %s", [extra.id])
    chat.connection.execute(
        "delete from public.chat_messages_v2 where conversation_id = %s", [emptied.conversation_id]
    )
    chat.connection.execute(
        "update public.chat_messages_v2 set metadata = '{}' where conversation_id = %s",
        [edited.conversation_id],
    )
    assert run(instance, enabled).success
    assert stored(chat) == {fewer.id: 15, edited.id: 0, emptied.id: 0}


def test_null_is_not_true(chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance) -> None:
    some, none = chat.session(), chat.session()
    chat.answer(conversation_id=some.conversation_id)
    chat.answer(None, conversation_id=none.conversation_id)
    execute(chat, "update public.conversation_sessions set total_tokens_used = null")
    assert run(instance, enabled).success
    assert stored(chat) == {some.id: 15, none.id: 0}


@pytest.mark.parametrize(
    ("column_type", "largest"),
    [
        ("smallint", 2**15 - 1), ("integer", 2**31 - 1), ("bigint", 2**63 - 1), ("numeric(9)", 10**9 - 1),
        ("numeric(12,3)", 10**9 - 1), ("numeric", 10**30),
    ],
)  # fmt: skip
def test_what_the_column_cannot_hold_is_left_and_reported(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance, column_type: str, largest: int
) -> None:
    """One conversation too large must not keep all others from their number."""
    execute(chat, f"alter table {SESSIONS} alter total_tokens_used type {column_type}")
    fits, exceeds = chat.session(), chat.session()
    chat.answer({"tokens": 10}, conversation_id=fits.conversation_id)
    most = min(largest, 3 * 10**12)
    spend(chat, exceeds.conversation_id, most)
    assert run(instance, enabled).success
    assert stored(chat) == {fits.id: 10, exceeds.id: most}
    if most < largest:
        return
    spend(chat, exceeds.conversation_id, 1)
    chat.answer({"tokens": 10}, conversation_id=fits.conversation_id)
    assert run(instance, enabled).success
    assert stored(chat) == {fits.id: 20, exceeds.id: most}
    found = numbers(instance)[FIRST.isoformat()]
    assert found["too_large_conversations"] == 1
    assert found["too_large"] == str(exceeds.conversation_id)
    assert str(exceeds.conversation_id) in events(instance)


def spend(chat: Chat, conversation_id: UUID, tokens: int) -> None:
    """Answers that add up to this, each within what one may report."""
    while tokens:
        part = min(tokens, 10**12)
        chat.answer({"tokens": part}, conversation_id=conversation_id)
        tokens -= part


def test_of_repeated_sessions_the_owner_has_the_total(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    """A sum over sessions must count no token twice, nor for somebody else than the daily rows do."""
    execute(chat, f"alter table {SESSIONS} drop constraint conversation_sessions_conversation_id_key")
    owner = chat.session(user_id=chat.user(), started_at=NOON)
    conversation = owner.conversation_id
    others = [
        chat.session(conversation_id=conversation, started_at=NOON - timedelta(days=9)),
        chat.session(conversation_id=conversation, user_id=chat.user(), started_at=NOON + timedelta(days=1)),
        chat.session(conversation_id=conversation, user_id=chat.user(), started_at=None),
    ]
    execute(chat, "update public.conversation_sessions set total_tokens_used = 99")
    chat.answer(conversation_id=conversation)
    assert run(instance, enabled).success
    assert stored(chat) == {owner.id: 15, **{each.id: 0 for each in others}}
    named = chat.connection.execute(
        "select user_id from usage.conversation_owner(%s)", [conversation]
    ).fetchone()
    assert named == (owner.user_id,)


def test_an_application_without_optional_columns(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    execute(chat, f"alter table {SESSIONS} drop started_at, drop agent_id, drop last_active")
    assert run(instance, enabled).success
    assert stored(chat) == {session.id: 15}


def test_it_is_on_the_page_and_says_that_it_is_off() -> None:
    """An asset that only who has enabled it can see is one that nobody enables."""
    graph = defs.resolve_asset_graph()
    shown = graph.get(session_totals.key)
    assert "Off until `usage-pipeline sources enable session-totals`" in str(shown.description)
    assert {key.to_user_string() for key in shown.parent_keys} == {
        "chat_messages_v2", "conversation_sessions",
    }  # fmt: skip
    assert not shown.is_executable
    assert graph.executable_asset_keys == {dg.AssetKey(name) for name in ROLLUPS}


def test_once_it_is_on_it_is_run_with_the_others() -> None:
    script = (
        "from usage_pipeline.definitions import defs, totals;"
        "node = defs.resolve_asset_graph().get(totals.key); assert node.is_executable;"
        "assert node.pools == {'session_totals'} and node.partitions_def is not None;"
        "assert node.backfill_policy is not None"
    )
    given = {**os.environ, "USAGE_SESSION_TOTALS": "on"}
    subprocess.run([sys.executable, "-c", script], check=True, env=given)


def test_all_that_is_off_is_left_out_of_materialize_all(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """*Materialize all* on the global lineage was red for an asset that nobody had asked for."""
    chat.answer(conversation_id=chat.session().conversation_id)
    set_clock(chat.connection, NOON)
    monkeypatch.setenv("USAGE_START", str(FIRST))
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=FIRST, grace_days=3650)
    ours = dg.Definitions(defs.assets, asset_checks=defs.asset_checks, resources={"warehouse": warehouse})
    job = ours.resolve_implicit_global_asset_job_def()
    for name, rollup in ROLLUPS.items():
        key = partitions.key(rollup.grain, calendar.window(rollup.grain, FIRST))
        done = job.execute_in_process(
            instance=instance, partition_key=key, asset_selection=[dg.AssetKey(name)]
        )
        assert done.success, name
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == {key}
    assert instance.get_materialized_partitions(session_totals.key) == set()
    assert {each.status for each in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}


def test_a_run_that_nobody_enabled_fails_in_one_line(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    """Somebody clicks on everything: a column of the application is written only if its owner said so."""
    chat.answer(conversation_id=chat.session().conversation_id)
    execute(chat, f"grant update on {SESSIONS} to public")
    before = rows(chat)
    assert not run(instance, warehouse).success
    assert (
        "session totals are off: nobody has enabled that public.conversation_sessions.total_tokens_used is"
        " written. Fix: usage-pipeline sources enable session-totals" in events(instance)
    )
    assert rows(chat) == before
    assert numbers(instance) == {}


def move_last_active(chat: Chat, what: str = "before update", name: str = "touch") -> None:
    """The trigger that many applications have."""
    execute(
        chat,
        "create or replace function public.moves() returns trigger language plpgsql as"
        " $$ begin new.last_active := clock_timestamp(); return new; end $$",
    )
    execute(chat, f"create trigger {name} {what} on {SESSIONS} for each row execute function public.moves()")


def test_a_trigger_that_was_added_later_stops_the_run(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance
) -> None:
    """Every list of chats would be in the order of our nightly run."""
    chat.answer(conversation_id=chat.session().conversation_id)
    move_last_active(chat)
    before = rows(chat)
    assert not run(instance, enabled).success
    assert "fires its trigger touch, which may write other columns" in events(instance)
    assert rows(chat) == before


def test_a_trigger_that_comes_in_between_undoes_the_batch(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked at before the write may be another table by then."""
    chat.answer(conversation_id=chat.session().conversation_id)
    before = rows(chat)
    found = work.touched

    def then_a_trigger(*arguments: object) -> object:
        move_last_active(chat)
        return found(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "touched", then_a_trigger)
    assert not run(instance, enabled).success
    assert "fires its trigger touch" in events(instance)
    assert rows(chat) == before


@contextmanager
def held_by_the_application(server: Server, database: str, session_id: UUID) -> Iterator[None]:
    with server.connect(database, embedded.LOGIN) as connection, connection.transaction():
        connection.execute(
            "update public.conversation_sessions set message_count = 1 where id = %s", [session_id]
        )
        yield


def test_a_row_that_the_chat_holds_is_passed_over_and_named(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """One open transaction of the application must not hold up the others, nor be forgotten."""
    free, held = chat.session(), chat.session()
    for number, session in enumerate((free, held)):
        chat.answer(conversation_id=session.conversation_id, at=NOON + timedelta(days=number))
    last = FIRST + timedelta(days=1)
    with held_by_the_application(server, database, held.id):
        began = time.monotonic()
        assert not run(instance, enabled, FIRST, last).success
        assert time.monotonic() - began < 10
    assert stored(chat) == {free.id: 15, held.id: 0}
    assert (
        f"session totals of 1 conversations were not written: the application holds their sessions: "
        f"{held.conversation_id}. Fix: run it again" in events(instance)
    )
    assert set(numbers(instance)) == {FIRST.isoformat()}, "the day that is whole is told"
    assert run(instance, enabled, FIRST, last).success
    assert stored(chat) == {free.id: 15, held.id: 15}


def test_a_row_that_is_let_go_is_written_in_the_same_run(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance, server: Server, database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    monkeypatch.setattr(work, "PAUSES", (0.05,) * 100)
    with held_by_the_application(server, database, session.id):
        runs = threading.Thread(target=lambda: run(instance, enabled))
        runs.start()
        time.sleep(1)
        assert stored(chat) == {session.id: 0}
    runs.join(20)
    assert stored(chat) == {session.id: 15}
    assert numbers(instance)[FIRST.isoformat()]["rows_written"] == 1


def test_a_table_that_is_locked_whole_is_not_waited_for(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance, server: Server, database: str
) -> None:
    """Who waits in the queue of a migration makes every reader behind it wait too."""
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    found = {"ids": [session.conversation_id]}
    with enabled.begin(Role.WRITER) as connection:
        state = switch.require(connection, TOTALS)
    with server.connect(database, embedded.LOGIN) as application, application.transaction():
        application.execute("lock table public.conversation_sessions in access exclusive mode")
        began = time.monotonic()
        kept = work.keep(enabled, TOTALS, state, found["ids"])
        assert time.monotonic() - began < 5
    assert kept.held == {session.conversation_id}
    assert work.keep(enabled, TOTALS, state, found["ids"]).written == {session.conversation_id: 1}


def test_the_chat_goes_on_while_sums_are_made(
    chat: Chat, enabled: Warehouse, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The long part, reading a history, holds no row; what is written is held for an instant."""
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    with enabled.begin(Role.WRITER) as connection:
        state = switch.require(connection, TOTALS)
    found = work._untrue

    def then_the_chat_writes(*arguments: object) -> object:
        read = found(*arguments)  # type: ignore[arg-type]
        with server.connect(database, embedded.LOGIN) as application:
            application.execute("set lock_timeout = '200ms'")
            application.execute("update public.conversation_sessions set last_active = now()")
            application.execute("select from public.conversation_sessions for update")
        return read

    monkeypatch.setattr(work, "_untrue", then_the_chat_writes)
    assert work.keep(enabled, TOTALS, state, [session.conversation_id]).written
    assert stored(chat) == {session.id: 15}


def test_a_run_looks_after_it_has_waited(chat: Chat, enabled: Warehouse) -> None:
    """Two runs that meet: the older sum must not be written over the newer one."""
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    with enabled.begin(Role.WRITER) as connection:
        state = switch.require(connection, TOTALS)
    with enabled.begin(Role.WRITER) as other:
        statements.run(other, "rollups.sql", "lock_session_totals")
        runs = threading.Thread(target=work.keep, args=(enabled, TOTALS, state, [session.conversation_id]))
        runs.start()
        time.sleep(0.5)
        chat.answer(conversation_id=session.conversation_id)
        assert stored(chat) == {session.id: 0}
    runs.join(20)
    assert stored(chat) == {session.id: 30}


def test_small_batches_each_commit(
    chat: Chat, enabled: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction over all would hold every session of the day until its end."""
    for _ in range(5):
        chat.answer(conversation_id=chat.session().conversation_id)
    monkeypatch.setattr(work, "_BATCH", 2)
    assert run(instance, enabled).success
    assert stored(chat) == expected(chat)
    versions = {version for version, _ in rows(chat)}
    assert len(versions) == 3


def test_one_history_is_found_by_index(chat: Chat, enabled: Warehouse) -> None:
    """Reading the whole chat for every batch would make a day as dear as its history."""
    execute(
        chat,
        "insert into public.chat_messages_v2"
        " (id, conversation_id, sender_agent_id, role, content, metadata, created_at)"
        " select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'assistant', '{}', '{}', now()"
        " from generate_series(1, 20000)",
    )
    execute(chat, "analyze public.chat_messages_v2")
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    text = statements.printed("sources.adapters", TOTALS.untrue, conversation_ids=[session.conversation_id])
    plan = "\n".join(row[0] for row in chat.connection.execute(f"explain {text}".encode()))
    assert "chat_messages_v2_conversation" in plan
    assert "Seq Scan on chat_messages_v2" not in plan


def test_row_security_is_passed_by_our_policies_alone(
    chat: Chat, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    """Under row-level security an update that no policy allows changes nothing, without an error."""
    session = chat.session()
    chat.answer(conversation_id=session.conversation_id)
    for statement in (
        f"alter table {SESSIONS} enable row level security",
        f"create policy usage_writer_reads on {SESSIONS} for select to usage_writer using (true)",
        f"create policy own on {SESSIONS} using (id::text = current_user)",
        f"grant update (total_tokens_used) on {SESSIONS} to usage_writer",
    ):
        execute(chat, statement)
    assert not run(instance, warehouse).success
    assert "the policy `usage_writer_updates` is missing or altered" in events(instance)
    enable(warehouse)
    assert run(instance, warehouse).success
    assert stored(chat) == {session.id: 15}


def test_the_writer_may_write_that_column_and_no_other(chat: Chat, enabled: Warehouse) -> None:
    chat.answer(conversation_id=chat.session().conversation_id)
    names = [
        name
        for (name,) in chat.connection.execute(
            "select attname::text from pg_attribute"
            " where attrelid = 'public.conversation_sessions'::regclass and attnum > 0"
        )
    ]
    writing = "update public.conversation_sessions set {name} = {name}"
    for name in names:
        with chat.connection.transaction(force_rollback=True):
            execute(chat, "set local role usage_writer")
            if name == TOTALS.column:
                execute(chat, writing.replace("{name}", name))
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    execute(chat, writing.replace("{name}", name))
    for statement in (
        "delete from public.conversation_sessions",
        "insert into public.conversation_sessions default values",
        "truncate public.conversation_sessions",
        "update public.chat_messages_v2 set role = role",
    ):
        with chat.connection.transaction(force_rollback=True):
            execute(chat, "set local role usage_writer")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(chat, statement)
