"""A story in a real database: what is stored is what the oracle says, before and after the late batch."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from usage_pipeline.demo import loading, story, verification
from usage_pipeline.demo.story import Story
from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import tokens_of

pytestmark = pytest.mark.command

LAST_DAY = date(2026, 3, 31)
NOW = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def told() -> Story:
    return story.tell(LAST_DAY, 35)


@pytest.fixture
def connection(server: Server, database: str, told: Story) -> Iterator[psycopg.Connection]:
    """The application with the story in it, short of what is late."""
    with server.connect(database, embedded.LOGIN) as connection:
        loading.load(connection, told)
        yield connection


def compute(warehouse: Warehouse, first_day: date, last_day: date) -> int:
    """Run every day of a range; how many rows changed."""
    days = [first_day + timedelta(days=offset) for offset in range((last_day - first_day).days + 1)]
    periods = [window(Grain.DAILY, day) for day in days]
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, periods[0], periods[-1])
    return sum(tokens_of(Grain.DAILY).compute(warehouse, period, "test").changed for period in periods)


def difference(warehouse: Warehouse, told: Story, now: datetime = NOW) -> str | None:
    with warehouse.begin(Role.READER) as connection:
        return verification.difference(connection, told, now=now, grains=[Grain.DAILY])


def column(connection: psycopg.Connection, query: bytes, *binds: object) -> Sequence[object]:
    return [row[0] for row in connection.execute(query, binds)]


def test_the_late_batch_changes_its_days_alone(
    warehouse: Warehouse, connection: psycopg.Connection, told: Story
) -> None:
    """What the demo does, and what it would miss without the second backfill."""
    offline = told.chapter("offline")
    assert offline is not None
    assert compute(warehouse, told.first_day, told.last_day) > 35
    assert not loading.is_late_there(connection, told)
    loading.load_late(connection, told)
    assert loading.is_late_there(connection, told)
    before = difference(warehouse, told)
    assert before is not None
    assert repr(offline.first_day) in before
    assert compute(warehouse, offline.first_day, offline.last_day) >= 3
    assert difference(warehouse, told) is None
    assert compute(warehouse, told.first_day, told.last_day) == 0


def test_a_demo_that_was_interrupted_goes_on(
    warehouse: Warehouse, connection: psycopg.Connection, told: Story
) -> None:
    """Killed after the late batch came in: it must not come twice, and the next backfill finds it."""
    loading.load_late(connection, told)
    assert loading.is_late_there(connection, told)
    with pytest.raises(psycopg.errors.UniqueViolation):
        loading.load_late(connection, told)
    compute(warehouse, told.first_day, told.last_day)
    assert difference(warehouse, told) is None


def test_a_late_message_says_when_it_came_in(connection: psycopg.Connection, told: Story) -> None:
    """Its time is days ago, its change is now: only so can anybody tell that it is late."""
    loading.load_late(connection, told)
    late = [message.id for message in told.late_messages]
    query = b"select id from public.chat_messages_v2 where updated_at > created_at order by created_at, id"
    assert set(column(connection, query)) == set(late)


def test_the_aggregate_still_lists_the_deleted_agent(
    warehouse: Warehouse, connection: psycopg.Connection, told: Story
) -> None:
    compute(warehouse, told.first_day, told.last_day)
    known = column(connection, b"select id from public.agents")
    stored = column(connection, b"select distinct unnest(agent_ids) from usage.user_token_usage")
    assert len(known) == 4
    assert len(set(stored) - set(known)) == 1


def test_a_session_outlives_its_agent(connection: psycopg.Connection) -> None:
    """`on delete set null`, as in the application: the story has deleted one in the same way."""
    query = b"select id from public.conversation_sessions where agent_id is null"
    before = column(connection, query)
    connection.execute(b"delete from public.agents")
    assert 0 < len(before) < len(column(connection, query))


def test_a_story_is_told_from_another(connection: psycopg.Connection, told: Story) -> None:
    """A demo of an earlier version would be called wrong, row by row."""
    assert loading.is_there(connection, told)
    assert not loading.is_there(connection, story.tell(LAST_DAY, 36))
    assert not loading.is_there(connection, story.tell(LAST_DAY + timedelta(days=1), 35))
    assert loading.is_late_there(connection, story.tell(LAST_DAY, 1))


def test_a_later_start_adds_the_days_since(
    warehouse: Warehouse, connection: psycopg.Connection, told: Story
) -> None:
    """What was there stays, row by row, and nothing comes twice, whenever it is started."""
    since = LAST_DAY + timedelta(days=1)
    loading.load_late(connection, told)
    rows = b"select xmin::text, id from public.chat_messages_v2 order by id"
    sessions = b"select xmin::text, id from public.conversation_sessions order by id"
    before = {*connection.execute(rows).fetchall(), *connection.execute(sessions).fetchall()}
    assert loading.load_since(connection, told, since) == 0
    for ahead, added in ((3, 3), (3, 0), (8, 5)):
        later = story.continued(told, LAST_DAY + timedelta(days=ahead))
        assert loading.load_since(connection, later, since) == added
        assert loading.is_there(connection, told)
    after = {*connection.execute(rows).fetchall(), *connection.execute(sessions).fetchall()}
    assert before < after
    compute(warehouse, later.first_day, later.last_day)
    assert difference(warehouse, later, NOW + timedelta(days=8)) is None
