"""Runs that meet: in any order of their steps, while the source grows, no older reading wins."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Final

import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain, Window, window, windows
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.derived import stage
from usage_pipeline_tests.derived.gates import AnyChoice, Call, Chooser, EveryChoice, Runner
from usage_pipeline_tests.derived.stage import BELOW, DAY, FIRST, Stored, Sums, World, call
from usage_pipeline_tests.sources.conftest import opened as opened_source

pytestmark = pytest.mark.once
CURRENT: Final = datetime(2026, 1, 30, 12, tzinfo=UTC)
OVER: Final = datetime(2026, 2, 3, 12, tzinfo=UTC)
SEALING: Final = datetime(2026, 2, 9, 12, tzinfo=UTC)
DERIVED: Final = ("weekly", "monthly", "yearly")


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[World]:
    with (
        opened_source(server) as source,
        stage.opened(server, source.database, source.chat, source.warehouse) as found,
    ):
        yield found


def check(world: World, runners: list[Runner]) -> None:
    """What holds at the end of every play, and after one more run of what is due."""
    for runner in runners:
        assert runner.place == "committed" or is_refusal(runner), (runner.call, runner.error)
    stored = world.stored()
    for each in stored.values():
        assert each.checksum == each.true_checksum
        if each.grain in BELOW and each.state != "partial":
            check_derived(each, below_of(stored, each))
    if ("daily", DAY) in stored:
        sums = stored["daily", DAY].sums
        assert {user: sums[user] for user in world.read} == world.read, "an older reading won"
    check_repaired(world)


def is_refusal(runner: Runner) -> bool:
    """Said in words of ours, and nothing that waiting or trying again in another order would avoid."""
    return isinstance(runner.error, Refusal) and "was not stored" not in str(runner.error)


def below_of(stored: dict[tuple[str, date], Stored], upper: Stored) -> list[Stored]:
    return [
        each
        for each in stored.values()
        if each.grain == BELOW[upper.grain]
        and upper.whole.start <= each.whole.start < upper.whole.end
        and each.state in ("open", "sealed")
    ]


def check_derived(upper: Stored, below: list[Stored]) -> None:
    """Complete means of all that is below, sealed of nothing open; what differs from it is known to."""
    asked = windows(Grain(BELOW[upper.grain]), max(FIRST, upper.whole.start.date()), upper.whole.end.date())
    every = {each.start.date() for each in asked if each.start < upper.whole.end}
    if upper.is_called_complete:
        assert {date.fromisoformat(key) for key in upper.below} == every
    if upper.state == "sealed":
        assert all(each.state == "sealed" for each in below)
    if upper.below == {str(each.whole.start.date()): each.checksum for each in below}:
        whole = [each for each in below if each.whole.end <= upper.covered_until]
        part = [each for each in below if each.whole.start < upper.covered_until < each.whole.end]
        assert upper.sums == added([each.sums for each in whole + part])


def added(parts: list[Sums]) -> Sums:
    total: Sums = {}
    for part in parts:
        for user, (count, tokens) in part.items():
            before = total.get(user, (0, 0))
            total[user] = (before[0] + count, before[1] + tokens)
    return total


def check_repaired(world: World) -> None:
    """Whatever was left behind, one more run of each period mends it."""
    for grain in ("daily", *DERIVED):
        world.run(call(grain))
    for stored in world.stored().values():
        assert stored.sums == world.source(Window(stored.whole.start, stored.covered_until))


def play_all(world: World, *calls: Call, seeds: Sequence[int] = ()) -> int:
    """Every order there is, or as many as there are seeds; how many that were."""
    choosers: Iterable[Chooser] = map(AnyChoice, seeds) if seeds else EveryChoice().plays()
    count = 0
    for chooser in choosers:
        check(world, world.play(chooser, *calls))
        count += 1
    for grain in ("daily", *DERIVED):
        ran = world.run(call(grain))
        assert (ran.inserted, ran.updated, ran.deleted) == (0, 0, 0)
    return count


PAIRS: Final = {
    "a day twice": (call("daily"), call("daily")),
    "a day and its month": (call("daily"), call("monthly")),
    "a day and its week": (call("daily"), call("weekly")),
    "a month and its year": (call("monthly"), call("yearly")),
    "a month twice": (call("monthly"), call("monthly")),
    "a week and a month": (call("weekly"), call("monthly")),
    "the seed's function and a day": (call("daily", "user"), call("daily")),
    "the seed's function and a month": (call("monthly", "user"), call("monthly")),
}
FREE: Final = ("a week and a month", "a day and its week", "a month and its year")
FREE_AT_FIRST: Final = ("a day and its month", *FREE)
"""Up to 924 orders, where neither waits for the other: some of them must do."""
RESTATED: Final = {
    "a day and its run": (call("daily", "restate"), call("daily")),
    "a day and its month": (call("daily", "restate"), call("monthly")),
    "a month and its run": (call("monthly", "restate"), call("monthly")),
    "a month and its day": (call("monthly", "restate"), call("daily")),
    "what is let go, and a run": (call("daily", "accept"), call("daily")),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_that_never_ran(world: World, pair: str) -> None:
    """No ledger row is there yet to wait for: the older reading could win, a month could miss a day."""
    world.begin(OVER, is_daily_run=False)
    assert play_all(world, *PAIRS[pair], seeds=range(12) if pair in FREE_AT_FIRST else ()) >= 6


@pytest.mark.parametrize("pair", PAIRS)
def test_two_that_ran_before(world: World, pair: str) -> None:
    """What stands is rewritten under a run that reads it."""
    world.begin(OVER, *DERIVED, is_daily_run=True)
    assert play_all(world, *PAIRS[pair], seeds=range(12) if pair in FREE else ()) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("now", [CURRENT, SEALING], ids=["current", "sealing"])
@pytest.mark.parametrize("pair", PAIRS)
def test_two_in_the_current_month_and_two_that_seal(world: World, pair: str, now: datetime) -> None:
    """Up to a first gap that is just being filled; sealed by one while the other still reads."""
    world.begin(now, is_daily_run=False)
    play_all(world, *PAIRS[pair], seeds=range(5))


@pytest.mark.parametrize("pair", RESTATED)
def test_a_restatement_and_a_run(world: World, pair: str) -> None:
    """Both may write a sealed period: neither may undo the other or be refused for it."""
    world.begin(SEALING, *DERIVED, is_daily_run=True)
    assert {each.state for (grain, _), each in world.stored().items() if grain == "monthly"} >= {"sealed"}
    play_all(world, *RESTATED[pair], seeds=range(8))


@pytest.mark.parametrize("is_first", [True, False], ids=["first runs", "later runs"])
def test_a_day_its_week_and_its_month_at_once(world: World, is_first: bool) -> None:
    """Three in a row could wait in a circle where no two do."""
    world.begin(OVER, *(() if is_first else DERIVED), is_daily_run=not is_first)
    play_all(world, call("daily"), call("weekly"), call("monthly"), seeds=range(8))


@pytest.mark.parametrize("looks_below_first", [False, True], ids=["as it is", "the other way round"])
def test_the_coarsest_is_locked_first(world: World, looks_below_first: bool) -> None:
    """Who prunes holds the month and then its days: a month's run in another order closes the circle."""
    world.begin(OVER, *DERIVED, is_daily_run=True)
    below = (
        "perform from usage.rollup_ledger lower where lower.rollup = p_below"
        " and lower.period_start >= p_start and lower.period_start < p_end"
        " order by lower.period_start for share;"
    )
    world.stage.install({"begun": below} if looks_below_first else None)
    try:
        with world.stage.playing(call("monthly")) as (month,), somebody(world) as other:
            other.execute(MONTHS_SHARED)
            world.stage.go_on(month, others_hold=True)
            assert month.place == "blocked"
            deadlocks = is_deadlock(other, DAYS_HELD)
            other.rollback()
            world.stage.settle(others_hold=True)
            is_circle = deadlocks or isinstance(month.error, psycopg.errors.DeadlockDetected)
        assert is_circle == looks_below_first
    finally:
        world.stage.install()


def test_what_a_run_has_looked_at_is_held(world: World) -> None:
    """A day that moves between the look and the reading: rows of one state, books of another."""
    world.begin(OVER, *DERIVED, is_daily_run=True)
    world.grow()
    with world.stage.playing(call("monthly"), call("daily")) as (month, day):
        for _ in range(2):
            world.stage.go_on(month)
        world.stage.go_on(day)
        assert (month.place, day.place) == ("looked", "blocked")
        for _ in range(4):
            world.stage.go_on(month)
        assert (month.place, day.place) == ("committed", "locked")
        for _ in range(5):
            world.stage.go_on(day)
    check(world, [month, day])


def test_what_is_committed_while_a_run_waits_for_the_source_is_read(world: World) -> None:
    """The application alters its table: who waited for it must not count with what was there before."""
    world.begin(OVER, *DERIVED, is_daily_run=True)
    with world.stage.playing(call("daily")) as (day,), somebody(world) as other:
        for _ in range(2):
            world.stage.go_on(day)
        other.execute("reset role; lock table public.chat_messages_v2 in access exclusive mode")
        world.stage.go_on(day, others_hold=True)
        assert day.place == "blocked"
        other.execute("update public.chat_messages_v2 set metadata = '{\"tokens\": 500}'")
        other.commit()
        world.stage.settle()
        for _ in range(3):
            world.stage.go_on(day)
    assert world.stored()["daily", DAY].sums == dict.fromkeys(stage.USERS, (1, 500))


def test_a_run_waits_for_an_erasure(world: World) -> None:
    """A run that has read a person would write them again after they are gone."""
    world.begin(OVER, is_daily_run=False)
    with somebody(world) as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('usage.erasure', 0))")
        with world.stage.playing(call("daily")) as (day,):
            assert day.place == "blocked"
            other.rollback()
            world.stage.settle()
            assert day.place == "begun"


def test_a_day_that_was_only_locked_was_never_computed(world: World) -> None:
    """A row made to be locked says nothing of the day: a month that took it for one would miss it."""
    world.begin(OVER, is_daily_run=False)
    day = window(Grain.DAILY, DAY)
    world.master.execute(
        "insert into usage.rollup_ledger (rollup, period_start, period_end) values ('tokens_daily', %s, %s)",
        [day.start, day.end],
    )
    with pytest.raises(Refusal, match="never computed of tokens_daily: 2026-01-29"):
        world.run(call("monthly"))


MONTHS_SHARED: Final = b"select from usage.rollup_ledger where rollup = 'tokens_monthly' for share"
DAYS_HELD: Final = b"select from usage.rollup_ledger where rollup = 'tokens_daily' for update"


@contextmanager
def somebody(world: World) -> Iterator[psycopg.Connection]:
    """Another session of the writer, in a transaction."""
    with world.server.connect(world.database, embedded.LOGIN) as other:
        other.execute("set role usage_writer")
        other.autocommit = False
        yield other
        other.rollback()


def is_deadlock(session: psycopg.Connection, statement: bytes) -> bool:
    try:
        session.execute(statement)
    except psycopg.errors.DeadlockDetected:
        return True
    return False
