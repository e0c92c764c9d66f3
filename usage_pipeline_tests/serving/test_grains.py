"""Weeks, months and years as they are stored: their lines, their totals, and how far they are computed."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.serving import lines, periods, tokens
from usage_pipeline.serving.tokens import Coverage
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import Chat, set_policy
from usage_pipeline_tests.serving.history import START, History, prune_days

NEW_YEAR = [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 5)]
"""Three days of 2026-W01, which begins on 2025-12-29, and one of 2026-W02."""
TODAY = date(2026, 1, 14)


@pytest.fixture
def history(chat: Chat, warehouse: Warehouse) -> History:
    found = History(chat, warehouse)
    found.clock(TODAY)
    return found


def covered(history: History, grain: Grain, first: date, last: date) -> Coverage:
    with history.warehouse.begin(Role.READER) as connection:
        return tokens.coverage(connection, first, last, grain=grain, begins=START)


def total(history: History, grain: Grain, first: date, last: date, user: UUID | None = None) -> int | None:
    with history.warehouse.begin(Role.READER) as connection:
        return lines.conversation_count(connection, user, first, last, grain=grain)


def test_lines_of_weeks(history: History) -> None:
    """The newest first; in each the biggest first and nobody last."""
    ada, grace = history.chat.user("Ada"), history.chat.user("Grace")
    history.answers(NEW_YEAR, user=ada)
    history.answers([*NEW_YEAR[3:], date(2026, 1, 6)], user=grace)
    history.answers([date(2026, 1, 5)] * 3)
    history.compute_all(TODAY)
    with history.warehouse.begin(Role.READER) as connection:
        found = lines.by_user(connection, NEW_YEAR[0], NEW_YEAR[3], grain=Grain.WEEKLY)
        assert [(line.period, line.label, line.messages, line.total_tokens) for line in found] == [
            (date(2026, 1, 5), "Grace", 2, 30),
            (date(2026, 1, 5), "Ada", 1, 15),
            (date(2026, 1, 5), "(unattributed)", 3, 45),
            (date(2025, 12, 29), "Ada", 3, 45),
        ]
        mine = lines.by_period(connection, ada, NEW_YEAR[0], NEW_YEAR[3], grain=Grain.WEEKLY)
    assert [(line.label, line.messages, line.conversations) for line in mine] == [
        ("2026-W01", 3, 1), ("2026-W02", 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grain", "expected"),
    [
        (Grain.WEEKLY, [("2026-W01", 3), ("2026-W02", 1)]),
        (Grain.MONTHLY, [("2025-12", 2), ("2026-01", 2)]),
        (Grain.YEARLY, [("2025", 2), ("2026", 2)]),
    ],
)
def test_what_is_stored_is_read(
    history: History, server: Server, database: str, grain: Grain, expected: list[tuple[str, int]]
) -> None:
    """A coarser period outlives its days: it is read from its own rows."""
    ada = history.chat.user("Ada")
    history.answers(NEW_YEAR, user=ada)
    history.compute_all(TODAY)
    with server.connect(database) as connection:
        prune_days(connection, START, TODAY)
    with history.warehouse.begin(Role.READER) as connection:
        found = lines.by_period(connection, ada, START, TODAY, grain=grain)
    assert [(line.label, line.messages) for line in found] == expected
    assert [line.conversations for line in found] == [1, 1]


@pytest.mark.parametrize(
    ("grain", "several"), [(Grain.WEEKLY, None), (Grain.MONTHLY, 2), (Grain.YEARLY, None)]
)
def test_conversations_of_a_total(history: History, grain: Grain, several: int | None) -> None:
    """One conversation of two users in two periods is one, not four; where nobody knows, nothing is said."""
    ada, grace = history.chat.user("Ada"), history.chat.user("Grace")
    shared = uuid4()
    for user in (ada, grace):
        history.answers([date(2025, 12, 25), date(2026, 1, 6)], user=user, conversation=shared)
    history.answers([date(2026, 1, 6)], user=ada)
    history.compute_all(TODAY)
    assert total(history, grain, date(2026, 1, 6), date(2026, 1, 6)) == 2
    assert total(history, grain, date(2026, 1, 6), date(2026, 1, 6), ada) == 2
    assert total(history, grain, date(2025, 12, 25), date(2026, 1, 6)) == several
    assert total(history, grain, date(2025, 12, 25), date(2026, 1, 6), grace) == (several and 1)


def test_conversations_that_users_share_are_unknown_without_their_days(
    history: History, server: Server, database: str
) -> None:
    """The users' counts add up to more than there are: with the days their ids are gone."""
    for user in (history.chat.user(), history.chat.user()):
        history.answers([date(2026, 1, 6)], user=user, conversation=UUID(int=7))
    history.answers([date(2026, 1, 7)], user=history.chat.user(), conversation=UUID(int=7))
    history.compute_all(TODAY)
    assert total(history, Grain.WEEKLY, date(2026, 1, 6), date(2026, 1, 6)) == 1
    with server.connect(database) as connection:
        prune_days(connection, date(2026, 1, 6), date(2026, 1, 6))
    assert total(history, Grain.WEEKLY, date(2026, 1, 6), date(2026, 1, 6)) is None


def test_conversations_of_days_that_changed_since_are_not_those_of_their_week(history: History) -> None:
    for user in (history.chat.user(), history.chat.user()):
        history.answers([date(2026, 1, 13)], user=user)
    history.compute_all(TODAY)
    history.answers([date(2026, 1, 13)], user=history.chat.user())
    history.compute(Grain.DAILY, date(2026, 1, 13))
    assert total(history, Grain.WEEKLY, TODAY, TODAY) is None
    history.compute(Grain.WEEKLY, TODAY)
    assert total(history, Grain.WEEKLY, TODAY, TODAY) == 3
    history.chat.connection.execute("update public.chat_messages_v2 set conversation_id = %s", [uuid4()])
    history.compute(Grain.DAILY, date(2026, 1, 13))
    assert total(history, Grain.WEEKLY, TODAY, TODAY) is None, "as many messages, but not the same"


def test_an_open_period_is_partial_up_to_its_clock(history: History) -> None:
    history.compute_all(TODAY)
    for grain, start in (
        (Grain.WEEKLY, date(2026, 1, 12)), (Grain.MONTHLY, date(2026, 1, 1)),
        (Grain.YEARLY, date(2026, 1, 1)),
    ):  # fmt: skip
        found = covered(history, grain, START, TODAY)
        assert (found.partial, found.missing, found.stale) == ((start,), (), ())
        assert found.as_of == datetime(2026, 1, 14, 12, tzinfo=UTC)
        assert not found.is_complete
        over = covered(history, grain, START, START)
        assert over.is_complete, "what lies before the first day is empty"


def test_a_gap_of_the_current_month(history: History) -> None:
    """A month with a hole looks like any other: it says up to where it is whole."""
    history.compute(Grain.DAILY, START, date(2026, 1, 8))
    history.compute(Grain.DAILY, date(2026, 1, 10), TODAY)
    history.compute(Grain.MONTHLY, TODAY)
    found = covered(history, Grain.MONTHLY, START, TODAY)
    assert found.missing == (date(2025, 12, 1),)
    assert found.partial == (date(2026, 1, 1),)
    assert found.as_of == datetime(2026, 1, 9, tzinfo=UTC)


def test_what_lies_before_the_first_day_is_no_gap(history: History) -> None:
    found = covered(history, Grain.WEEKLY, date(2025, 12, 1), date(2025, 12, 31))
    assert found.missing == (date(2025, 12, 22), date(2025, 12, 29))
    assert (found.first, found.last) == (date(2025, 12, 1), date(2026, 1, 4))


def test_sealed_periods(history: History) -> None:
    history.compute_all(TODAY)
    assert covered(history, Grain.WEEKLY, START, TODAY).sealed == (date(2025, 12, 22), date(2025, 12, 29))
    assert covered(history, Grain.WEEKLY, START, TODAY).computed_count == 4


def test_kept_messages_climb(history: History) -> None:
    """A week holds what its sealed days keep, though it was never read from the source itself."""
    history.answers([date(2025, 12, 25)] * 2, user=history.chat.user())
    history.compute_all(TODAY)
    assert covered(history, Grain.WEEKLY, START, START).kept_messages == 0
    history.chat.connection.execute("delete from public.chat_messages_v2")
    history.compute(Grain.DAILY, date(2025, 12, 25))
    for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY):
        found = covered(history, grain, START, date(2025, 12, 25))
        assert found.kept_messages == 2, grain
        assert found.is_complete, grain


def test_kept_messages_of_a_week_without_days(history: History, server: Server, database: str) -> None:
    history.answers([date(2025, 12, 25)] * 2, user=history.chat.user())
    history.compute_all(TODAY)
    with server.connect(database) as connection:
        prune_days(connection, START, date(2025, 12, 31))
    history.chat.connection.execute("delete from public.chat_messages_v2")
    (outcome,) = history.compute(Grain.WEEKLY, START)
    assert outcome.entry.kept_rows == 2
    assert covered(history, Grain.WEEKLY, START, START).kept_messages == 2


def test_what_is_older_than_its_days(history: History) -> None:
    """A late message that only its day knows: week and month are wrong, and the year through its month."""
    history.compute_all(TODAY)
    late = date(2026, 1, 12)
    history.answers([late], user=history.chat.user())
    history.compute(Grain.DAILY, late)
    week, month, year = (
        covered(history, grain, late, late) for grain in (Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
    )
    assert (week.stale, week.stale_grains) == ((late,), (Grain.WEEKLY,))
    assert (month.stale, month.stale_grains) == ((date(2026, 1, 1),), (Grain.MONTHLY,))
    assert (year.stale, year.stale_grains) == ((date(2026, 1, 1),), (Grain.MONTHLY,))
    history.compute(Grain.WEEKLY, late)
    assert covered(history, Grain.WEEKLY, late, late).stale == ()
    history.compute(Grain.MONTHLY, late)
    assert covered(history, Grain.YEARLY, late, late).stale_grains == (Grain.YEARLY,)
    history.compute(Grain.YEARLY, late)
    assert covered(history, Grain.YEARLY, late, late).stale == ()


def test_a_first_day_that_moved_back(history: History) -> None:
    """What was whole for the days there were is not for those there are: sealed, it looked complete."""
    history.compute_all(TODAY)
    week, year = (covered(history, grain, START, START) for grain in (Grain.WEEKLY, Grain.YEARLY))
    assert (week.stale, year.stale) == ((), ())
    earlier = calendar.floor(Grain.WEEKLY, START)
    assert earlier < START, "the first day lies within a week"
    with history.warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=earlier, grace_days=7)
    week, year = (covered(history, grain, START, START) for grain in (Grain.WEEKLY, Grain.YEARLY))
    assert (week.stale, week.is_complete) == ((earlier,), False)
    assert year.stale_grains == (Grain.MONTHLY,), "the year lacks nothing itself; its month does"
    for day in windows(Grain.DAILY, earlier, START - timedelta(days=1)):
        history.compute(Grain.DAILY, day.start.date())
    assert covered(history, Grain.WEEKLY, START, START).stale == (earlier,), "now it is older than its days"
    history.compute(Grain.WEEKLY, START)
    assert covered(history, Grain.WEEKLY, START, START).stale == ()


def test_a_late_message_makes_a_closed_week_incomplete(history: History) -> None:
    history.compute_all(TODAY)
    late = date(2026, 1, 6)
    assert covered(history, Grain.WEEKLY, late, late).is_complete
    history.answers([late], user=history.chat.user())
    history.compute(Grain.DAILY, late)
    assert not covered(history, Grain.WEEKLY, late, late).is_complete


def test_pruned_days_are_not_days_without_usage(history: History, server: Server, database: str) -> None:
    history.answers([date(2025, 12, 25)], user=history.chat.user())
    history.compute_all(TODAY)
    with server.connect(database) as connection:
        prune_days(connection, START, date(2025, 12, 31))
    found = covered(history, Grain.DAILY, START, START + timedelta(days=1))
    assert (found.pruned, found.missing) == ((START, START + timedelta(days=1)), ())
    assert not found.is_complete
    week = covered(history, Grain.WEEKLY, START, START)
    assert week.is_complete, "what is pruned makes nothing above it older"


def test_a_period_by_its_name() -> None:
    """The year of a week is that of its Thursday; with the calendar's year two weeks would share a name."""
    names = [
        (Grain.WEEKLY, date(2025, 12, 29), "2026-W01"), (Grain.WEEKLY, date(2026, 12, 28), "2026-W53"),
        (Grain.WEEKLY, date(2021, 1, 1), "2020-W53"), (Grain.MONTHLY, date(2026, 10, 5), "2026-10"),
        (Grain.YEARLY, date(2026, 10, 5), "2026"), (Grain.DAILY, date(2026, 10, 5), "2026-10-05"),
    ]  # fmt: skip
    assert [(grain, day, periods.label(grain, day)) for grain, day, _ in names] == names


def test_a_person_is_known_by_a_year_alone(history: History, server: Server, database: str) -> None:
    """Somebody without a name whose days are gone can still be asked for."""
    from usage_pipeline.serving import people

    unnamed = uuid4()
    history.answers([date(2025, 12, 25)], user=unnamed)
    history.compute_all(TODAY)
    with server.connect(database) as connection:
        prune_days(connection, START, date(2025, 12, 31))
    with history.warehouse.begin(Role.READER) as connection:
        assert people.person(connection, str(unnamed)).user_id == unnamed
