"""Any start, any history, any order of periods and grains: in the end every column is the oracle's."""

import random
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import pytest

from usage_pipeline.demo import oracle
from usage_pipeline.periods.calendar import Window, windows
from usage_pipeline.rollups import ranges
from usage_pipeline.rollups.ranges import Done
from usage_pipeline.rollups.rollup import Outcome, Rollup
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import BY_GRAIN, Chat, set_clock, set_policy
from usage_pipeline_tests.rollups.test_tokens import versions

pytestmark = pytest.mark.once
ROLLUPS: Final = tuple(BY_GRAIN.values())
COLUMNS: Final = (
    "total_prompt_tokens", "total_completion_tokens", "total_tokens", "message_count", "conversation_count",
    "agent_ids", "last_activity", "unmetered_message_count", "refused_message_count", "conversation_ids",
)  # fmt: skip
METADATA: Final[tuple[Any, ...]] = (
    {"tokens": 7}, {"tokens": -1}, {}, None,
    {"processingDetails": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
)  # fmt: skip
Rows = dict[tuple[str, date, UUID], dict[str, Any]]


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_runs_ends_at_the_oracle(
    server: Server, database: str, chat: Chat, warehouse: Warehouse, seed: int
) -> None:
    """What depends on the order, on the start or on how many work at once is no fact about a period."""
    rng = random.Random(seed)  # noqa: S311
    first = date(rng.choice((2020, 2024, 2025)), 12, 14) + timedelta(days=rng.randrange(12))
    last = date(first.year + 1, 1, 1) + timedelta(days=rng.randrange(1, 40))
    now = datetime(last.year, last.month, last.day, 12, tzinfo=UTC)
    with server.connect(database) as master:
        set_clock(master, now)
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=first, grace_days=rng.choice((7, 3650)))
    write(chat, rng, first, now)
    work = [(rollup, each) for rollup in ROLLUPS for each in windows(rollup.grain, first, last)]
    settle(warehouse, rng, work)
    assert stored(server, database) == expected(chat, now)
    before = versions(server, database)
    settle(warehouse, rng, work)
    assert versions(server, database) == before


def write(chat: Chat, rng: random.Random, first: date, now: datetime) -> None:
    """Conversations and agents that go on over months and New Year, some of nobody."""
    users, agents = [chat.user() for _ in range(3)], [chat.agent() for _ in range(2)]
    owners = [*users, users[0], None, None]
    sessions = [chat.session(user_id=user, agent_id=rng.choice((None, *agents))) for user in owners]
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    for _ in range(150):
        at = start + rng.random() * (now - start)
        chat.answer(rng.choice(METADATA), at=at, conversation_id=rng.choice(sessions).conversation_id)


def settle(warehouse: Warehouse, rng: random.Random, work: list[tuple[Rollup, Window]]) -> None:
    """Every period in any order on two connections; what is refused is tried again."""
    todo = rng.sample(work, len(work))
    for rollup, each in todo:
        rollup.ensure_partitions(warehouse, each, each)
    for _ in range(5):
        refused: list[tuple[Rollup, Window]] = []
        while todo:
            rollup = todo[0][0]
            batch = [each for other, each in todo[: rng.randrange(1, 20)] if other is rollup]
            todo = [item for item in todo if item[0] is not rollup or item[1] not in batch]
            compute = partial(compute_one, warehouse, rollup)
            for ended in ranges.run(batch, compute, connections=2):
                if not isinstance(ended, Done):
                    refused.append((rollup, ended.window))
        todo = rng.sample(refused, len(refused))
        if not todo:
            break
    assert todo == []
    for rollup in ROLLUPS[1:]:  # the current ones were computed up to the first gap of their moment
        for other, each in work:
            if other is rollup:
                compute_one(warehouse, rollup, each)


def compute_one(warehouse: Warehouse, rollup: Rollup, each: Window) -> Outcome:
    return rollup.compute(warehouse, each, "test")


def stored(server: Server, database: str) -> Rows:
    with server.connect(database) as connection:
        names = ", ".join(COLUMNS)
        query = "select period_type, period_start, user_id, {names} from usage.user_token_usage"
        rows = connection.execute(query.replace("{names}", names).encode()).fetchall()
    return {
        (grain, start.date(), user): dict(zip(COLUMNS, values, strict=True))
        for grain, start, user, *values in rows
    }


def expected(chat: Chat, now: datetime) -> Rows:
    """What plain Python makes of the raw answers, grain by grain."""
    grains = [rollup.grain for rollup in ROLLUPS]
    found = oracle.everything(chat.messages, chat.sessions, now=now, grains=grains)
    return {
        (grain.value, day, user): {name: plain(getattr(row, name)) for name in COLUMNS}
        for grain, computed in found.items()
        for (day, user), row in computed.periods.items()
    }


def plain(value: object) -> object:
    """As the driver gives it: an array is a list."""
    return list(value) if isinstance(value, tuple) else value
