"""What a range will cost, told before: counted where that is quick, estimated where it is not."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import planning
from usage_pipeline.rollups.rollup import Span
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, Chat, tokens_of
from usage_pipeline_tests.rollups.test_tokens import run

DAYS = Span.holding(tokens_of(Grain.DAILY), NOON.date(), NOON.date() + timedelta(days=6))


def plan(warehouse: Warehouse, patience_ms: int = 5000) -> planning.Plan:
    return planning.make(warehouse, [DAYS], patience_ms=patience_ms)


def test_before_anything_was_computed_there_is_no_estimate(chat: Chat, warehouse: Warehouse) -> None:
    chat.answer()
    made = plan(warehouse)
    (part,) = made.parts
    assert (len(part.span.windows), part.computed, part.finished) == (7, 0, 0)
    assert (made.source_rows, made.is_counted) == (1, True)
    assert made.seconds is None
    assert (made.ahead_count, made.ahead_until) == (0, None)


def test_the_estimate_follows_the_last_runs(chat: Chat, warehouse: Warehouse) -> None:
    """10 ms a day and 2 ms an answer: seven days with 90 answers are 250 ms, on two connections half."""
    with chat.connection.transaction():
        for number in range(90):
            chat.answer(at=NOON + timedelta(days=number % 7))
    for day in range(7):
        run(warehouse, NOON.date() + timedelta(days=day))
    with warehouse.begin(Role.WRITER) as connection:
        connection.execute(sa.text("update usage.rollup_ledger set duration_ms = 10 + 2 * source_rows"))
    made = plan(warehouse)
    assert [part.computed for part in made.parts] == [7]
    assert made.at_once == 2
    assert made.seconds == pytest.approx((7 * 10 + 90 * 2) / 1000 / 2)


def test_what_days_cost_long_ago_does_not_count(warehouse: Warehouse) -> None:
    """The table got its index meanwhile: the last two hundred days tell what a day costs now."""
    with warehouse.begin(Role.WRITER) as connection:
        connection.execute(
            sa.text(
                "insert into usage.rollup_ledger (rollup, period_start, period_end, source_rows, duration_ms,"
                " computed_at) select 'tokens_daily', day, day + interval '1 day', 0,"
                " case when number <= 200 then 9000 else 30 end,"
                " timestamptz '2026-01-01Z' + number * interval '1 s'"
                " from generate_series(1, 400) number"
                " cross join lateral (select timestamptz '2020-01-01Z' + number * interval '1 day') at (day)"
            )
        )
    assert plan(warehouse).seconds == pytest.approx(7 * 0.03 / 2)


def test_one_run_is_enough_for_an_estimate(chat: Chat, warehouse: Warehouse) -> None:
    """A line through one point has no slope."""
    chat.answer()
    run(warehouse)
    with warehouse.begin(Role.WRITER) as connection:
        connection.execute(sa.text("update usage.rollup_ledger set duration_ms = 500"))
    chat.answer(at=NOON + timedelta(days=1))
    assert plan(warehouse).seconds == pytest.approx(2 * 0.5 / 2)


def test_days_without_answers_cost_something_too(warehouse: Warehouse) -> None:
    run(warehouse)
    with warehouse.begin(Role.WRITER) as connection:
        connection.execute(sa.text("update usage.rollup_ledger set duration_ms = 40"))
    assert plan(warehouse).seconds == pytest.approx(7 * 0.04 / 2)


def test_what_takes_too_long_to_count_is_estimated(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """A plan must not take as long as the work it is about."""
    chat.connection.execute(
        "insert into public.chat_messages_v2"
        " (id, conversation_id, sender_agent_id, role, content, metadata, created_at)"
        " select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'assistant', '{}', '{}',"
        " %s + number * interval '1 second' from generate_series(1, 50000) number",
        [NOON],
    )
    chat.connection.execute("analyze public.chat_messages_v2")
    made = plan(warehouse, patience_ms=1)
    assert not made.is_counted
    assert made.source_rows == pytest.approx(50_000, rel=0.1)
    assert plan(warehouse).source_rows == 50_000
