"""One user's row by the function an application's developers know: the assets' numbers, or a refusal."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from usage_pipeline.demo import loading, story
from usage_pipeline.periods.calendar import Grain, Window, window, windows
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, set_clock, set_policy, tokens_of

GRAINS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
START, DAY, TODAY = date(2026, 2, 1), date(2026, 3, 4), date(2026, 3, 10)
CALL = "select usage.aggregate_user_token_usage(%s, %s, %s, %s)"
ROWS = """
select period_type, period_start, period_end, user_id, total_prompt_tokens, total_completion_tokens,
  total_tokens, message_count, unmetered_message_count, refused_message_count, conversation_count,
  agent_ids, conversation_ids, last_activity
from usage.user_token_usage order by period_type, period_start, user_id
"""


def prepare(warehouse: Warehouse, grains: tuple[Grain, ...] = GRAINS, first: date = START) -> None:
    """The policy, and the partitions of every grain: a call of the function makes none."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=START, grace_days=7)
    for grain in grains:
        tokens_of(grain).ensure_partitions(warehouse, window(grain, first), window(grain, TODAY))


def compute(warehouse: Warehouse, grain: Grain, first: date, last: date | None = None) -> None:
    for each in windows(grain, first, last or first):
        tokens_of(grain).compute(warehouse, each, "test")


@pytest.fixture
def writer(server: Server, database: str, chat: Chat, warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """An application's session that may act as the writer, on the day after; its settings are its own."""
    set_clock(chat.connection, datetime(2026, 3, 10, 12, tzinfo=UTC))
    prepare(warehouse)
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        yield connection


@pytest.fixture
def user(chat: Chat) -> UUID:
    """Somebody with two answers on the day."""
    found = chat.user()
    session = chat.session(user_id=found)
    for hour in (9, 15):
        chat.answer(at=at(DAY, hour), conversation_id=session.conversation_id)
    return found


def at(day: date, hour: int = 9) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def call(connection: psycopg.Connection, user: UUID, grain: Grain, day: date = DAY) -> None:
    bounds = window(grain, day)
    connection.execute(CALL, [user, bounds.start, bounds.end, grain.value])


def stored(connection: psycopg.Connection) -> list[Any]:
    return connection.execute(ROWS.encode()).fetchall()


def recorded(connection: psycopg.Connection, grain: Grain, day: date = DAY) -> Any:
    return connection.execute(
        "select state, covered_until, source_rows, stored_rows, totals ->> 'message_count', checksum"
        " from usage.rollup_ledger where rollup = %s and period_start = %s",
        [f"tokens_{grain}", window(grain, day).start],
    ).fetchone()


@pytest.mark.once
@pytest.mark.parametrize("computed_before", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_user_of_the_story_at_every_grain(server: Server, computed_before: bool) -> None:
    """Two ways to one number would sooner or later be two numbers."""
    first, last = date(2026, 2, 25), date(2026, 3, 4)
    told = story.tell(last, days=8)
    found: list[Any] = []
    for by_function in (False, True):
        with cloned(server, TEMPLATE) as name, server.connect(name, embedded.LOGIN) as connection:
            with connection.transaction():
                loading.load(connection, told)
                loading.load_late(connection, told)
            warehouse = Warehouse(server.url(name))
            set_clock(connection, at(last, 18))
            prepare(warehouse, first=first)
            with warehouse.begin(Role.WRITER) as policy:
                set_policy(policy, first_day=first, grace_days=7)
            if computed_before or not by_function:
                for grain in GRAINS:
                    compute(warehouse, grain, first, last)
            if by_function:
                connection.execute("set role usage_writer")
                users = [*(each.id for each in told.users), UUID(int=0)]
                for grain in GRAINS:
                    for each in windows(grain, first, last):
                        for user in users:
                            connection.execute(CALL, [user, each.start, each.end, grain.value])
            found.append(stored(connection))
            warehouse.dispose()
    assert len(found[0]) > 100
    assert found[1] == found[0]


def test_a_period_never_computed_is_read_from_raw_and_stays_partial(
    writer: psycopg.Connection, user: UUID
) -> None:
    """Called complete, it would hide everybody else."""
    for grain in GRAINS:
        call(writer, user, grain)
        assert recorded(writer, grain)[0] == "partial"
        assert recorded(writer, grain)[2] is None
    assert [(row[0], row[7]) for row in stored(writer)] == [
        ("daily", 2), ("monthly", 2), ("weekly", 2), ("yearly", 2),
    ]  # fmt: skip


def test_a_computed_day_is_brought_up_to_date_as_far_as_it_was_read(
    writer: psycopg.Connection, chat: Chat, user: UUID, warehouse: Warehouse
) -> None:
    """Read further for one user than for the others, a day would have no instant below which it is whole."""
    set_clock(chat.connection, at(DAY, 12))
    compute(warehouse, Grain.DAILY, DAY)
    set_clock(chat.connection, at(DAY, 18))
    chat.answer(at=at(DAY, 10), conversation_id=chat.session(user_id=user).conversation_id)
    call(writer, user, Grain.DAILY)
    (row,) = stored(writer)
    state, covered, source_rows, stored_rows, messages, checksum = recorded(writer, Grain.DAILY)
    assert (row[7], row[10]) == (2, 2)  # 9:00 and 10:00, not 15:00
    assert (state, covered, source_rows, stored_rows, messages) == ("open", at(DAY, 12), 2, 1, "2")
    compute(warehouse, Grain.DAILY, DAY)
    call(writer, user, Grain.DAILY)
    assert recorded(writer, Grain.DAILY)[4] == "3"
    assert recorded(writer, Grain.DAILY)[5] != checksum


def test_a_computed_week_is_run(
    writer: psycopg.Connection, chat: Chat, user: UUID, warehouse: Warehouse
) -> None:
    """A week made of days knows no single user: read from raw, it would not be the sum of its days."""
    for grain in GRAINS:
        compute(warehouse, grain, START, TODAY)
    other = chat.user()
    chat.answer(at=at(DAY), conversation_id=chat.session(user_id=other).conversation_id)
    call(writer, user, Grain.WEEKLY)
    assert recorded(writer, Grain.WEEKLY)[4] == "2"
    compute(warehouse, Grain.DAILY, DAY)
    call(writer, user, Grain.WEEKLY)
    assert recorded(writer, Grain.WEEKLY)[:1] == ("open",)
    assert recorded(writer, Grain.WEEKLY)[4] == "3"


def test_a_user_without_messages_loses_the_row(
    writer: psycopg.Connection, chat: Chat, user: UUID, warehouse: Warehouse
) -> None:
    """The paper's own function left the old number standing."""
    compute(warehouse, Grain.DAILY, DAY)
    chat.connection.execute("delete from public.chat_messages_v2 where created_at = %s", [at(DAY, 15)])
    call(writer, user, Grain.DAILY)
    assert [row[7] for row in stored(writer)] == [1]
    chat.connection.execute("delete from public.chat_messages_v2")
    call(writer, user, Grain.DAILY)
    assert stored(writer) == []
    assert recorded(writer, Grain.DAILY)[2:5] == (0, 0, "0")


def test_twice_writes_nothing(writer: psycopg.Connection, user: UUID) -> None:
    call(writer, user, Grain.DAILY)
    versions = "select xmin::text, updated_at from usage.user_token_usage"
    before = writer.execute(versions).fetchall()
    call(writer, user, Grain.DAILY)
    assert writer.execute(versions).fetchall() == before


def test_two_calls_at_once(
    writer: psycopg.Connection, chat: Chat, user: UUID, server: Server, database: str
) -> None:
    """Each waits for the other: without the lock the ledger would hold the sums of one of them."""
    other = chat.user()
    chat.answer(at=at(DAY), conversation_id=chat.session(user_id=other).conversation_id)

    def second() -> None:
        with server.connect(database, embedded.LOGIN) as connection:
            connection.execute("set role usage_writer")
            call(connection, other, Grain.DAILY)

    with ThreadPoolExecutor(1) as pool, writer.transaction():
        call(writer, user, Grain.DAILY)
        waiting = pool.submit(second)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
    waiting.result(10)
    assert recorded(writer, Grain.DAILY)[3:5] == (2, "3")


def refusal(
    connection: psycopg.Connection, *arguments: object, code: str = "UP001"
) -> psycopg.errors.Diagnostic:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(CALL, arguments)
    assert caught.value.sqlstate == code, caught.value
    return caught.value.diag


WHOLE_DAY = window(Grain.DAILY, DAY)


@pytest.mark.parametrize(
    "arguments",
    [
        (uuid4(), None, WHOLE_DAY.end, "daily"),
        (uuid4(), WHOLE_DAY.start, None, "daily"),
        (uuid4(), WHOLE_DAY.start, WHOLE_DAY.end, "weekly"),
        (uuid4(), WHOLE_DAY.start + timedelta(hours=1), WHOLE_DAY.end + timedelta(hours=1), "daily"),
        (uuid4(), WHOLE_DAY.start + timedelta(hours=1), WHOLE_DAY.end, "daily"),
        (uuid4(), WHOLE_DAY.start, WHOLE_DAY.end + timedelta(days=1), "daily"),
        (uuid4(), WHOLE_DAY.end, WHOLE_DAY.start, "daily"),
        (uuid4(), "-infinity", "infinity", "daily"),
        (uuid4(), "infinity", "infinity", "yearly"),
        (uuid4(), "294276-01-01", "294276-01-02", "daily"),
    ],
)
def test_bounds_that_are_no_period(writer: psycopg.Connection, arguments: tuple[object, ...]) -> None:
    said = refusal(writer, *arguments)
    assert "is not a period of type" in (said.message_primary or "")
    assert (said.message_hint or "").startswith("give ")


@pytest.mark.parametrize("period_type", [None, "hourly", "DAILY", "daily; drop table x"])
def test_a_period_type_that_is_none(writer: psycopg.Connection, period_type: str | None) -> None:
    said = refusal(writer, uuid4(), WHOLE_DAY.start, WHOLE_DAY.end, period_type)
    assert said.message_primary == f"there is no period type {period_type or 'NULL'}"
    assert said.message_hint == "give daily, weekly, monthly or yearly"


def refused(connection: psycopg.Connection, user: UUID, day: date, code: str = "UP001") -> tuple[str, str]:
    """What is said of one day, and the hint; nothing stays of it."""
    bounds = window(Grain.DAILY, day)
    said = refusal(connection, user, bounds.start, bounds.end, "daily", code=code)
    return said.message_primary or "", said.message_hint or ""


def test_periods_that_are_not_its_to_write(
    writer: psycopg.Connection, chat: Chat, user: UUID, warehouse: Warehouse
) -> None:
    """Each by its name, also where no partition stands: one made for it would lead nowhere."""
    assert refused(writer, user, date(2026, 1, 31)) == (
        "tokens_daily of 2026-01-31 lies before the first day 2026-02-01",
        "usage-pipeline sources start 2026-01-31",
    )
    assert refused(writer, user, date(2027, 5, 1))[0] == (
        "tokens_daily of 2027-05-01 has not come yet by the database's clock"
    )
    set_clock(chat.connection, at(date(2026, 3, 20)))
    compute(warehouse, Grain.DAILY, DAY)
    what, hint = refused(writer, user, DAY, code="UP004")
    assert what == "tokens_daily of 2026-03-04 is sealed"
    assert hint.startswith("usage-pipeline restate tokens_daily --from 2026-03-04 --to 2026-03-04 --user")
    chat.connection.execute("set role usage_writer")
    chat.connection.execute("update usage.rollup_ledger set state = 'pruned'")
    what, hint = refused(writer, user, DAY, code="UP004")
    assert what == "tokens_daily of 2026-03-04 is pruned"
    assert hint.startswith("usage-pipeline backfill tokens_monthly tokens_weekly")


def test_nobody_is_named(writer: psycopg.Connection) -> None:
    """A hint that repeats what was typed helps nobody."""
    bounds = window(Grain.DAILY, DAY)
    said = refusal(writer, None, bounds.start, bounds.end, "daily")
    assert said.message_primary == "p_user_id is NULL"


def test_before_the_horizon(writer: psycopg.Connection, user: UUID) -> None:
    """Raw rows that were purged would make a right number a wrong one."""
    writer.execute("insert into usage.source_horizon (family, begins_at) values ('tokens', '2026-03-05')")
    assert refused(writer, user, DAY, code="UP004")[0].endswith("begins before the source's horizon")


def test_a_missing_partition_names_the_call_that_makes_it(
    server: Server, database: str, chat: Chat, warehouse: Warehouse, user: UUID
) -> None:
    """Whatever the session's settings are, the hint can be run in any other."""
    prepare(warehouse, grains=())
    set_clock(chat.connection, at(TODAY))
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        connection.execute("set datestyle = 'SQL, DMY'")
        connection.execute("set timezone = 'Pacific/Auckland'")
        what, hint = refused(connection, user, DAY)
        assert what == "there is no partition yet for tokens_daily of 2026-03-04"
        connection.execute("set datestyle = 'Postgres, MDY'")
        connection.execute(hint.encode())
        call(connection, user, Grain.DAILY)
        connection.execute("set datestyle = 'ISO'")
        assert stored(connection)[0][7] == 2


@pytest.mark.parametrize("table", [table.name for table in SUPABASE_CHAT.tables])
def test_a_source_that_hides_rows_takes_no_row_away(
    writer: psycopg.Connection, chat: Chat, user: UUID, warehouse: Warehouse, table: str
) -> None:
    """Read as empty without an error, it would delete what is right."""
    compute(warehouse, Grain.DAILY, DAY)
    before = stored(writer)
    chat.connection.execute(f"alter table {table} enable row level security".encode())
    said = refusal(writer, user, WHOLE_DAY.start, WHOLE_DAY.end, "daily")
    assert said.message_primary == f"the source table {table} cannot be read whole"
    assert said.message_hint == "usage-pipeline migrate apply"
    with pytest.raises(Exception, match="cannot be read whole"):
        compute(warehouse, Grain.DAILY, DAY)
    assert stored(writer) == before
    with warehouse.begin(Role.LOGIN) as connection:
        for grant in access.grants(connection, SUPABASE_CHAT):
            statements.run_script(connection, grant.statement)
    call(writer, user, Grain.DAILY)
    assert stored(writer) == before


def test_a_member_of_the_writer_may_call_it(
    writer: psycopg.Connection, chat: Chat, user: UUID, server: Server, database: str
) -> None:
    """An application's own login that inherits the role is held to the same rows."""
    with server.connect(database) as connection:
        connection.execute("create role backend login in role usage_writer")
    try:
        for protected in (False, True):
            if protected:
                for table in SUPABASE_CHAT.tables:
                    chat.connection.execute(f"alter table {table.name} enable row level security".encode())
                    chat.connection.execute(
                        f"create policy usage_writer_reads on {table.name} for select to usage_writer"
                        " using (true)".encode()
                    )
            with server.connect(database, "backend") as connection:
                call(connection, user, Grain.DAILY)
                assert [row[7] for row in stored(connection)] == [2]
        chat.connection.execute(
            "create policy tenant on public.chat_messages_v2 as restrictive to backend using (false)"
        )
        with server.connect(database, "backend") as connection:
            what, _ = refused(connection, user, DAY)
            assert what == "the source table public.chat_messages_v2 cannot be read whole"
    finally:
        with server.connect(database) as connection:
            connection.execute("drop policy if exists tenant on public.chat_messages_v2")
            connection.execute("drop role backend")


def test_the_database_knows_the_adapters_tables(writer: psycopg.Connection) -> None:
    """One that only Python knew would be read unasked."""
    named = writer.execute("select name from usage_private.token_tables()").fetchall()
    assert [name for (name,) in named] == [table.name for table in SUPABASE_CHAT.tables]


@pytest.mark.parametrize("role", ["usage_reader", "usage_retention"])
def test_only_the_writer_may_call_it(writer: psycopg.Connection, user: UUID, role: str) -> None:
    """Who may only read must not make others' numbers partial."""
    writer.execute(f"set role {role}".encode())
    refusal(writer, user, WHOLE_DAY.start, WHOLE_DAY.end, "daily", code="42501")
    granted = writer.execute(
        "select has_function_privilege(%s, %s, 'execute')",
        ["public", "usage.aggregate_user_token_usage(uuid,timestamptz,timestamptz,text)"],
    ).fetchone()
    assert granted == (False,)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_transaction_that_looks_before_it_locks(writer: psycopg.Connection, user: UUID, level: str) -> None:
    writer.execute(f"begin isolation level {level}".encode())
    said = refusal(writer, user, WHOLE_DAY.start, WHOLE_DAY.end, "daily")
    assert said.message_primary == "a run needs a transaction that is read committed"
    writer.execute("rollback")
    assert stored(writer) == []


def test_the_sessions_settings_change_nothing(
    writer: psycopg.Connection, user: UUID, warehouse: Warehouse
) -> None:
    """A day of another zone, a table of another schema, or a date read the other way round."""
    writer.execute("create temp table user_token_usage (message_count bigint)")
    writer.execute(
        "create function pg_temp.now() returns timestamptz language sql as $$select 'epoch'::timestamptz$$"
    )
    for setting in (
        "search_path = pg_temp, public, pg_catalog", "timezone = 'Asia/Kathmandu'", "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'", "extra_float_digits = -15", "plan_cache_mode = force_generic_plan",
        "standard_conforming_strings = off", "enable_indexscan = off",
    ):  # fmt: skip
        writer.execute(f"set {setting}".encode())
    for grain in GRAINS:
        bounds: Window = window(grain, DAY)
        writer.execute(CALL, [user, bounds.start, bounds.end, grain.value])
    writer.execute("discard all")
    writer.execute("set role usage_writer")
    checksums = [recorded(writer, grain)[5] for grain in GRAINS]
    rows = stored(writer)
    assert [row[7] for row in rows] == [2, 2, 2, 2]
    for grain in GRAINS:
        compute(warehouse, grain, START, TODAY)
    assert [row for row in stored(writer) if row[1] == window(Grain(row[0]), DAY).start] == rows
    assert [recorded(writer, grain)[5] for grain in GRAINS] == checksums


def test_the_week_that_holds_the_first_day_there_can_be(
    server: Server, database: str, chat: Chat, warehouse: Warehouse
) -> None:
    """It begins in the year before; a run computes it, so the function may."""
    day = date(2000, 1, 1)
    with warehouse.begin(Role.WRITER) as writer:
        set_policy(writer, first_day=day, grace_days=7)
    set_clock(chat.connection, at(date(2000, 1, 2)))
    tokens_of(Grain.WEEKLY).ensure_partitions(warehouse, window(Grain.WEEKLY, day), window(Grain.WEEKLY, day))
    person = chat.user()
    chat.answer(at=at(day), conversation_id=chat.session(user_id=person).conversation_id)
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        call(connection, person, Grain.WEEKLY, day)
        assert [row[7] for row in stored(connection)] == [1]
