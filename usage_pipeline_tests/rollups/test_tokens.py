"""One day of tokens: it equals its source, and running it twice writes nothing."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from usage_pipeline.demo import oracle, verification
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods.calendar import Grain, Window, window
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups.rollup import Outcome
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, Chat, set_clock, tokens_of

TODAY = NOON.date()
DAY = window(Grain.DAILY, TODAY)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def run(warehouse: Warehouse, day: date = TODAY) -> Outcome:
    one = window(Grain.DAILY, day)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, one, one)
    return tokens_of(Grain.DAILY).compute(warehouse, one, "test")


def stored(warehouse: Warehouse) -> dict[tuple[date, UUID], oracle.Period]:
    bounds = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    with warehouse.begin(Role.READER) as connection:
        return verification.stored_periods(connection, Grain.DAILY, bounds)


def expected(chat: Chat) -> dict[tuple[date, UUID], oracle.Period]:
    return oracle.tokens(Grain.DAILY, chat.messages, chat.sessions, now=NOW)


def versions(server: Server, database: str) -> Sequence[tuple[object, ...]]:
    """What changes whenever Postgres writes a row, even with equal values."""
    with server.connect(database) as connection:
        return connection.execute(
            "select tableoid::regclass::text, ctid::text, xmin::text, created_at, updated_at"
            " from usage.user_token_usage order by 1, 2"
        ).fetchall()


def test_an_owner_is_found_through_the_session(chat: Chat, warehouse: Warehouse) -> None:
    """Answers carry no user: without the session every token would be nobody's."""
    user, agent = chat.user(), chat.agent()
    session = chat.session(user_id=user, agent_id=agent)
    chat.answer(conversation_id=session.conversation_id)
    chat.answer(conversation_id=chat.session().conversation_id)
    outcome = run(warehouse)
    assert stored(warehouse) == expected(chat)
    assert {key[1] for key in stored(warehouse)} == {user, oracle.NOBODY}
    assert (outcome.entry.source_rows, outcome.entry.states["unattributed"]) == (2, 1)


def test_twice_is_once(chat: Chat, warehouse: Warehouse, server: Server, database: str) -> None:
    """A second run that rewrites equal rows would bloat the table and move every updated_at."""
    for _ in range(20):
        chat.answer(conversation_id=chat.session(user_id=chat.user()).conversation_id)
    assert run(warehouse).inserted == 20
    before = versions(server, database)
    again = run(warehouse)
    assert (again.inserted, again.updated, again.deleted) == (0, 0, 0)
    assert versions(server, database) == before


def test_what_changed_in_between_shows(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """Late, edited, moved and deleted answers all show, and only the users they touch are written."""
    users = [chat.user() for _ in range(5)]
    owned = {user: chat.session(user_id=user).conversation_id for user in users}
    answers = {user: chat.answer(conversation_id=owned[user]) for user in users}
    run(warehouse)
    before = {row[1]: row for row in versions(server, database)}
    late, edited, moved, deleted, kept = users
    chat.answer(conversation_id=owned[late], at=NOON + timedelta(hours=1))
    execute = chat.connection.execute
    execute(
        "update public.chat_messages_v2 set metadata = '{\"tokens\": 7}' where id = %s", [answers[edited].id]
    )
    execute(
        "update public.chat_messages_v2 set created_at = created_at + interval '1 day' where id = %s",
        [answers[moved].id],
    )
    execute("delete from public.chat_messages_v2 where id = %s", [answers[deleted].id])
    outcome = run(warehouse)
    assert (outcome.inserted, outcome.updated, outcome.deleted) == (0, 2, 2)
    run(warehouse, NOON.date() + timedelta(days=1))
    rows = {key[1]: day for key, day in stored(warehouse).items()}
    assert rows[late].message_count == 2
    assert rows[edited].total_tokens == 7
    assert rows[moved].last_activity == NOON + timedelta(days=1)
    assert deleted not in rows
    alone = oracle.tokens(Grain.DAILY, [answers[kept]], chat.sessions, now=NOW)
    assert rows[kept] == alone[NOON.date(), kept]
    unchanged = [row for row in versions(server, database) if before.get(row[1]) == row]
    assert len(unchanged) == 1


def test_created_at_survives_an_update(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """A row that was deleted and inserted again would forget when it was first stored."""
    session = chat.session(user_id=chat.user())
    chat.answer(conversation_id=session.conversation_id)
    run(warehouse)
    first = versions(server, database)[0]
    chat.answer(conversation_id=session.conversation_id)
    run(warehouse)
    (second,) = versions(server, database)
    assert second[3] == first[3]
    assert second[4] > first[4]  # type: ignore[operator]


def test_a_row_that_went_and_came_again_has_its_id(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """Whoever noted an id finds the same user and period by it, and no other row has it."""
    hide = "update public.chat_messages_v2 set role = %s"
    for _ in range(3):
        chat.answer(conversation_id=chat.session(user_id=chat.user()).conversation_id)
    found: list[dict[UUID, UUID]] = []
    for role in ("assistant", "tool", "assistant"):
        chat.connection.execute(hide, [role])
        run(warehouse)
        with server.connect(database) as connection:
            rows = connection.execute("select user_id, id from usage.user_token_usage").fetchall()
            found.append(dict(rows))
    first, gone, again = found
    assert gone == {}
    assert first == again
    assert len(set(first.values())) == 3


def test_the_open_day_is_read_up_to_the_clock(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """An answer stamped ahead of the clock must not be counted twice: stored, and again in the raw tail."""
    with server.connect(database) as connection:
        set_clock(connection, NOON)
    chat.answer(at=NOON - timedelta(seconds=1))
    chat.answer(at=NOON)
    outcome = run(warehouse)
    assert outcome.entry.covered_until == NOON
    assert outcome.entry.source_rows == 1
    with server.connect(database) as connection:
        set_clock(connection, NOON + timedelta(days=3))
    outcome = run(warehouse)
    assert outcome.entry.covered_until == DAY.end
    assert outcome.entry.source_rows == 2


def test_the_edges_of_a_day(chat: Chat, warehouse: Warehouse) -> None:
    """Half-open in UTC: the first instant belongs to a day, the one after its last does not."""
    user = chat.user()
    session = chat.session(user_id=user)
    tick = timedelta(microseconds=1)
    for at in (DAY.start - tick, DAY.start, DAY.end - tick, DAY.end):
        chat.answer(at=at, conversation_id=session.conversation_id)
    for offset in (-1, 0, 1):
        run(warehouse, NOON.date() + timedelta(days=offset))
    assert stored(warehouse) == expected(chat)
    assert [day.message_count for _, day in sorted(stored(warehouse).items())] == [1, 2, 1]


def test_an_empty_day_is_computed_and_empty(warehouse: Warehouse) -> None:
    outcome = run(warehouse)
    assert (outcome.entry.source_rows, outcome.entry.stored_rows, outcome.changed) == (0, 0, 0)
    with warehouse.begin(Role.READER) as connection:
        rows = statements.run(
            connection, "serving.sql", "standing_periods",
            rollup="tokens_daily", window_start=DAY.start, window_end=DAY.end,
        ).all()  # fmt: skip
    assert len(rows) == 1


def test_a_message_that_is_lost_on_the_way_stops_the_run(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """The count of the source is made by another call: a rollup that drops rows cannot agree with itself."""
    for _ in range(3):
        chat.answer(conversation_id=chat.session(user_id=chat.user()).conversation_id)
    run(warehouse)
    before = versions(server, database)
    with server.connect(database) as connection:
        body = TOKENS.window
        broken = body.replace(
            "group by event.conversation_id,", "where event.total_tokens < 0 group by event.conversation_id,"
        )
        assert broken != body
        connection.execute(broken.encode())
    with pytest.raises(Refusal, match="the source has 3 messages, 0 were computed"):
        run(warehouse)
    assert versions(server, database) == before


@contextmanager
def ledger_row_held(server: Server, database: str, statement: str) -> Iterator[psycopg.Connection]:
    """Somebody else's transaction that has the day's ledger row."""
    with server.connect(database, embedded.LOGIN) as held:
        held.autocommit = False
        held.execute("set role usage_writer")
        held.execute(statement.encode(), {"start": DAY.start, "end": DAY.end})
        yield held


def wait_for_a_lock(server: Server, database: str) -> None:
    """Return once a session of this database waits for a lock."""
    deadline = time.monotonic() + 10
    with server.connect(database) as connection:
        while time.monotonic() < deadline:
            found = connection.execute(
                "select count(*) from pg_stat_activity where datname = %s and wait_event_type = 'Lock'",
                [database],
            ).fetchone()
            if found != (0,):
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("is_first", [True, False], ids=["first run", "later run"])
def test_a_run_locks_before_it_looks(
    chat: Chat, warehouse: Warehouse, server: Server, database: str, is_first: bool
) -> None:
    """A run that reads first and waits then writes what is no longer true: an older reading would win."""
    with server.connect(database) as connection:
        set_clock(connection, NOON)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAY, DAY)
    conversation = chat.session(user_id=chat.user()).conversation_id
    chat.answer(at=NOON - timedelta(hours=1), conversation_id=conversation)
    if is_first:
        statement = (
            "insert into usage.rollup_ledger (rollup, period_start, period_end)"
            " values ('tokens_daily', %(start)s, %(end)s)"
        )
    else:
        run(warehouse)
        statement = "select 1 from usage.rollup_ledger where period_start = %(start)s for update"
    with ThreadPoolExecutor(1) as pool, ledger_row_held(server, database, statement) as held:
        waiting = pool.submit(tokens_of(Grain.DAILY).compute, warehouse, DAY, "second")
        wait_for_a_lock(server, database)
        chat.answer(at=NOON + timedelta(minutes=30), conversation_id=conversation)
        with server.connect(database) as connection:
            set_clock(connection, NOON + timedelta(hours=1))
        held.commit()
        outcome = waiting.result(10)
    assert outcome.entry.covered_until == NOON + timedelta(hours=1), "the clock is read after the lock"
    assert outcome.entry.source_rows == 2, "so are the rows"
    assert stored(warehouse) == expected(chat)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_database_that_isolates_more_than_we_ask_for(
    chat: Chat, warehouse: Warehouse, server: Server, database: str, level: str
) -> None:
    """A snapshot from before the lock reads old rows beside the new clock: covered, but never seen."""
    with server.connect() as connection:
        statement = psycopg.sql.SQL("alter database {} set default_transaction_isolation to {}")
        connection.execute(statement.format(psycopg.sql.Identifier(database), psycopg.sql.Literal(level)))
    with server.connect(database) as connection:
        set_clock(connection, NOON)
    run(warehouse)
    row = "select 1 from usage.rollup_ledger where period_start = %(start)s for update"
    with ThreadPoolExecutor(1) as pool, ledger_row_held(server, database, row) as held:
        waiting = pool.submit(tokens_of(Grain.DAILY).compute, warehouse, DAY, "second")
        wait_for_a_lock(server, database)
        chat.answer(at=NOON + timedelta(minutes=30))
        with server.connect(database) as connection:
            set_clock(connection, NOON + timedelta(hours=1))
        held.commit()
        outcome = waiting.result(10)
    assert outcome.entry.covered_until == NOON + timedelta(hours=1)
    assert outcome.entry.source_rows == 1


def test_other_days_and_other_roles_stay_out(chat: Chat, warehouse: Warehouse) -> None:
    session = chat.session(user_id=chat.user())
    for offset in (-400, -1, 1, 90):
        chat.answer(at=NOON + timedelta(days=offset), conversation_id=session.conversation_id)
    chat.answer(role="user", conversation_id=session.conversation_id, sender_user_id=uuid4())
    chat.answer(conversation_id=session.conversation_id)
    assert run(warehouse).entry.source_rows == 1


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres"])
def test_a_database_that_writes_dates_its_own_way(
    chat: Chat, warehouse: Warehouse, server: Server, database: str, style: str
) -> None:
    """`alter database … set` reaches every session that does not say what it wants."""
    with server.connect() as connection:
        for name, value in (("DateStyle", style), ("TimeZone", "Asia/Kolkata"), ("row_security", "off")):
            statement = psycopg.sql.SQL("alter database {} set {} to {}")
            names = (
                psycopg.sql.Identifier(database),
                psycopg.sql.Identifier(name),
                psycopg.sql.Literal(value),
            )
            connection.execute(statement.format(*names))
    chat.answer()
    assert run(warehouse).entry.source_rows == 1
    assert stored(warehouse) == expected(chat)
