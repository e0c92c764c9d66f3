"""What a restatement costs on the disk."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import psycopg

from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import Chat, set_clock, set_policy, tokens_of

DAY: Final = window(Grain.DAILY, date(2026, 1, 10))
CONVERSATIONS: Final = 10_000


def test_a_late_message_of_a_busy_user_costs_little(
    chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """Both arrays whole, 30 late messages a night once wrote 9.6 MB."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=DAY.start.date(), grace_days=7)
    set_clock(chat.connection, DAY.end + timedelta(days=8))
    user = chat.user()
    superuser.execute(
        "insert into public.chat_messages_v2 (id, conversation_id, sender_user_id, role, content, metadata,"
        " created_at) select gen_random_uuid(), gen_random_uuid(), %s, 'assistant', '{}',"
        " '{\"tokens\": 1}', %s from generate_series(1, %s)",
        [user, datetime(2026, 1, 10, 9, tzinfo=UTC), CONVERSATIONS],
    )
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAY, DAY)
    assert tokens_of(Grain.DAILY).compute(warehouse, DAY, "first").entry.state == "sealed"
    late = chat.answer(
        {"tokens": 1}, at=DAY.start, sender_user_id=user, conversation_id=chat.session().conversation_id
    )
    assert tokens_of(Grain.DAILY).compute(warehouse, DAY, "late").updated == 1
    ((before, after, size),) = superuser.execute(
        "select before, after, pg_column_size(restated.*) from usage.restatements restated"
    ).fetchall()
    assert (before["conversation_count"], after["conversation_count"]) == (CONVERSATIONS, CONVERSATIONS + 1)
    assert (before["conversation_ids"], after["conversation_ids"]) == ([], [str(late.conversation_id)])
    assert size < 1200
