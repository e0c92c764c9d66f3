"""The verification sees what is wrong at any grain, in a row or in the ledger, and says where."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Final

import pytest
from sqlalchemy import Connection

from usage_pipeline.demo import loading, oracle, story, verification
from usage_pipeline.demo.story import Story
from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned

pytestmark = pytest.mark.once
LAST_DAY: Final = date(2026, 1, 9)  # a Friday: its week, month and year are not over
NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
ROWS: Final = """
insert into usage.user_token_usage (
  period_type, period_start, period_end, user_id, total_prompt_tokens, total_completion_tokens, total_tokens,
  message_count, unmetered_message_count, refused_message_count, conversation_count, agent_ids,
  conversation_ids, last_activity
)
select
  %(period_type)s, %(start)s, %(end)s, user_id, total_prompt_tokens, total_completion_tokens, total_tokens,
  message_count, unmetered_message_count, refused_message_count, cardinality(conversation_ids), agent_ids,
  case when %(period_type)s in ('daily', 'monthly') then conversation_ids end, last_activity
from usage_private.tokens_of_window(%(start)s, %(end)s, null)
"""
LEDGER: Final = """
insert into usage.rollup_ledger (
  rollup, period_start, period_end,
  source_rows, states
)
select
  'tokens_' || %(period_type)s, %(start)s, %(end)s, sum(message_count),
  jsonb_build_object(
    'unattributed',
    coalesce(sum(message_count) filter (where user_id = '00000000-0000-0000-0000-000000000000'), 0),
    'total_only', sum(total_only_message_count), 'unmetered', sum(unmetered_message_count),
    'refused', sum(refused_message_count))
from usage_private.tokens_of_window(%(start)s, %(end)s, null)
"""
ORDERED: Final = """
select id, period_start from usage.user_token_usage
where period_type = %(period_type)s order by period_start, user_id
"""
STATES: Final = ("unattributed", "total_only", "unmetered", "refused")
WRONGS: Final = {
    "a number": "update usage.user_token_usage set total_tokens = total_tokens + 1 where id = %(id)s",
    "an agent": "update usage.user_token_usage set agent_ids = agent_ids || user_id where id = %(id)s",
    "conversations kept or not": (
        "update usage.user_token_usage set conversation_ids = case when conversation_ids is null"
        " then array[user_id] end where id = %(id)s"
    ),
    "a missing row": "delete from usage.user_token_usage where id = %(id)s",
    "a row too many": (
        "insert into usage.user_token_usage (period_type, period_start, period_end, user_id)"
        " select period_type, period_start, period_end, id from usage.user_token_usage where id = %(id)s"
    ),
    "source rows": "update usage.rollup_ledger set source_rows = source_rows + 1"
    " where rollup = %(rollup)s and period_start = %(period_start)s",
    **{
        state: "update usage.rollup_ledger set"  # noqa: S608
        f" states = states || jsonb_build_object('{state}', (states ->> '{state}')::bigint + 1)"
        " where rollup = %(rollup)s and period_start = %(period_start)s"
        for state in STATES
    },
}


@pytest.fixture(scope="module")
def told() -> Story:
    """It begins on a Sunday and ends on a Friday of the next year."""
    return story.tell(LAST_DAY, 13)


@pytest.fixture(scope="module")
def warehouse(server: Server, told: Story) -> Iterator[Warehouse]:
    """Every grain filled from raw by the rollup's own statement; a test takes back what it spoils."""
    with cloned(server, TEMPLATE) as database:
        with server.connect(database, embedded.LOGIN) as application:
            loading.load(application, told)
            loading.load_late(application, told)
        found = Warehouse(server.url(database))
        with found.begin(Role.WRITER) as connection:
            for grain in oracle.GRAINS:
                fill(connection, grain, told)
        yield found
        found.dispose()


def fill(connection: Connection, grain: Grain, told: Story) -> None:
    periods = list(windows(grain, told.first_day, told.last_day))
    statements.run(
        connection, "rollups.sql", "ensure_partitions",
        period_type=grain.value, first=periods[0].start, until=periods[-1].end,
    )  # fmt: skip
    for period in periods:
        binds = {"period_type": grain.value, "start": period.start, "end": period.end}
        connection.exec_driver_sql(ROWS, binds)
        connection.exec_driver_sql(LEDGER, binds)


@contextmanager
def spoiled(warehouse: Warehouse, grain: Grain, place: int, wrong: str) -> Iterator[Connection]:
    """A transaction in which one row of the first or last period is wrong, and which is taken back."""
    with warehouse.begin(Role.WRITER) as connection:
        rows = connection.exec_driver_sql(ORDERED, {"period_type": grain.value}).mappings().all()
        with connection.begin_nested() as savepoint:
            done = connection.exec_driver_sql(wrong, {**rows[place], "rollup": f"tokens_{grain}"})
            assert done.rowcount == 1
            yield connection
            savepoint.rollback()


def test_what_is_right_has_no_difference(warehouse: Warehouse, told: Story) -> None:
    """Periods in which the story begins and ends hold its days and nothing else."""
    with warehouse.begin(Role.READER) as connection:
        assert verification.difference(connection, told, now=NOW) is None


@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("grain", oracle.GRAINS)
def test_what_is_wrong_is_named(
    warehouse: Warehouse, told: Story, grain: Grain, place: int, wrong: str
) -> None:
    """A period at the edge of the story is where a window one day too short would look away."""
    with spoiled(warehouse, grain, place, WRONGS[wrong]) as connection:
        found = verification.difference(connection, told, now=NOW)
    assert found is not None
    assert found.startswith(f"tokens_{grain} ")


def test_only_the_grains_asked_for_are_compared(warehouse: Warehouse, told: Story) -> None:
    """Who has not filled the months must not be told that they are wrong."""
    with spoiled(warehouse, Grain.MONTHLY, 0, WRONGS["a number"]) as connection:
        others = set(oracle.GRAINS) - {Grain.MONTHLY}
        assert verification.difference(connection, told, now=NOW, grains=others) is None
        assert verification.difference(connection, told, now=NOW, grains={Grain.MONTHLY}) is not None
