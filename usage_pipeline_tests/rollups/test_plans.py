"""How PostgreSQL runs our functions over a source: inlined, by the time index, at a cost that stays."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa

from usage_pipeline.engine import run as engine
from usage_pipeline.engine.replace import Shape, replace
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods.calendar import Grain, Window, window, windows
from usage_pipeline.rollups import functions
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import tokens_of

NEWEST = date(2026, 3, 31)
DAY = window(Grain.DAILY, NEWEST)
DAYS = 40
OURS = [name.rpartition(".")[2] for file in functions.wanted(SUPABASE_CHAT) for name in file.functions]
READINGS: Final = {
    "token_events": "select * from usage.token_events(%(window_start)s, %(window_end)s)",
    "token_calls": "select * from usage.token_calls(%(window_start)s, %(window_end)s)",
    "token_refusals": "select * from usage.token_refusals(%(window_start)s, %(window_end)s)",
    "tokens_of_window": (
        "select * from usage_private.tokens_of_window(%(window_start)s, %(window_end)s, null::uuid)"
    ),
}
EXPLAIN: Final = "explain (analyze, buffers, format json) "
Explain = Callable[[psycopg.Connection, str, Window], "Plan"]


@dataclass(frozen=True)
class Plan:
    """A plan as text, in which every name is written out, and as its nodes."""

    text: str
    nodes: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, row: tuple[Any, ...] | None) -> "Plan":
        assert row is not None
        root = row[0][0]["Plan"]
        return cls(json.dumps(root), tuple(_walk(root)))

    def on(self, table: str) -> list[dict[str, Any]]:
        return [node for node in self.nodes if node.get("Relation Name") == table]

    def index_conditions(self, index: str) -> list[str]:
        return [node.get("Index Cond", "") for node in self.nodes if node.get("Index Name") == index]

    @property
    def buffers(self) -> int:
        """Pages of 8 kB it touched, wherever they were."""
        return int(self.nodes[0]["Shared Hit Blocks"]) + int(self.nodes[0]["Shared Read Blocks"])


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _walk(child)


def with_literals(connection: psycopg.Connection, reading: str, days: Window) -> Plan:
    """As a person types it: the window stands in the text."""
    cursor = psycopg.ClientCursor(connection)
    return Plan.of(cursor.execute(_explain(reading), binds(days)).fetchone())


def with_parameters(connection: psycopg.Connection, reading: str, days: Window) -> Plan:
    """As a driver sends it: prepared, the window beside the text."""
    return Plan.of(connection.execute(_explain(reading), binds(days), prepare=True).fetchone())


def inside_plpgsql(connection: psycopg.Connection, reading: str, days: Window) -> Plan:
    """As a function of the database runs it: the window in variables."""
    static = reading.replace("%(window_start)s", "window_start").replace("%(window_end)s", "window_end")
    body = b"begin return query explain (verbose, format json) " + static.encode() + b"; end"
    connection.execute(
        b"create function pg_temp.explained(window_start timestamptz, window_end timestamptz)"
        b" returns setof json language plpgsql as $$" + body + b"$$"
    )
    found = connection.execute(
        "select * from pg_temp.explained(%(window_start)s, %(window_end)s)", binds(days)
    )
    return Plan.of(found.fetchone())


def binds(days: Window) -> dict[str, datetime]:
    return {"window_start": days.start, "window_end": days.end}


def _explain(reading: str) -> bytes:
    return b"explain (verbose, format json) " + reading.encode()


def days_before(newest: date, days: int) -> date:
    """The first of so many days, of which `newest` is the last."""
    return newest - timedelta(days=days - 1)


def write_history(server: Server, database: str, first: date, days: int) -> None:
    statement = Path(__file__).with_name("history.sql").read_bytes()
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute(statement, {"first": start, "days": days})
        connection.execute("analyze")


@pytest.fixture(scope="module")
def history(server: Server) -> Iterator[Warehouse]:
    """Forty days with a thousand messages each; its tests only read."""
    with cloned(server, TEMPLATE) as database:
        write_history(server, database, days_before(NEWEST, DAYS), DAYS)
        found = Warehouse(server.url(database))
        yield found
        found.dispose()


@pytest.fixture
def session(history: Warehouse) -> Iterator[psycopg.Connection]:
    """A writer's session, set up as every one of ours, in a transaction that leaves nothing."""
    with history.engine(Role.WRITER).connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        yield driver
        driver.rollback()


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("explain", [with_literals, with_parameters, inside_plpgsql])
def test_a_reading_is_inlined_and_walks_the_time_index(
    session: psycopg.Connection, explain: Explain, reading: str
) -> None:
    """A function that is not inlined hides the window from the index: every day would read all years."""
    plan = explain(session, READINGS[reading], DAY)
    assert {node["Function Name"] for node in plan.nodes if "Function Name" in node} == {
        "jsonb_array_elements"
    }
    assert [name for name in OURS if f"{name}(" in plan.text] == []
    (condition,) = plan.index_conditions("chat_messages_v2_created_at")
    assert "created_at >= '2026-03-31 00:00:00+00'" in condition
    assert "created_at < '2026-04-01 00:00:00+00'" in condition
    assert {node["Node Type"] for node in plan.on("chat_messages_v2")} <= {"Index Scan", "Bitmap Heap Scan"}


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_can_run_in_parallel(session: psycopg.Connection, reading: str) -> None:
    """One function that is not parallel safe would keep a backfill of years on one core."""
    for name, value in (
        ("parallel_setup_cost", "0"),
        ("parallel_tuple_cost", "0"),
        ("min_parallel_table_scan_size", "0"),
        ("min_parallel_index_scan_size", "0"),
        ("max_parallel_workers_per_gather", "2"),
    ):
        session.execute("select set_config(%s, %s, true)", [name, value])
    wide = Window(DAY.start - timedelta(days=DAYS), DAY.end)
    counted = "select count(*)" if reading == "token_refusals" else "select sum(total_tokens)"
    plan = with_parameters(session, READINGS[reading].replace("select *", counted), wide)
    assert [node["Node Type"] for node in plan.nodes if node["Node Type"].startswith("Gather")] != []
    (scan,) = plan.on("chat_messages_v2")
    assert scan["Parallel Aware"]


def test_counting_reads_no_json(session: psycopg.Connection) -> None:
    """The count that proves each run would cost as much as the run, or more: JSON is most of a row."""
    counted = with_parameters(
        session, "select count(*) from usage.token_events(%(window_start)s, %(window_end)s)", DAY
    )
    assert "metadata" not in counted.text
    assert "jsonb_array_elements" not in counted.text
    summed = with_parameters(session, READINGS["token_events"], DAY)
    assert "metadata" in summed.text


def test_an_owner_is_looked_up_once_a_conversation(session: psycopg.Connection) -> None:
    """Looked up for each answer, or by reading all sessions, a day would cost a multiple."""
    reading = READINGS["tokens_of_window"].encode()
    plan = Plan.of(
        session.execute(b"explain (analyze, verbose, format json) " + reading, binds(DAY)).fetchone()
    )
    (lookup,) = plan.on("conversation_sessions")
    assert lookup["Index Name"] == "conversation_sessions_conversation_id_key"
    assert "conversation_id =" in lookup["Index Cond"]
    groups = session.execute(
        "select count(distinct (event.conversation_id, event.user_id, event.agent_id)), count(*)"
        " from usage.token_events(%(window_start)s, %(window_end)s) event",
        binds(DAY),
    ).fetchone()
    assert groups == (50, 800)
    assert lookup["Actual Loops"] == 50


def test_the_statement_of_a_day_scans_no_table_of_the_application(history: Warehouse) -> None:
    """What a plan shows may differ from what runs; the session's own counters tell what ran."""
    tokens_of(Grain.DAILY).ensure_partitions(history, DAY, DAY)
    with history.begin(Role.WRITER) as connection:
        before = scans(connection)
        engine.run(connection, ORDER)
        spent = {table: (count - before[table]) for table, count in scans(connection).items()}
        connection.rollback()
    assert spent["chat_messages_v2", "sequential"] == spent["conversation_sessions", "sequential"] == 0
    assert spent["chat_messages_v2", "by index"] > 0
    assert spent["conversation_sessions", "by index"] == 50


ORDER: Final = engine.Order(TOKENS, TOKENS.grain("tokens_daily"), DAY, "test")


def scans(connection: sa.Connection) -> Counter[tuple[str, str]]:
    """How often this session has begun to scan each table of the application."""
    rows = connection.execute(
        sa.text(
            "select relname, seq_scan, idx_scan from pg_catalog.pg_stat_xact_user_tables"
            " where schemaname = 'public'"
        )
    )
    found: Counter[tuple[str, str]] = Counter()
    for table, sequential, by_index in rows:
        found[table, "sequential"], found[table, "by index"] = sequential, by_index or 0
    return found


def test_a_day_costs_the_same_however_long_the_history(server: Server) -> None:
    """Five years on, the run of one day must still touch the pages of one day."""
    touched = []
    with cloned(server, TEMPLATE) as database:
        warehouse = Warehouse(server.url(database))
        newest, days = NEWEST, 10
        for _ in range(3):
            oldest = days_before(newest, days)
            write_history(server, database, oldest, days)
            fill(warehouse, oldest, newest)
            with server.connect(database) as connection:
                connection.execute("analyze")
            buffers_of_a_day(warehouse)
            touched.append(buffers_of_a_day(warehouse))
            newest, days = oldest - timedelta(days=1), (NEWEST - oldest).days + 1
        warehouse.dispose()
    assert days == 40
    assert max(touched) <= 1.1 * min(touched), touched


def fill(warehouse: Warehouse, first: date, last: date) -> None:
    """Compute these days, so that stored rows grow with the history too."""
    days = list(windows(Grain.DAILY, first, last))
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, days[0], days[-1])
    for day in days:
        tokens_of(Grain.DAILY).compute(warehouse, day, "test")


def buffers_of_a_day(warehouse: Warehouse) -> int:
    """What a second run of the newest day touches, in pages; it writes nothing."""
    looking = sa.text(EXPLAIN + statements.read("engine.sql", "look_at_period"))
    writing = replace(ORDER.family, ORDER.grain, Shape(is_raw=True)).compile(warehouse.engine(Role.WRITER))
    seen = {
        "family": "tokens", "rollup": "tokens_daily", "starts": DAY.start, "ends": DAY.end, "below": None,
        "below_unit": None,
    }  # fmt: skip
    bound = writing.construct_params(
        {"window_start": DAY.start, "window_end": DAY.end, "covered_until": DAY.end}, _check=False
    )
    with warehouse.begin(Role.WRITER) as connection:
        rows = [
            connection.execute(looking, seen).one(),
            connection.exec_driver_sql(EXPLAIN + str(writing), bound).one(),
        ]
    return sum(Plan.of(tuple(row)).buffers for row in rows)


MANY_USERS = """
with person as (insert into auth.users (id, email)
  select gen_random_uuid(), number || '@example.com' from generate_series(1, 5000) number returning id)
insert into public.conversation_sessions (id, conversation_id, user_id)
select gen_random_uuid(), gen_random_uuid(), person.id from person
"""
THEIR_ANSWERS = """
insert into public.chat_messages_v2 (id, conversation_id, sender_agent_id, role, content, created_at)
select gen_random_uuid(), session.conversation_id, gen_random_uuid(), 'assistant', '{}', %s
from public.conversation_sessions session
"""


def test_a_day_of_many_users_is_read_again_a_moment_later(server: Server, database: str) -> None:
    """Before anything is analyzed, each user would be compared with every other: minutes, at 20,000."""
    with server.connect(database, embedded.LOGIN) as chat:
        chat.execute(MANY_USERS)
        chat.execute(THEIR_ANSWERS, [DAY.start])
    warehouse = Warehouse(server.url(database))
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAY, DAY)
    written = []
    for _ in range(2):
        with warehouse.begin(Role.WRITER) as connection:
            statements.run(connection, "warehouse.sql", "limit_time", milliseconds=5000)
            ran = engine.run(connection, ORDER)
            written.append((ran.inserted, ran.updated, ran.deleted))
    warehouse.dispose()
    assert written == [(5000, 0, 0), (0, 0, 0)]
