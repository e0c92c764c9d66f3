"""Weeks, months and years: from what stands below, up to the first gap, sealed in the end."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from usage_pipeline.periods.calendar import Grain, window, windows
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups.rollup import Outcome
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import BY_GRAIN, Chat, set_clock, set_policy, tokens_of

START = date(2025, 12, 24)


def run(warehouse: Warehouse, grain: Grain, first: date, last: date | None = None) -> list[Outcome]:
    """A range of one grain, period by period."""
    rollup = BY_GRAIN[grain]
    asked = list(windows(grain, first, last or first))
    rollup.ensure_partitions(warehouse, asked[0], asked[-1])
    return [rollup.compute(warehouse, each, "test") for each in asked]


@pytest.fixture
def clock(chat: Chat, warehouse: Warehouse) -> Any:
    """Sets what time it is; the first day is fixed and the grace a week."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=START, grace_days=7)

    def to(day: date, hour: int = 12) -> None:
        set_clock(chat.connection, datetime(day.year, day.month, day.day, hour, tzinfo=UTC))

    return to


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 9, tzinfo=UTC)


def fill(chat: Chat, user: UUID, days: Sequence[date], conversation: UUID | None = None) -> None:
    session = chat.session(user_id=user, conversation_id=conversation)
    for day in days:
        chat.answer(at=at(day), conversation_id=session.conversation_id)


def test_the_ladder_of_the_database_is_this_one(warehouse: Warehouse) -> None:
    """It is written down twice: a rung that only one side knows would be computed by nobody."""
    with warehouse.begin(Role.READER) as connection:
        found = connection.exec_driver_sql(
            "select rollup, stored_as, below, family from usage_private.ladder()"
        ).fetchall()
    assert [tuple(row) for row in found] == [
        (each.name, each.grain.value, each.level.below, each.family.name) for each in BY_GRAIN.values()
    ]


def test_new_year(chat: Chat, warehouse: Warehouse, clock: Any) -> None:
    """A week that straddles New Year holds both years' days; a conversation is one at every grain."""
    clock(date(2026, 1, 6))
    user = chat.user()
    days = [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 5)]
    fill(chat, user, days)
    run(warehouse, Grain.DAILY, START, date(2026, 1, 6))
    (week,) = run(warehouse, Grain.WEEKLY, date(2026, 1, 1))
    assert (week.entry.state, week.entry.covered_until) == ("open", window(Grain.WEEKLY, days[0]).end)
    assert week.entry.totals["message_count"] == 3
    assert week.entry.totals["conversation_count"] == 1
    december, january = run(warehouse, Grain.MONTHLY, days[0], days[-1])
    assert [each.entry.totals["message_count"] for each in (december, january)] == [2, 2]
    assert january.entry.covered_until == datetime(2026, 1, 6, 12, tzinfo=UTC)
    old, new = run(warehouse, Grain.YEARLY, days[0], days[-1])
    assert [each.entry.totals["message_count"] for each in (old, new)] == [2, 2]
    assert new.entry.covered_until == january.entry.covered_until
    assert [each.changed for each in run(warehouse, Grain.WEEKLY, days[0])] == [0]


def test_a_gap(chat: Chat, warehouse: Warehouse, clock: Any) -> None:
    """A period that is over waits for all of its days; the current one says how far it is whole."""
    clock(date(2026, 1, 20))
    fill(chat, chat.user(), [date(2026, 1, 10), date(2026, 1, 12), date(2026, 1, 19), date(2026, 1, 20)])
    run(warehouse, Grain.DAILY, START, date(2026, 1, 11))
    run(warehouse, Grain.DAILY, date(2026, 1, 13), date(2026, 1, 20))
    with pytest.raises(Refusal, match="never computed of tokens_daily: 2026-01-12"):
        run(warehouse, Grain.WEEKLY, date(2026, 1, 12))
    (month,) = run(warehouse, Grain.MONTHLY, date(2026, 1, 12))
    assert month.entry.covered_until == window(Grain.DAILY, date(2026, 1, 12)).start
    assert month.entry.totals["message_count"] == 1


def test_sealing(chat: Chat, warehouse: Warehouse, clock: Any, server: Server, database: str) -> None:
    """A day seals when its grace is over; what grows later is restated, what shrinks is kept."""
    day = date(2026, 1, 10)
    user = chat.user()
    fill(chat, user, [day])
    clock(date(2026, 1, 18) - timedelta(days=1), 23)
    assert run(warehouse, Grain.DAILY, day)[0].entry.state == "open"
    clock(date(2026, 1, 18), 0)
    assert run(warehouse, Grain.DAILY, day)[0].entry.state == "sealed"
    fill(chat, user, [day])
    (grown,) = run(warehouse, Grain.DAILY, day)
    assert (grown.updated, grown.entry.totals["message_count"]) == (1, 2)
    chat.connection.execute("delete from public.chat_messages_v2")
    (kept,) = run(warehouse, Grain.DAILY, day)
    assert (kept.changed, kept.entry.source_rows, kept.entry.kept_rows) == (0, 0, 2)
    outcome = tokens_of(Grain.DAILY).compute(
        warehouse, window(Grain.DAILY, day), "t", intent="accept", reason="gone"
    )
    assert (outcome.deleted, outcome.entry.totals["message_count"], outcome.entry.kept_rows) == (1, 0, 0)
    with server.connect(database) as connection:
        reasons = connection.execute(
            "select reason, before is null, after is null from usage.restatements"
        ).fetchall()
    assert reasons == [("the source has more", False, False), ("gone", False, True)]
