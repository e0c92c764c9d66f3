"""Ranges over any days, in any order, on several connections: always what one run a day gives."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from usage_pipeline.demo import oracle, verification
from usage_pipeline.periods.calendar import Grain, Window, window, windows
from usage_pipeline.rollups import ranges
from usage_pipeline.rollups.ranges import Done
from usage_pipeline.rollups.rollup import Outcome
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import tokens_of
from usage_pipeline_tests.rollups.test_tokens import versions
from usage_pipeline_tests.sources.conftest import opened
from usage_pipeline_tests.sources.reading import Source
from usage_pipeline_tests.sources.test_supabase_chat_properties import METADATA

pytestmark = pytest.mark.command

FIRST: Final = date(2026, 2, 20)
LAST: Final = date(2026, 3, 10)  # a change of month between them: two partitions
NOW: Final = datetime(2026, 5, 1, tzinfo=UTC)
DAYS: Final = st.dates(FIRST, LAST)
CLOCK: Final = st.one_of(st.sampled_from((time(0), time(23, 59, 59, 999_999))), st.times())
USERS: Final = tuple(UUID(int=number) for number in range(1, 5))
CONVERSATIONS: Final = tuple(UUID(int=number) for number in range(21, 29))
MESSAGES: Final = st.lists(
    st.tuples(METADATA, DAYS, CLOCK, st.sampled_from(CONVERSATIONS)), min_size=1, max_size=60
)
OWNERS: Final = st.dictionaries(st.sampled_from(CONVERSATIONS), st.sampled_from((None, *USERS)))
RANGES: Final = st.lists(
    st.tuples(DAYS, DAYS).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=5
)
Messages = list[tuple[str | None, date, time, UUID]]
EVERYTHING: Final = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def source(server: Server) -> Iterator[Source]:
    """One database for all examples; each begins with empty tables."""
    with opened(server) as found:
        found.chat.connection.execute("insert into auth.users (id) select unnest(%s::uuid[])", [list(USERS)])
        yield found


def begin(source: Source, messages: Messages, owners: dict[UUID, UUID | None]) -> None:
    """The application holds this and nothing is computed."""
    source.chat.connection.execute("truncate public.chat_messages_v2, public.conversation_sessions")
    source.chat.messages.clear()
    source.chat.sessions.clear()
    forget(source)
    with source.chat.connection.transaction():
        for conversation_id, user_id in owners.items():
            source.chat.session(conversation_id=conversation_id, user_id=user_id)
        write(source, messages)


def write(source: Source, messages: Messages) -> None:
    for raw, day, clock, conversation_id in messages:
        at = datetime.combine(day, clock.replace(tzinfo=UTC))
        source.chat.answer(None, raw_metadata=raw, at=at, conversation_id=conversation_id)


def delete(source: Source, count: int) -> None:
    """The oldest of what was written is gone."""
    for message in source.chat.messages[:count]:
        source.chat.connection.execute("delete from public.chat_messages_v2 where id = %s", [message.id])
    del source.chat.messages[:count]


def forget(source: Source) -> None:
    with source.server.connect(source.database) as connection:
        connection.execute("truncate usage.user_token_usage, usage.rollup_ledger")


def run(warehouse: Warehouse, first: date, last: date, connections: int = 1) -> list[Outcome]:
    """A range as the asset runs it."""
    asked = list(windows(Grain.DAILY, first, last))
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, asked[0], asked[-1])
    ended = list(
        ranges.run(
            asked,
            lambda each: tokens_of(Grain.DAILY).compute(warehouse, each, "test"),
            connections=connections,
        )
    )
    assert [each for each in ended if not isinstance(each, Done)] == []
    return [each.result for each in ended if isinstance(each, Done)]


def stored(source: Source) -> dict[tuple[date, UUID], oracle.Period]:
    with source.warehouse.begin(Role.READER) as connection:
        return verification.stored_periods(connection, Grain.DAILY, EVERYTHING)


def ledger(source: Source) -> list[dict[str, Any]]:
    """What the ledger says of every day, but for who wrote it and when."""
    rows = source.rows("select to_jsonb(ledger) as row from usage.rollup_ledger ledger order by period_start")
    unlike = {"run_id", "computed_at", "duration_ms"}
    return [{name: value for name, value in each["row"].items() if name not in unlike} for each in rows]


def hours(source: Source) -> dict[str, list[int]]:
    """How many answers came in each hour of each day."""
    found = {str(day): [0] * 24 for day in days_of([(FIRST, LAST)])}
    for message in source.chat.messages:
        if message.created_at is not None:
            found[str(message.created_at.date())][message.created_at.hour] += 1
    return found


def expected(source: Source, days: set[date]) -> dict[tuple[date, UUID], oracle.Period]:
    rows = oracle.tokens(Grain.DAILY, source.chat.messages, source.chat.sessions, now=NOW)
    return {key: row for key, row in rows.items() if key[0] in days}


def days_of(asked: Sequence[tuple[date, date]]) -> set[date]:
    return {one.start.date() for first, last in asked for one in windows(Grain.DAILY, first, last)}


@pytest.mark.slow
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a failure names the rows that differ; shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    messages=MESSAGES,
    late=MESSAGES,
    owners=OWNERS,
    asked=RANGES,
    connections=st.integers(1, 3),
    data=st.data(),
)
def test_ranges_in_any_order_are_the_days_one_by_one(
    source: Source,
    messages: Messages,
    late: Messages,
    owners: dict[UUID, UUID | None],
    asked: list[tuple[date, date]],
    connections: int,
    data: st.DataObject,
) -> None:
    """What depends on the order, on the neighbours or on how many work at once is no fact about a day."""
    warehouse = Warehouse(source.server.url(source.database), connections=connections)
    try:
        begin(source, messages, owners)
        for first, last in asked:
            run(warehouse, first, last, connections)
        assert stored(source) == expected(source, days_of(asked))
        with source.chat.connection.transaction():
            write(source, late)
            delete(source, data.draw(st.integers(0, len(messages))))
        for first, last in data.draw(st.permutations([*asked, (FIRST, LAST)])):
            run(warehouse, first, last, connections)
        by_ranges, told = stored(source), ledger(source)
        assert {row["period_start"][:10]: row["hourly_rows"] for row in told} == hours(source)
        assert by_ranges == expected(source, days_of([(FIRST, LAST)]))
        before = versions(source.server, source.database)
        assert sum(outcome.changed for outcome in run(warehouse, FIRST, LAST, connections)) == 0
        assert versions(source.server, source.database) == before, "a run that changes nothing writes nothing"
        forget(source)
        for day in data.draw(st.permutations(sorted(days_of([(FIRST, LAST)])))):
            run(warehouse, day, day)
        assert (stored(source), ledger(source)) == (by_ranges, told)
    finally:
        warehouse.dispose()


@pytest.mark.parametrize("seed", range(4))
def test_two_runs_of_overlapping_ranges_give_the_result_of_one(source: Source, seed: int) -> None:
    """Two that meet on a day must neither wait for each other in a circle nor mix what they read."""
    rng = random.Random(seed)  # noqa: S311
    messages: Messages = [
        (
            f'{{"tokens": {rng.randrange(1000)}}}',
            FIRST + timedelta(days=rng.randrange(19)),
            time(rng.randrange(24)),
            rng.choice(CONVERSATIONS),
        )
        for _ in range(400)
    ]
    begin(source, messages, dict(zip(CONVERSATIONS, (*USERS, None) * 2, strict=False)))
    middle = FIRST + timedelta(days=rng.randrange(3, 12))
    halves = ((FIRST, middle + timedelta(days=4)), (middle, LAST))
    both = [Warehouse(source.server.url(source.database), connections=2) for _ in halves]
    try:
        with ThreadPoolExecutor(2) as pool:
            running = [
                pool.submit(run, warehouse, *half, 2) for warehouse, half in zip(both, halves, strict=True)
            ]
            outcomes = [outcome for each in running for outcome in each.result(60)]
    finally:
        for warehouse in both:
            warehouse.dispose()
    assert stored(source) == expected(source, days_of([(FIRST, LAST)]))
    assert sum(outcome.inserted for outcome in outcomes) == len(stored(source)), "no row is written twice"
    assert sum(outcome.updated + outcome.deleted for outcome in outcomes) == 0


def test_the_oldest_days_come_first(source: Source) -> None:
    """Where a range breaks off, what is missing is its end, not a hole somewhere."""
    begin(source, [], {})
    seen: list[Window] = []
    asked = list(windows(Grain.DAILY, FIRST, LAST))
    list(ranges.run(asked, seen.append, connections=1))
    assert seen == asked == sorted(asked)
    assert seen[0] == window(Grain.DAILY, FIRST)
