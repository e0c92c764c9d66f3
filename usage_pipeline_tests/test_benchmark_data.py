"""The data of the benchmark: the same on every build, and as a chat application has them."""

from datetime import date

import pytest

from benchmarks.world import data
from benchmarks.world.data import Shape, Size
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import cloned

SIZE = Size(date(2025, 10, 25), day_count=4, conversations_per_day=40, users=60)


def built(server: Server, shape: Shape, text: str) -> tuple[object, ...]:
    with cloned(server, "template1") as name, server.connect(name, embedded.LOGIN) as connection:
        data.fill(connection, shape, SIZE)
        row = connection.execute(text.encode()).fetchone()
        assert row is not None
        return row


@pytest.mark.parametrize("shape", list(Shape))
def test_every_build_holds_the_same_rows(server: Server, shape: Shape) -> None:
    """Numbers of two machines can only be compared if they were measured on the same rows."""
    text = """
        select md5(string_agg(message::text, '' order by message.created_at, message.id)), count(*),
          (select md5(string_agg(session::text, '' order by session.id)) from conversation_sessions session)
        from chat_messages_v2 message"""
    first = built(server, shape, text)
    assert first == built(server, shape, text)
    assert first[1] != 0


def test_both_shapes_tell_the_same_answers(server: Server) -> None:
    text = """
        select count(*), md5(string_agg(
          concat(id, conversation_id, sender_agent_id, created_at, metadata -> 'tokens'), '' order by id))
        from chat_messages_v2 where role = 'assistant'"""
    assert built(server, Shape.DOCUMENTED, text) == built(server, Shape.LLM_CALLS, text)


@pytest.mark.parametrize("shape", list(Shape))
def test_an_answer_is_as_in_life(server: Server, shape: Shape) -> None:
    """No user on the row, an agent, and 0.7 to 1.5 kB of JSON in the one shape."""
    text = """
        select
          count(sender_user_id), count(*) - count(sender_agent_id),
          bool_and(octet_length(metadata::text) between 700 and 1500),
          count(*) filter (where metadata -> 'processingDetails' ? 'total_tokens') * 1.0 / count(*),
          count(*) filter (where metadata -> 'processingDetails' ? 'llm_calls') * 1.0 / count(*)
        from chat_messages_v2 where role = 'assistant'"""
    documented = int(shape is Shape.DOCUMENTED)
    assert built(server, shape, text) == (0, 0, True, documented, 1 - documented)


def test_rows_stand_in_the_order_of_their_instants(server: Server) -> None:
    """A day scattered over the table would make every walk over the time index dearer than in life."""
    text = "select correlation from pg_stats where tablename = 'chat_messages_v2' and attname = 'created_at'"
    (correlation,) = built(server, Shape.DOCUMENTED, text)
    assert isinstance(correlation, float)
    assert correlation > 0.99
