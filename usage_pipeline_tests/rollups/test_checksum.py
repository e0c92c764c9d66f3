"""The checksum of stored rows: every number is in it, their order is not, and every server says the same."""

from collections.abc import Iterator

import psycopg
import pytest

from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role

CHANGES = (
    "total_prompt_tokens = total_prompt_tokens + 1",
    "total_completion_tokens = total_completion_tokens + 1",
    "total_tokens = total_tokens + 1",
    "message_count = message_count + 1",
    "unmetered_message_count = 1",
    "refused_message_count = 1",
    "conversation_count = conversation_count + 1",
    "agent_ids = agent_ids || md5('another')::uuid",
    "conversation_ids = conversation_ids || md5('another')::uuid",
    "conversation_ids = null",
    "last_activity = last_activity + interval '1 microsecond'",
    "user_id = md5('another')::uuid",
)
ROW = """
insert into usage.user_token_usage (
  period_type, period_start, period_end, user_id, total_prompt_tokens, total_completion_tokens, total_tokens,
  message_count, conversation_count, agent_ids, conversation_ids, last_activity
)
values (
  'daily', '2026-03-04Z', '2026-03-05Z', md5(%(name)s)::uuid, 10, 5, 15, 2, 1, array[md5('agent')::uuid],
  array[md5('conversation')::uuid], '2026-03-04 12:00:00.000001Z'
)"""


@pytest.fixture
def writer(warehouse: Warehouse, server: Server, database: str) -> Iterator[psycopg.Connection]:
    """A day with a row of each of two users."""
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute(f"set role {Role.WRITER}".encode())
        connection.execute("select usage_private.ensure_partitions('daily', '2026-03-04Z', '2026-03-05Z')")
        for name in ("Ada", "Grace"):
            connection.execute(ROW, {"name": name})
        yield connection


def checksum(writer: psycopg.Connection) -> str:
    row = writer.execute(
        "select checksum from usage_private.stored_of_period('tokens_daily', '2026-03-04Z', '2026-03-05Z')"
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_every_server_says_the_same(writer: psycopg.Connection) -> None:
    """What another version computed would look altered: a rule that changes must change its name too."""
    assert checksum(writer) == "v2:9100217408614978594"
    writer.execute("delete from usage.user_token_usage")
    assert checksum(writer) == "v2:0"


def test_the_order_of_rows_is_not_in_it(writer: psycopg.Connection) -> None:
    before = checksum(writer)
    writer.execute("delete from usage.user_token_usage where user_id = md5('Ada')::uuid")
    assert checksum(writer) != before
    writer.execute(ROW, {"name": "Ada"})
    assert checksum(writer) == before


@pytest.mark.parametrize("change", CHANGES)
def test_every_number_is_in_it(writer: psycopg.Connection, change: str) -> None:
    """A number that no checksum holds could be altered without a word."""
    before = checksum(writer)
    text = f"update usage.user_token_usage set {change} where user_id = md5('Ada')::uuid"  # noqa: S608
    writer.execute(text.encode())
    assert checksum(writer) != before
