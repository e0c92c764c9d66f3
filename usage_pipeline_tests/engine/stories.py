"""Lives that chance would take long to find, and what `prove` is shown, each around one rule."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from usage_pipeline.periods.calendar import Grain
from usage_pipeline_tests.derived.oracle import Intent, Said, State, Why
from usage_pipeline_tests.derived.rows import ADDED, NOBODY
from usage_pipeline_tests.derived.rungs import Period
from usage_pipeline_tests.engine.life import CONVERSATIONS, DAY, FIRST_DAY, SMALL, USERS, Life, noon
from usage_pipeline_tests.engine.pure import COUNT, Engine

FIRST: Final = SMALL.of(Grain.DAILY, FIRST_DAY)
WEEK: Final = SMALL.of(Grain.WEEKLY, FIRST_DAY)


def a_partial_day_goes_with_its_month(engine: Engine) -> None:
    """The start was moved behind it, the month pruned, the start moved back."""
    life = begun(engine, FIRST_DAY, FIRST_DAY + DAY)
    life.do(FIRST, Intent.USER, USERS[0])
    life.start(FIRST_DAY + DAY)
    seal(life)
    life.prune(life.of(Grain.MONTHLY, FIRST_DAY))
    life.start(FIRST_DAY)
    assert life.do(FIRST) == Said("pruned")


def a_week_from_raw_rows_waits_for_a_partial_day(engine: Engine) -> None:
    """A day of it is pruned, one was never run, and one user of another was computed."""
    life = begun(engine, date(2026, 1, 14))
    life.start(date(2026, 1, 14))
    seal(life)
    life.prune(life.of(Grain.DAILY, date(2026, 1, 14)))
    life.start(date(2026, 1, 11))
    life.do(life.of(Grain.DAILY, date(2026, 1, 11)), Intent.USER, USERS[0])
    week = life.of(Grain.WEEKLY, date(2026, 1, 11))
    life.do(week)
    assert life.oracle.state(week) is State.OPEN


def an_accepted_loss_of_one_user_is_verified(engine: Engine) -> None:
    """The rows of the others remain, and would get a new checksum."""
    life = begun(engine, FIRST_DAY)
    seal(life)
    row = life.oracle.entries[FIRST].rows[USERS[0]]
    life.alter(FIRST, {USERS[0]: row._replace(total=1)})
    assert life.do(FIRST, Intent.ACCEPT, USERS[1]) is Why.IS_ALTERED
    assert isinstance(life.do(FIRST, Intent.ACCEPT), Said)


def a_sealed_week_waits_for_an_older_day(engine: Engine) -> None:
    """The start was moved into it, and the clock set back: it does not become a current week again."""
    life = begun(engine, FIRST_DAY)
    seal(life)
    life.start(WEEK.first)
    life.clock(noon(FIRST_DAY + DAY))
    assert life.do(WEEK) is Why.IS_MISSING


def a_sealed_week_is_not_made_from_an_open_day(engine: Engine) -> None:
    """The start was moved, and the clock set back: a day of it may shrink again, and is named."""
    life = begun(engine, FIRST_DAY)
    seal(life)
    life.start(WEEK.first)
    life.clock(noon(WEEK.first))
    day = life.of(Grain.DAILY, WEEK.first)
    life.do(day)
    assert life.do(WEEK) is Why.IS_OPEN_BELOW
    assert engine.run(life.oracle, WEEK, Intent.RUN, None).periods == (day,)


def what_a_call_has_begun_may_shrink(engine: Engine) -> None:
    """A partial day was never what its source held: there is nothing to guard."""
    life = large(engine)
    for user in USERS:
        life.do(FIRST, Intent.USER, user)
    life.drop(list(life.oracle.answers))
    assert isinstance(life.do(FIRST, Intent.USER, USERS[0]), Said)


def a_source_that_lost_its_rows_is_not_believed(engine: Engine) -> None:
    """Neither by a run, nor user by user; what remains half is."""
    life = large(engine)
    life.do(FIRST)
    answers = list(life.oracle.answers)
    life.drop(answers[::2])
    assert isinstance(life.do(FIRST), Said)
    life = large(engine)
    life.do(FIRST)
    life.drop(list(life.oracle.answers))
    assert [life.do(FIRST, Intent.USER, user) for user in USERS] == [Why.LOSES_MOST, Why.LOSES_MOST]
    assert life.do(FIRST) is Why.LOSES_MOST
    assert engine.run(life.oracle, FIRST, Intent.USER, USERS[0]).said == "LOST"
    assert life.do(FIRST, Intent.ACCEPT, USERS[0]) is Why.IS_NOT_SEALED
    assert isinstance(life.do(FIRST, Intent.ACCEPT), Said)


def messages_that_moved_to_another_user_are_not_lost(engine: Engine) -> None:
    """The whole day is to be run: a call for one user alone would halve it."""
    life = begun(engine, *4 * [FIRST_DAY])
    life.clock(noon(FIRST_DAY + DAY))
    life.do(FIRST)
    life.own(CONVERSATIONS[0], USERS[1])
    assert life.do(FIRST, Intent.USER, USERS[0]) is Why.LOSES_MOST
    assert engine.run(life.oracle, FIRST, Intent.USER, USERS[0]).said == "MOVED"
    assert isinstance(life.do(FIRST), Said)


def a_user_may_grow_while_others_are_lost(engine: Engine) -> None:
    """The day holds no fewer messages than before."""
    life = begun(engine, *4 * [FIRST_DAY])
    life.clock(noon(FIRST_DAY + DAY))
    life.do(FIRST)
    life.drop(list(life.oracle.answers))
    life.add(noon(FIRST_DAY), CONVERSATIONS[1])
    assert isinstance(life.do(FIRST, Intent.USER, USERS[1]), Said)


def a_sealed_month_may_count_fewer_conversations(engine: Engine) -> None:
    """Of nobody: a day has as many as before, but one that another day has too."""
    life = begun(engine, FIRST_DAY, FIRST_DAY)
    life.own(CONVERSATIONS[0], USERS[0])
    life.add(noon(FIRST_DAY), CONVERSATIONS[2])
    seal(life)
    life.own(CONVERSATIONS[0], None)
    life.add(noon(FIRST_DAY + DAY), CONVERSATIONS[0])
    month = life.of(Grain.MONTHLY, FIRST_DAY)
    for period in (life.of(Grain.DAILY, FIRST_DAY + DAY), month):
        life.do(period)
    assert life.oracle.entries[month].rows[NOBODY].conversation_count == 2
    life.own(CONVERSATIONS[2], USERS[1])
    for period in (FIRST, month):
        life.do(period)
    assert life.oracle.entries[month].rows[NOBODY].conversation_count == 1


def what_replace_lost_is_not_stored(engine: Engine) -> None:
    """A rollup that reads fewer rows than its source holds; rows that were not written; a state mixed up."""
    case = proof(engine)
    assert case.reason() is None
    for wrong in (
        {"source_rows": 3}, {"computed_rows": 1}, {"totals": {**case.found.totals, COUNT: 1}},
        {"states": {**case.found.states, "refused": 1}}, {"kept_rows": 1},
    ):  # fmt: skip
        assert case.reason(**wrong) == "UNBALANCED", wrong
    kept = {"kept": {"somebody": {}}, "kept_rows": 1, "totals": {**case.found.totals, COUNT: 3}}
    assert case.reason(**kept, states={**case.found.states, "refused": 1}) is None


def a_checksum_is_compared_with_its_own_kind(engine: Engine) -> None:
    """One of another version says nothing; one that is missing is no proof."""
    case = proof(engine)
    case.plan = replace(case.plan, is_verified=True)
    own = case.facts.own.checksum
    assert case.reason(checksum_before=own) is None
    assert case.reason(checksum_before="v1:7") == "ALTERED"
    assert case.reason(checksum_before=None) == "ALTERED"
    assert case.reason(checksum_before="v0:7") is None


def sums_that_the_periods_below_do_not_have_are_not_compared(engine: Engine) -> None:
    """A measure is younger than the last run of a day; none of it is nothing."""
    case = proof(engine, WEEK)
    totals = dict(case.plan.parts[0].totals)
    case.plan = replace(case.plan, parts=[replace(case.plan.parts[0], totals={**totals, "prompt": 9})])
    assert case.reason() == "DIFFERS_FROM_BELOW"
    del totals["prompt"]
    case.plan = replace(case.plan, parts=[replace(case.plan.parts[0], totals=totals)])
    assert case.reason() is None
    case.plan = replace(case.plan, parts=[replace(case.plan.parts[0], totals={**totals, "refused": None})])
    assert case.reason() is None
    assert case.reason(totals={**case.found.totals, "completion": 9}) == "DIFFERS_FROM_BELOW"


class Proof:
    """What `prove` is shown of a run that may commit, to be changed by a story."""

    def __init__(self, engine: Engine, facts: Any, plan: Any, found: Any) -> None:
        self.engine, self.facts, self.plan, self.found = engine, facts, plan, found

    def reason(self, **wrong: Any) -> str | None:
        found = replace(self.found, **wrong)
        refused = self.engine.prove.prove(self.facts, self.plan, found, count=COUNT, added=ADDED)
        return refused.reason.name if refused else None


def proof(engine: Engine, period: Period = FIRST) -> Proof:
    """A day of two messages, or its week, run before and run again."""
    life = begun(engine, FIRST_DAY, FIRST_DAY)
    for each in (FIRST, period):
        life.do(each)
    return Proof(engine, *engine.attempt(life.oracle, period, Intent.RUN, None))


def begun(engine: Engine, *days: date) -> Life:
    """An answer at noon of each day, and it is the afternoon of the last."""
    life = Life(engine)
    for day in days:
        life.add(noon(day), CONVERSATIONS[0])
    life.clock(noon(days[-1]) + timedelta(hours=2))
    return life


def large(engine: Engine) -> Life:
    """Two messages of each user on a day that is over."""
    life = Life(engine)
    for place in range(4):
        life.add(noon(FIRST_DAY), CONVERSATIONS[place // 2])
    life.clock(noon(FIRST_DAY + DAY))
    return life


def seal(life: Life) -> None:
    """All that has come so far."""
    life.clock(life.oracle.now + 20 * DAY)
    life.night()


STORIES: Final[tuple[Callable[[Engine], None], ...]] = (
    a_partial_day_goes_with_its_month, a_week_from_raw_rows_waits_for_a_partial_day,
    an_accepted_loss_of_one_user_is_verified, a_sealed_week_waits_for_an_older_day,
    a_sealed_week_is_not_made_from_an_open_day, what_a_call_has_begun_may_shrink,
    a_source_that_lost_its_rows_is_not_believed, messages_that_moved_to_another_user_are_not_lost,
    a_user_may_grow_while_others_are_lost, a_sealed_month_may_count_fewer_conversations,
    what_replace_lost_is_not_stored,
    a_checksum_is_compared_with_its_own_kind, sums_that_the_periods_below_do_not_have_are_not_compared,
)  # fmt: skip
