"""Histories as Hypothesis writes them: what may happen in one, and how one begins."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from usage_pipeline.periods.calendar import Grain
from usage_pipeline_tests.derived import rungs
from usage_pipeline_tests.derived.history import History
from usage_pipeline_tests.derived.oracle import Why
from usage_pipeline_tests.derived.rows import Answer, Owner, Usage
from usage_pipeline_tests.derived.rungs import GRAINS, Period
from usage_pipeline_tests.derived.world import AGENTS, CONVERSATIONS, SPOKEN, USERS, World, noon

STARTS: Final = st.sampled_from([date(2025, 12, 24), date(2025, 12, 29), date(2025, 11, 28)])
GRAIN: Final = st.sampled_from(GRAINS)
USER: Final = st.sampled_from(USERS)
USAGE: Final[st.SearchStrategy[Usage]] = st.sampled_from(list(SPOKEN))
CONVERSATION: Final = st.sampled_from(CONVERSATIONS)
SENDER: Final = st.sampled_from(
    [Owner(None, agent) for agent in AGENTS] + [Owner(user, None) for user in USERS]
)
OWNER: Final = st.sampled_from([Owner(user, AGENTS[0]) for user in (*USERS, None)])
DAYS_AGO: Final = st.integers(0, 59)
HOURS: Final = st.integers(0, 23)
AGES: Final = st.sampled_from([(date(2025, 12, 29), 9), (date(2025, 11, 28), 6), (date(2025, 12, 29), 37)])
CLIMBS: Final = st.booleans()
PICK: Final = st.integers(0, 40)
ANSWERS: Final = st.lists(st.tuples(PICK, HOURS, CONVERSATION, SENDER, USAGE), max_size=8)


STEPS: Final = 25


def histories(machine: "type[Runs]", world: World, count: int) -> None:
    """The same ones every time; a failure tells its history, which `dev.py soak` would also shorten."""
    _run(machine, world, hypothesis.settings(derandomize=True, phases=[Phase.generate]), count, None)


def random_histories(machine: "type[Runs]", world: World, count: int, seed: int) -> None:
    """Those of one seed; one that fails is shortened."""
    phases = [Phase.generate, Phase.shrink]
    _run(machine, world, hypothesis.settings(database=None, phases=phases), count, seed)


def _run(
    machine: "type[Runs]", world: World, settings: hypothesis.settings, count: int, seed: int | None
) -> None:
    def begin() -> Runs:
        return machine(world)

    factory: Any = begin if seed is None else hypothesis.seed(seed)(begin)
    wanted = hypothesis.settings(
        settings, max_examples=count, stateful_step_count=STEPS, deadline=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(factory, settings=wanted)


class Runs(RuleBasedStateMachine):
    """What happens in every history: answers as they come in, runs of anything in any order, and time."""

    history: History

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def check(self) -> None:
        self.history.compare()

    @rule(conversation=CONVERSATION, sender=SENDER, usage=USAGE)
    def answer(self, conversation: UUID, sender: Owner, usage: Usage) -> None:
        self.history.add(Answer(conversation, sender, self.history.oracle.now, usage))

    @rule(conversation=CONVERSATION, sender=SENDER, usage=USAGE, hours=st.integers(1, 20))
    def answer_ahead(self, conversation: UUID, sender: Owner, usage: Usage, hours: int) -> None:
        """By a clock that is fast; the contract admits a day."""
        at = self.history.oracle.now + timedelta(hours=hours)
        self.history.add(Answer(conversation, sender, at, usage))

    @rule(grain=GRAIN, ago=DAYS_AGO)
    def run(self, grain: Grain, ago: int) -> None:
        self.history.run(self.period(grain, ago))
        self.check()

    @rule(grain=GRAIN, ago=DAYS_AGO)
    def run_twice(self, grain: Grain, ago: int) -> None:
        """The second changes nothing."""
        period = self.period(grain, ago)
        self.history.run(period)
        self.check()
        said = self.history.run(period)
        assert isinstance(said, Why) or said[1:] == (0, 0, 0)
        assert not self.history.oracle.touched
        self.check()

    @rule(grain=GRAIN, ago=DAYS_AGO, count=st.integers(2, 6), is_backwards=st.booleans())
    def run_range(self, grain: Grain, ago: int, count: int, is_backwards: bool) -> None:
        first = self.period(grain, ago)
        asked = rungs.span(grain, first.first, self.history.today)[:count]
        for period in reversed(asked) if is_backwards else asked:
            self.history.run(period)
        self.check()

    @rule(grain=GRAIN, ago=DAYS_AGO, user=USER)
    def call(self, grain: Grain, ago: int, user: UUID) -> None:
        """The seed's function."""
        self.history.call(self.period(grain, ago), user)
        self.check()

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.history.clock(self.history.oracle.now + timedelta(hours=hours))

    @rule(days=st.integers(1, 6))
    def days_pass(self, days: int) -> None:
        self.history.clock(self.history.oracle.now + timedelta(days=days))

    @rule()
    def night(self) -> None:
        self.history.night()
        self.check()

    @rule()
    def reconnect(self) -> None:
        self.history.reconnect()

    def teardown(self) -> None:
        """Nothing new happens: everything due seals in the end."""
        if hasattr(self, "history") and not self.history.is_broken:
            self.history.clock(self.history.latest + timedelta(days=4))
            self.history.settle()

    @rule(ago=DAYS_AGO)
    def climb(self, ago: int) -> None:
        """A day, then what is made from it."""
        self.run_up(self.period(Grain.DAILY, ago).first)

    def run_up(self, day: date) -> None:
        for grain in GRAINS:
            self.history.run(rungs.of(grain, day))
        self.check()

    def period(self, grain: Grain, ago: int) -> Period:
        """The one that holds the last change, or any from the day before the first to the one to come."""
        place, is_elsewhere = divmod(ago, 2)
        if not is_elsewhere:
            return rungs.of(grain, self.history.changed_day)
        earliest = self.history.oracle.first_day - timedelta(days=1)
        days = (self.history.today - earliest).days + 2
        return rungs.of(grain, self.history.today + timedelta(days=1) - timedelta(days=place % days))


class InTime(Runs):
    """No answer is late, none is changed, and the clock is right: a reader always sees the truth."""

    @initialize(first_day=STARTS, days=st.integers(0, 3))
    def begin(self, first_day: date, days: int) -> None:
        self.history = History(self.world, first_day, noon(first_day + timedelta(days=days)))

    def check(self) -> None:
        super().check()
        self.history.reads_as_true()


class Anything(Runs):
    """Late rows, edits, moves, deletes, restatements, a clock set back, a start moved, what is pruned."""

    @initialize(
        first_day=STARTS,
        days=st.sampled_from([0, 3, 6, 10, 16]),
        answers=ANSWERS,
        is_settled=st.booleans(),
    )
    def begin(self, first_day: date, days: int, answers: list[Any], is_settled: bool) -> None:
        self.grow(first_day, days, answers)
        if is_settled:
            self.history.night()

    @rule(ago=DAYS_AGO, hour=HOURS, conversation=CONVERSATION, sender=SENDER, usage=USAGE, climbs=CLIMBS)
    def late_answer(
        self, ago: int, hour: int, conversation: UUID, sender: Owner, usage: Usage, climbs: bool
    ) -> None:
        self.history.add(Answer(conversation, sender, self.instant(ago, hour), usage))
        self.follow(climbs)

    @rule(pick=PICK, usage=USAGE, climbs=CLIMBS)
    def edit(self, pick: int, usage: Usage, climbs: bool) -> None:
        self.change(pick, lambda answer: answer._replace(usage=usage))
        self.follow(climbs)

    @rule(pick=PICK, ago=DAYS_AGO, hour=HOURS)
    def move(self, pick: int, ago: int, hour: int) -> None:
        self.change(pick, lambda answer: answer._replace(at=self.instant(ago, hour)))

    @rule(conversation=CONVERSATION, owner=OWNER)
    def own(self, conversation: UUID, owner: Owner) -> None:
        self.history.own(conversation, owner)

    @rule(pick=PICK, climbs=CLIMBS)
    def delete(self, pick: int, climbs: bool) -> None:
        answers = sorted(self.history.oracle.answers)
        gone = self.history.oracle.answers[answers[pick % len(answers)]] if answers else None
        self.history.delete(lambda answer: answer is gone)
        self.follow(climbs)

    @rule(conversation=CONVERSATION, climbs=CLIMBS)
    def delete_conversation(self, conversation: UUID, climbs: bool) -> None:
        self.history.delete(lambda answer: answer.conversation == conversation)
        self.follow(climbs)

    @rule(grain=GRAIN, ago=DAYS_AGO, user=st.none() | USER, accept=st.booleans())
    def restate(self, grain: Grain, ago: int, user: UUID | None, accept: bool) -> None:
        self.history.restate(self.period(grain, ago), user, accept=accept)
        self.check()

    @rule(hours=st.integers(1, 24 * 8))
    def clock_is_set_back(self, hours: int) -> None:
        earliest = noon(self.history.oracle.first_day)
        self.history.clock(max(earliest, self.history.oracle.now - timedelta(hours=hours)))

    @rule(grain=st.sampled_from([Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY]), ago=DAYS_AGO)
    def prune(self, grain: Grain, ago: int) -> None:
        period = self.period(grain, ago)
        if grain is Grain.WEEKLY:
            self.history.prune_week(period)
        elif period.whole:
            self.history.prune(period.whole, grain)
        self.check()

    @rule(ago=DAYS_AGO)
    def horizon(self, ago: int) -> None:
        day = max(self.history.oracle.first_day, self.history.today - timedelta(days=ago))
        known = self.history.oracle.horizon
        self.history.horizon(max(day, known.date()) if known else day)

    @precondition(lambda self: self.history.oracle.first_day > date(2025, 11, 20))
    @rule(days=st.integers(1, 4), conversation=CONVERSATION, sender=SENDER, usage=USAGE)
    def start_is_moved(self, days: int, conversation: UUID, sender: Owner, usage: Usage) -> None:
        """Older rows are found."""
        first_day = self.history.oracle.first_day - timedelta(days=days)
        self.history.start(first_day)
        self.history.add(Answer(conversation, sender, noon(first_day), usage))

    def follow(self, climbs: bool) -> None:
        if climbs:
            self.run_up(self.history.changed_day)

    def grow(self, first_day: date, days: int, answers: list[Any]) -> None:
        self.history = History(self.world, first_day, noon(first_day + timedelta(days=days)))
        self.history.add(*[
            Answer(conversation, sender, self.instant(ago, hour), usage)
            for ago, hour, conversation, sender, usage in answers
        ])  # fmt: skip

    def change(self, pick: int, changed: Callable[[Answer], Answer]) -> None:
        answers = sorted(self.history.oracle.answers)
        if answers:
            number = answers[pick % len(answers)]
            self.history.write({number: changed(self.history.oracle.answers[number])})

    def instant(self, ago: int, hour: int) -> datetime:
        """An hour of a day since the start; of today, also one to come."""
        days = (self.history.today - self.history.oracle.first_day).days + 1
        return noon(self.history.today - timedelta(days=ago % days)) + timedelta(hours=hour - 12)


class Aged(Anything):
    """The same where all is sealed to begin with, and the days of the first month may be gone."""

    @initialize(
        age=AGES,
        answers=ANSWERS,
        gone=st.sampled_from([(), (Grain.DAILY,), (Grain.DAILY, Grain.MONTHLY)]),
    )
    def begin(self, age: tuple[date, int], answers: list[Any], gone: tuple[Grain, ...]) -> None:
        first_day, days = age
        self.grow(first_day, days, answers)
        self.history.night()
        for grain in gone:
            whole = rungs.of(grain, first_day).whole
            assert whole
            self.history.prune(whole, grain)

    def teardown(self) -> None:
        """It is settled as it is."""
