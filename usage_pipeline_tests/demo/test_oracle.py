"""The oracle at every grain, by cases a person can count: what it gets wrong, nothing else would find."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final
from uuid import UUID, uuid4

import pytest

from usage_pipeline.demo import oracle
from usage_pipeline.demo.application import Message, Session
from usage_pipeline.demo.oracle import GRAINS, NOBODY, Counts, Period
from usage_pipeline.periods.calendar import Grain

NOW: Final = datetime(2027, 6, 1, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)
FIRST_TALK, SECOND_TALK = UUID(int=15), UUID(int=16)  # a set of them comes in the other order
WRITER, CODER = UUID(int=23), UUID(int=24)
NEW_YEAR: Final = (  # one conversation over three days of one week, of two months and of two years
    datetime(2025, 12, 30, 9, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
)


def answer(
    at: datetime,
    *,
    user_id: UUID | None = ADA,
    agent_id: UUID | None = None,
    conversation_id: UUID = FIRST_TALK,
    metadata: object = None,
) -> Message:
    """An answer of 10 + 5 tokens, unless it says otherwise."""
    reported = {"processingDetails": {"prompt_tokens": 10, "completion_tokens": 5}}
    metadata = reported if metadata is None else metadata
    return Message(uuid4(), conversation_id, user_id, agent_id, "assistant", metadata, at)


def noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def periods(
    grain: Grain, messages: Iterable[Message], sessions: Iterable[Session] = ()
) -> dict[tuple[date, UUID], Period]:
    return oracle.tokens(grain, messages, sessions, now=NOW)


def message_counts(
    grain: Grain, messages: Iterable[Message], user_id: UUID = ADA
) -> dict[tuple[int, int, int], int]:
    """How many answers a user has, by the first day of each period."""
    return {
        (day.year, day.month, day.day): row.message_count
        for (day, owner), row in periods(grain, messages).items()
        if owner == user_id
    }


def test_the_grains_are_those_of_tokens() -> None:
    assert GRAINS == (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
    with pytest.raises(KeyError):
        oracle.tokens(Grain.HOURLY, [], [], now=NOW)


@pytest.mark.parametrize(
    ("grain", "expected"),
    [
        (Grain.DAILY, {(2025, 12, 30): 1, (2025, 12, 31): 1, (2026, 1, 1): 1}),
        (Grain.WEEKLY, {(2025, 12, 29): 3}),
        (Grain.MONTHLY, {(2025, 12, 1): 2, (2026, 1, 1): 1}),
        (Grain.YEARLY, {(2025, 1, 1): 2, (2026, 1, 1): 1}),
    ],
)
def test_a_week_holds_two_months_and_two_years(
    grain: Grain, expected: dict[tuple[int, int, int], int]
) -> None:
    """Cut at New Year, the week would lose what belongs to it; the year would gain what does not."""
    assert message_counts(grain, map(answer, NEW_YEAR)) == expected


@pytest.mark.parametrize(
    ("instant", "monday"),
    [
        (datetime(2020, 12, 27, 23, 59, 59, 999_999, tzinfo=UTC), (2020, 12, 21)),  # 52 of 2020
        (datetime(2020, 12, 28, tzinfo=UTC), (2020, 12, 28)),  # 53 of 2020
        (datetime(2021, 1, 3, 23, 59, 59, 999_999, tzinfo=UTC), (2020, 12, 28)),
        (datetime(2021, 1, 4, tzinfo=UTC), (2021, 1, 4)),  # 1 of 2021
        (datetime(2027, 1, 1, tzinfo=UTC), (2026, 12, 28)),  # 53 of 2026
        (datetime(2024, 2, 29, tzinfo=UTC), (2024, 2, 26)),
    ],
)
def test_a_week_begins_on_its_monday(instant: datetime, monday: tuple[int, int, int]) -> None:
    """Week 53 lies in two years and belongs to neither number: only its Monday names it."""
    assert message_counts(Grain.WEEKLY, [answer(instant)]) == {monday: 1}


@pytest.mark.parametrize(
    ("grain", "first_day"),
    [
        (Grain.DAILY, (2026, 1, 1)),
        (Grain.WEEKLY, (2025, 12, 29)),
        (Grain.MONTHLY, (2026, 1, 1)),
        (Grain.YEARLY, (2026, 1, 1)),
    ],
)
def test_a_period_is_of_utc(grain: Grain, first_day: tuple[int, int, int]) -> None:
    """Half past eight on the last evening in New York is the new year already."""
    new_york = timezone(timedelta(hours=-5))
    assert message_counts(grain, [answer(datetime(2025, 12, 31, 20, 30, tzinfo=new_york))]) == {first_day: 1}


@pytest.mark.parametrize(
    ("grain", "expected"),
    [
        (
            Grain.DAILY,
            {
                date(2025, 12, 28): (1, 1, 1), date(2025, 12, 29): (1, 2, 2), date(2025, 12, 30): (1, 1, 1),
                date(2026, 1, 5): (1, 1, 1), date(2026, 2, 1): (1, 1, 1),
            },
        ),
        (
            Grain.WEEKLY,
            {
                date(2025, 12, 22): (1, 1, 1), date(2025, 12, 29): (2, 2, 3),
                date(2026, 1, 5): (1, 1, 1), date(2026, 1, 26): (1, 1, 1),
            },
        ),
        (
            Grain.MONTHLY,
            {
                date(2025, 12, 1): (2, 2, 4), date(2026, 1, 1): (1, 1, 1), date(2026, 2, 1): (1, 1, 1),
            },
        ),
        (Grain.YEARLY, {date(2025, 1, 1): (2, 2, 4), date(2026, 1, 1): (2, 1, 2)}),
    ],
)  # fmt: skip
def test_what_spans_periods_is_counted_once_in_each(
    grain: Grain, expected: dict[date, tuple[int, int, int]]
) -> None:
    """Conversations and agents of the days, added up, would be too many in all that is longer than a day."""
    messages = [
        answer(noon(2025, 12, 28), agent_id=WRITER),
        answer(noon(2025, 12, 29), agent_id=WRITER),
        answer(noon(2025, 12, 29), agent_id=CODER),
        answer(noon(2025, 12, 30), agent_id=CODER, conversation_id=SECOND_TALK),
        answer(noon(2026, 1, 5), agent_id=WRITER),
        answer(noon(2026, 2, 1), agent_id=WRITER, conversation_id=SECOND_TALK),
    ]
    found = {
        day: (row.conversation_count, len(row.agent_ids), row.message_count)
        for (day, _), row in periods(grain, messages).items()
    }
    assert found == expected


@pytest.mark.parametrize(
    ("grain", "conversation_ids"),
    [
        (Grain.DAILY, (FIRST_TALK, SECOND_TALK)),
        (Grain.WEEKLY, None),
        (Grain.MONTHLY, (FIRST_TALK, SECOND_TALK)),
        (Grain.YEARLY, None),
    ],
)
def test_a_whole_row(grain: Grain, conversation_ids: tuple[UUID, ...] | None) -> None:
    """Ids stand sorted, and conversations only where a coarser grain is made from them."""
    messages = [
        answer(noon(2026, 1, 1), agent_id=CODER, conversation_id=SECOND_TALK),
        answer(noon(2026, 1, 1) + timedelta(hours=1), agent_id=WRITER, metadata={"tokens": 100}),
        answer(noon(2026, 1, 1) - timedelta(hours=1), agent_id=WRITER, metadata={"tokens": -1}),
        answer(noon(2026, 1, 1) - timedelta(hours=2), metadata={}),
    ]
    (row,) = periods(grain, messages).values()
    assert row == Period(
        total_prompt_tokens=10,
        total_completion_tokens=5,
        total_tokens=115,
        message_count=4,
        conversation_count=2,
        agent_ids=(WRITER, CODER),
        last_activity=noon(2026, 1, 1) + timedelta(hours=1),
        unmetered_message_count=1,
        refused_message_count=1,
        conversation_ids=conversation_ids,
    )


@pytest.mark.parametrize("grain", GRAINS)
def test_a_user_stands_where_there_was_an_answer(grain: Grain) -> None:
    """One who came once has one row at each grain: no empty row in the periods of others."""
    messages = [
        answer(noon(2025, 6, 2)),
        answer(noon(2026, 6, 2), user_id=BOB),
        answer(noon(2026, 6, 2)),
    ]
    found = periods(grain, messages)
    assert [user for _, user in found].count(BOB) == 1
    assert [user for _, user in found].count(ADA) == 2
    assert {row.message_count for row in found.values()} == {1}


@pytest.mark.parametrize("grain", GRAINS)
def test_nobody_has_a_row_too(grain: Grain) -> None:
    """Tokens that belong to nobody known are real at every grain; whose session it is decides."""
    sessions = [
        Session(uuid4(), FIRST_TALK, None, WRITER, None),
        Session(uuid4(), SECOND_TALK, ADA, CODER, None),
    ]
    messages = [
        answer(noon(2026, 6, 2), user_id=None),
        answer(noon(2026, 6, 2), user_id=None, conversation_id=SECOND_TALK),
        answer(noon(2026, 6, 2), user_id=None, conversation_id=UUID(int=17)),
    ]
    found = {user: row for (_, user), row in periods(grain, messages, sessions).items()}
    assert {
        user: (row.message_count, row.conversation_count, row.agent_ids) for user, row in found.items()
    } == {
        NOBODY: (2, 2, (WRITER,)),
        ADA: (1, 1, (CODER,)),
    }
    (counts,) = oracle.counts(grain, messages, sessions, now=NOW).values()
    assert (counts.source_rows, counts.unattributed_rows) == (3, 2)


@pytest.mark.parametrize(
    ("grain", "expected"),
    [
        (
            Grain.DAILY,
            {
                date(2025, 12, 31): Counts(2, 1, 1, 1, 0, 0), date(2026, 1, 1): Counts(1, 0, 0, 0, 1, 0),
                date(2026, 1, 5): Counts(1, 0, 0, 0, 0, 1),
            },
        ),
        (
            Grain.WEEKLY,
            {date(2025, 12, 29): Counts(3, 1, 1, 1, 1, 0), date(2026, 1, 5): Counts(1, 0, 0, 0, 0, 1)},
        ),
        (
            Grain.MONTHLY,
            {date(2025, 12, 1): Counts(2, 1, 1, 1, 0, 0), date(2026, 1, 1): Counts(2, 0, 0, 0, 1, 1)},
        ),
        (
            Grain.YEARLY,
            {date(2025, 1, 1): Counts(2, 1, 1, 1, 0, 0), date(2026, 1, 1): Counts(2, 0, 0, 0, 1, 1)},
        ),
    ],
)  # fmt: skip
def test_counts_are_of_the_period(grain: Grain, expected: dict[date, Counts]) -> None:
    messages = [
        answer(noon(2025, 12, 31), user_id=None),
        answer(noon(2025, 12, 31), metadata={"tokens": 7}),
        answer(noon(2026, 1, 1), user_id=BOB, metadata={}),
        answer(noon(2026, 1, 5), metadata={"tokens": "many"}),
    ]
    assert oracle.counts(grain, messages, [], now=NOW) == expected


@pytest.mark.parametrize("grain", GRAINS)
def test_what_belongs_to_no_period(grain: Grain) -> None:
    """One clock that ran wrong would open a year of its own."""
    instants = [
        datetime(1999, 12, 31, 23, 59, tzinfo=UTC),
        NOW + timedelta(days=1) - timedelta(microseconds=1),
        NOW + timedelta(days=1),
    ]
    messages = [*map(answer, instants), replace(answer(noon(2026, 6, 2)), created_at=None)]
    messages.append(replace(answer(noon(2026, 6, 2)), role="user"))
    (row,) = periods(grain, messages).values()
    assert (row.message_count, row.last_activity) == (1, instants[1])


@pytest.mark.parametrize("grains", [[Grain.WEEKLY], [Grain.YEARLY, Grain.DAILY], GRAINS])
def test_everything_is_each_grain_alone(grains: Sequence[Grain]) -> None:
    """One reading of the answers serves all grains: what one of them does must not show in another."""
    messages = [answer(at, agent_id=agent) for at in NEW_YEAR for agent in (WRITER, CODER)]
    found = oracle.everything(iter(messages), iter([]), now=NOW, grains=grains)
    assert list(found) == list(grains)
    for grain, computed in found.items():
        assert computed.periods == periods(grain, messages)
        assert computed.counts == oracle.counts(grain, messages, [], now=NOW)
