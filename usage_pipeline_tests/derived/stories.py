"""Histories that chance would take long to find, each around one rule."""

from datetime import date, timedelta
from typing import Final

from usage_pipeline.periods.calendar import Grain
from usage_pipeline_tests.derived import rungs
from usage_pipeline_tests.derived.history import History
from usage_pipeline_tests.derived.oracle import Said, State, Why
from usage_pipeline_tests.derived.rows import Answer, Owner, Usage
from usage_pipeline_tests.derived.world import AGENTS, CONVERSATIONS, USERS, World, noon

CHRISTMAS_EVE: Final = date(2025, 12, 24)
WEEK: Final = rungs.of(Grain.WEEKLY, CHRISTMAS_EVE)
FIVE: Final = Usage(3, 2, 5, "reported")
SEVEN: Final = Usage(4, 1, 7, "reported")


def begun(world: World, *days: date, now: date) -> History:
    """One answer at noon of each day, and the first of them the first day."""
    history = History(world, days[0], noon(now))
    history.add(*(Answer(CONVERSATIONS[0], Owner(None, AGENTS[0]), noon(day), FIVE) for day in days))
    return history


def settled(world: World, *days: date) -> History:
    """The same in January, with everything sealed that can be."""
    history = begun(world, *days, now=date(2026, 1, 9))
    history.night()
    return history


def a_week_waits_for_its_days(world: World) -> None:
    """Two of its days were last run within their grace: the week's own is over, and it stays open."""
    history = begun(world, CHRISTMAS_EVE, now=date(2025, 12, 29))
    for day in WEEK.below[2:]:
        history.run(day)
    history.clock(noon(date(2026, 1, 5)))
    history.run(WEEK)
    history.compare()
    history.settle()


def a_call_reads_no_further_than_the_run(world: World) -> None:
    """Else a reader would count the hours between twice: in the row, and in the tail above it."""
    history = begun(world, CHRISTMAS_EVE, now=CHRISTMAS_EVE)
    day = rungs.of(Grain.DAILY, CHRISTMAS_EVE)
    history.clock(noon(CHRISTMAS_EVE) + timedelta(hours=1))
    history.run(day)
    history.clock(noon(CHRISTMAS_EVE) + timedelta(hours=3))
    history.add(
        Answer(CONVERSATIONS[0], Owner(None, AGENTS[0]), noon(CHRISTMAS_EVE) + timedelta(hours=2), SEVEN)
    )
    history.call(day, USERS[0])
    history.compare()
    history.reads_as_true()


def a_loss_accepted_below_climbs(world: World) -> None:
    """Week, month and year follow the day without a second word."""
    history = settled(world, CHRISTMAS_EVE)
    day = rungs.of(Grain.DAILY, CHRISTMAS_EVE)
    history.delete(lambda answer: True)
    assert history.run(day) == Said("computed")
    history.compare()
    assert history.restate(day, None, accept=True) == Said("computed", deleted=1)
    history.settle()
    assert not any(entry.rows for entry in history.oracle.entries.values())


def a_large_day_is_halved_by_acceptance_alone(world: World) -> None:
    """Four messages are large here: three are deleted, and neither a run nor a night makes the day one."""
    history = begun(world, CHRISTMAS_EVE, now=date(2025, 12, 26))
    day = rungs.of(Grain.DAILY, CHRISTMAS_EVE)
    history.add(*(
        Answer(CONVERSATIONS[0], Owner(None, AGENTS[0]), noon(CHRISTMAS_EVE) + timedelta(hours=hour), FIVE)
        for hour in range(1, 4)
    ))  # fmt: skip
    assert history.run(day) == Said("computed", inserted=1)
    history.delete(lambda answer: answer.at > noon(CHRISTMAS_EVE))
    assert history.run(day) is Why.LOSES_MOST
    assert history.call(day, USERS[0]) is Why.LOSES_MOST
    assert history.restate(day, USERS[0], accept=True) is Why.IS_NOT_SEALED
    history.clock(noon(date(2026, 1, 9)))
    history.night()
    assert history.oracle.state(day) is State.OPEN
    assert history.restate(day, None, accept=True) == Said("computed", updated=1)
    history.compare()
    assert history.oracle.state(day) is State.SEALED
    assert len(history.oracle.restated) == 1
    history.settle()


def a_large_day_is_not_halved_user_by_user(world: World) -> None:
    """One call leaves half; the next would compare with what the first has left."""
    history = begun(world, CHRISTMAS_EVE, now=date(2025, 12, 26))
    day = rungs.of(Grain.DAILY, CHRISTMAS_EVE)
    history.add(*(
        Answer(CONVERSATIONS[0], Owner(user, None), noon(CHRISTMAS_EVE) + timedelta(hours=hour), FIVE)
        for user in USERS
        for hour in range(1, 3)
    ))  # fmt: skip
    assert isinstance(history.run(day), Said)
    history.delete(lambda answer: True)
    assert [history.call(day, user) for user in USERS] == [Why.LOSES_MOST, Why.LOSES_MOST]
    history.compare()


def a_row_as_long_as_before_may_grow(world: World) -> None:
    """No more messages than were stored, and more tokens: nothing would be lost."""
    history = settled(world, CHRISTMAS_EVE)
    history.write({
        number: answer._replace(usage=SEVEN) for number, answer in history.oracle.answers.items()
    })  # fmt: skip
    assert history.run(rungs.of(Grain.DAILY, CHRISTMAS_EVE)) == Said("computed", updated=1)
    history.settle()


def a_sealed_week_is_not_rebuilt_from_an_open_day(world: World) -> None:
    """The start was moved and the clock set back: a day of it mirrors its source again, and may shrink."""
    history = settled(world, CHRISTMAS_EVE)
    day = CHRISTMAS_EVE - timedelta(days=1)
    history.start(day)
    history.clock(noon(CHRISTMAS_EVE))
    history.run(rungs.of(Grain.DAILY, day))
    assert history.run(WEEK) is Why.IS_OPEN_BELOW
    history.compare()


def a_day_older_than_a_pruned_month_comes_in_with_its_week(world: World) -> None:
    """The start was moved into a month that is gone: the day cannot be run, and nothing waits for it."""
    history = settled(world, date(2025, 12, 29), date(2026, 1, 1))
    history.prune(rungs.of(Grain.MONTHLY, date(2025, 12, 29)), Grain.DAILY)
    day = date(2025, 12, 28)
    history.start(day)
    history.add(Answer(CONVERSATIONS[1], Owner(None, AGENTS[0]), noon(day), FIVE))
    assert history.run(rungs.of(Grain.DAILY, day)) == Said("pruned")
    assert history.run(rungs.of(Grain.WEEKLY, day)) == Said("computed", inserted=1)
    history.settle()


def a_day_that_was_only_called_is_a_gap(world: World) -> None:
    """One user's row is not the day: the week is whole up to it, and no further."""
    history = begun(world, CHRISTMAS_EVE, now=CHRISTMAS_EVE)
    for day in WEEK.below[2:4]:
        history.clock(noon(day.first))
        history.call(day, USERS[0])
    assert history.run(WEEK) == Said("computed")
    history.compare()
    history.settle()


def an_open_day_before_the_horizon_seals_as_it_stands(world: World) -> None:
    """Its raw rows are gone before its grace was over; the first run of a session finds it."""
    history = begun(world, CHRISTMAS_EVE, now=CHRISTMAS_EVE)
    day = rungs.of(Grain.DAILY, CHRISTMAS_EVE)
    history.clock(noon(CHRISTMAS_EVE) + timedelta(hours=1))
    history.run(day)
    history.horizon(date(2026, 1, 1))
    history.clock(noon(date(2026, 1, 9)))
    history.reconnect()
    assert history.run(day) == Said("computed")
    history.settle()
    assert history.oracle.entries[rungs.of(Grain.YEARLY, CHRISTMAS_EVE)].rows


STORIES: Final = (
    a_week_waits_for_its_days, a_call_reads_no_further_than_the_run, a_loss_accepted_below_climbs,
    a_large_day_is_halved_by_acceptance_alone, a_large_day_is_not_halved_user_by_user,
    a_row_as_long_as_before_may_grow,
    a_sealed_week_is_not_rebuilt_from_an_open_day,
    a_day_older_than_a_pruned_month_comes_in_with_its_week, a_day_that_was_only_called_is_a_gap,
    an_open_day_before_the_horizon_seals_as_it_stands,
)  # fmt: skip
