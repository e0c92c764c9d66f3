"""Nights on a clock that is set: what runs by itself, once each, and nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from usage_pipeline.definitions import defs  # it silences what Dagster warns of; before all others

# isort: split
from usage_pipeline import automation, settings
from usage_pipeline.periods import calendar, partitions
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources import specs
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import Chat, set_clock, set_policy, tokens_of
from usage_pipeline_tests.rollups import launching

pytestmark = pytest.mark.stack

Ran = dict[str, list[str]]
FIRST = date(2026, 1, 1)
NOON = datetime(2026, 1, 29, 12, tzinfo=UTC)
"""When the stack is first up: everything before is computed, nothing was seen by the conditions."""


@dataclass
class Stack:
    """Dagster's daemon in this process: it looks when told to, and runs what the conditions ask for."""

    warehouse: Warehouse
    superuser: psycopg.Connection
    instance: dg.DagsterInstance
    assets: dict[str, dg.AssetsDefinition]
    now: datetime = NOON
    cursor: AssetDaemonCursor | None = None
    refused: set[str] = field(default_factory=set)
    """Assets whose runs end before they begin."""
    failing: set[str] = field(default_factory=set)
    """Assets of which a run leaves periods out."""

    def set(self, now: datetime) -> None:
        self.now = now
        set_clock(self.superuser, now)

    def fill(self) -> None:
        """By hand, up to now."""
        for name, rollup in ROLLUPS.items():
            windows = list(calendar.windows(rollup.grain, FIRST, self.now.date()))
            self._run(name, [partitions.key(rollup.grain, each) for each in windows])

    def look(self) -> Ran:
        """One tick: what is asked for runs at once, the finest first, as a backfill of the daemon's does."""
        found = dg.evaluate_automation_conditions(
            dg.Definitions([*specs.specs(), *self.assets.values()], resources={"warehouse": self.warehouse}),
            self.instance,
            asset_selection=dg.AssetSelection.assets(*ROLLUPS),
            evaluation_time=self.now,
            cursor=self.cursor,
        )
        self.cursor = found.cursor
        asked = {
            name: sorted(key for key in found.get_requested_partitions(dg.AssetKey(name)) if key)
            for name in ROLLUPS
        }
        for name, keys in asked.items():
            for some in _ranges(name, keys):
                self._run(name, some)
        return {name.removeprefix("tokens_"): keys for name, keys in asked.items() if keys}

    def until(self, instant: datetime) -> list[Ran]:
        """Ticks, a minute from each other, until nothing more is asked for."""
        self.set(instant)
        said = []
        while ran := self.look():
            said.append(ran)
            assert len(said) < 8, said
            self.set(self.now + timedelta(minutes=1))
        return said

    def _run(self, name: str, keys: Sequence[str]) -> None:
        if name in self.refused:
            return
        with dg.partition_loading_context(effective_dt=self.now):
            ran = launching.launch_keys(self.assets[name], self.instance, self.warehouse, keys[0], keys[-1])
        assert ran.success or name in self.failing


def _ranges(name: str, keys: Sequence[str]) -> Iterator[list[str]]:
    """Neighbours run together."""
    grain = ROLLUPS[name].grain
    known = [partitions.key(grain, each) for each in calendar.windows(grain, FIRST, date(2026, 3, 1))]
    for _, some in groupby(enumerate(keys), lambda pair: known.index(pair[1]) - pair[0]):
        yield [key for _, key in some]


@pytest.fixture
def stack(
    server: Server, database: str, warehouse: Warehouse, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """A month of answers, computed up to noon."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=settings.load().first_day, grace_days=7)
    made = automation.attached([defs.get_assets_def(name) for name in ROLLUPS], warehouse)
    assets = {each.key.to_user_string(): each for each in made}
    with server.connect(database) as superuser, dg.DagsterInstance.ephemeral() as instance:
        found = Stack(warehouse, superuser, instance, assets)
        found.set(NOON)
        for number in range(28):
            chat.answer(at=NOON - timedelta(days=number + 1))
        found.fill()
        yield found


def at(day: int, hour: int, minute: int, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute, 30, tzinfo=UTC)


def test_nothing_is_asked_for_when_everything_was_just_computed(stack: Stack) -> None:
    assert stack.look() == {}
    assert stack.until(NOON + timedelta(minutes=5)) == []


def test_the_open_day_each_hour_and_what_follows_from_it(stack: Stack, chat: Chat) -> None:
    """An hour without a new answer ends with the day; one with answers climbs to the year."""
    stack.look()
    assert stack.until(at(29, 12, 20)) == [{"daily": ["2026-01-29"]}]
    chat.answer(at=at(29, 12, 30))
    assert stack.until(at(29, 13, 20)) == [
        {"daily": ["2026-01-29"]},
        {"weekly": ["2026-01-26"], "monthly": ["2026-01-01"]},
        {"yearly": ["2026"]},
    ]
    assert stack.until(at(29, 14, 20)) == [{"daily": ["2026-01-29"]}]


def test_nights_late_rows_the_end_of_a_month_and_of_its_grace(stack: Stack, chat: Chat) -> None:
    """Two days are open to whoever comes late; an older one is looked at once more, when it is sealed."""
    stack.look()
    chat.answer(at=at(29, 23, 59))
    chat.answer(at=at(25, 12, 0))  # four days late
    assert stack.until(at(30, 2, 10)) == [
        {"daily": ["2026-01-22", "2026-01-29", "2026-01-30"]},
        {"weekly": ["2026-01-26"], "monthly": ["2026-01-01"]},
        {"yearly": ["2026"]},
    ]
    assert stack.until(at(31, 2, 10))[0] == {"daily": ["2026-01-23", "2026-01-30", "2026-01-31"]}
    first_of_february = stack.until(at(1, 2, 10, month=2))
    assert first_of_february[0] == {
        "daily": ["2026-01-24", "2026-01-31", "2026-02-01"], "monthly": ["2026-02-01"],
    }  # fmt: skip
    assert stored(stack, "daily", "2026-01-25") == ("open", 1)
    sealing = stack.until(at(2, 2, 10, month=2))
    assert "2026-01-25" in sealing[0]["daily"]
    assert stored(stack, "daily", "2026-01-25") == ("sealed", 2)
    assert "2026-01-19" in sealing[0]["weekly"]
    for day in range(3, 8):
        stack.until(at(day, 2, 10, month=2))
    assert stored(stack, "monthly", "2026-01-01") == ("open", 30)
    last = stack.until(at(8, 2, 10, month=2))
    assert "2026-01-01" in last[0]["monthly"]
    assert stored(stack, "monthly", "2026-01-01") == ("sealed", 30)
    assert stack.until(at(8, 2, 30, month=2)) == [{"daily": ["2026-02-08"]}]


def test_a_night_that_was_missed_is_made_up_for(stack: Stack, chat: Chat) -> None:
    """Nothing looked for three days: one look is enough, and every day is computed once."""
    stack.look()
    for number in range(1, 4):
        chat.answer(at=NOON + timedelta(days=number))
    days = ["2026-01-22", "2026-01-23", "2026-01-24", "2026-01-29", "2026-01-30", "2026-01-31", "2026-02-01"]
    found = stack.until(at(1, 9, 0, month=2))
    assert found[0] == {"daily": days, "monthly": ["2026-02-01"]}
    assert [each.get("daily") for each in found[1:]] == [None] * (len(found) - 1)
    assert stored(stack, "daily", "2026-01-30") == ("open", 1)
    assert covered(stack, "monthly", "2026-01-01") == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_night_that_was_refused_heals_in_the_next(stack: Stack, chat: Chat) -> None:
    """It is not tried again every half minute, and not forgotten."""
    stack.look()
    chat.answer(at=at(30, 1, 0))
    stack.refused = {"tokens_daily"}
    assert stack.until(at(30, 2, 10)) == [{"daily": ["2026-01-22", "2026-01-29", "2026-01-30"]}]
    assert stack.until(at(30, 2, 15)) == []
    stack.refused = set()
    found = stack.until(at(31, 2, 10))
    assert found[0]["daily"] == ["2026-01-22", "2026-01-23", "2026-01-29", "2026-01-30", "2026-01-31"]
    assert stored(stack, "daily", "2026-01-30") == ("open", 1)
    assert stored(stack, "weekly", "2026-01-26") == ("open", 4)


def test_what_changed_past_dagster_is_followed(stack: Stack, chat: Chat) -> None:
    """A day that was computed in the database, as `recalc` does: no event tells of it, the ledger does."""
    stack.look()
    assert stack.until(at(29, 12, 20)) == [{"daily": ["2026-01-29"]}]
    chat.answer(at=at(29, 12, 21))
    stack.set(at(29, 12, 30))
    tokens_of(Grain.DAILY).compute(
        stack.warehouse, calendar.window(Grain.DAILY, date(2026, 1, 29)), "by hand"
    )
    assert stack.until(at(29, 12, 31)) == [
        {"weekly": ["2026-01-26"], "monthly": ["2026-01-01"]},
        {"yearly": ["2026"]},
    ]


def test_what_a_person_does_by_hand_is_not_done_again(stack: Stack, chat: Chat) -> None:
    stack.look()
    chat.answer(at=at(29, 12, 1))
    stack.set(at(29, 12, 5))
    stack.fill()
    assert stack.until(at(29, 12, 6)) == []


def test_nights_after_the_source_was_truncated(stack: Stack, chat: Chat) -> None:
    """Nothing that is stored is lost, days that go on are computed, and what is refused is due each night."""
    stack.look()
    for day in (22, 28, 29):
        crowd(chat, at(day, 1, 0))
    stack.fill()
    chat.connection.execute("truncate public.chat_messages_v2")
    chat.answer(at=at(30, 1, 0))
    stack.failing = {"tokens_daily"}
    first = stack.until(at(30, 2, 10))
    assert first[0] == {"daily": ["2026-01-22", "2026-01-29", "2026-01-30"]}
    assert stored(stack, "daily", "2026-01-22") == ("open", 1001)
    assert stored(stack, "daily", "2026-01-29") == ("open", 1000)
    assert stored(stack, "daily", "2026-01-30") == ("open", 1)
    assert stored(stack, "monthly", "2026-01-01") == ("open", 3028), "whole up to the day that is refused"
    assert stack.until(at(30, 2, 30)) == [{"daily": ["2026-01-30"]}]
    second = stack.until(at(31, 2, 10))
    assert second[0] == {"daily": ["2026-01-22", "2026-01-23", "2026-01-29", "2026-01-30", "2026-01-31"]}
    assert stored(stack, "daily", "2026-01-22") == ("open", 1001)
    period = calendar.window(Grain.DAILY, date(2026, 1, 22))
    tokens_of(Grain.DAILY).compute(
        stack.warehouse, period, "by hand", intent="accept", reason="they were tests"
    )
    assert stored(stack, "daily", "2026-01-22") == ("sealed", 0)
    third = stack.until(at(1, 2, 10, month=2))
    assert third[0]["daily"] == ["2026-01-24", "2026-01-29", "2026-01-31", "2026-02-01"]
    assert "2026-01-19" in third[0]["weekly"], "what was accepted climbs"
    assert stored(stack, "weekly", "2026-01-19") == ("open", 4), "small days follow their source"
    assert stored(stack, "daily", "2026-01-29") == ("open", 1000)


def crowd(chat: Chat, instant: datetime) -> None:
    """A thousand messages of one user: a large day."""
    chat.connection.execute(
        "insert into public.chat_messages_v2"
        " (id, conversation_id, sender_agent_id, role, content, created_at)"
        " select gen_random_uuid(), %s, gen_random_uuid(), 'assistant', '{}', %s"
        " from generate_series(1, 1000)",
        [uuid4(), instant],
    )


def stored(stack: Stack, period_type: str, start: str) -> tuple[str, int]:
    """Whether a period is open, and how many answers it holds."""
    state, count, _ = entry(stack, period_type, start)
    return state, count


def covered(stack: Stack, period_type: str, start: str) -> datetime:
    """Up to when a period is computed."""
    return entry(stack, period_type, start)[2]


def entry(stack: Stack, period_type: str, start: str) -> tuple[str, int, datetime]:
    """What the ledger says of a period."""
    found = stack.superuser.execute(
        "select ledger.state, ledger.source_rows, ledger.covered_until from usage.rollup_ledger ledger"
        " where ledger.rollup = 'tokens_' || %s and ledger.period_start = %s::timestamptz",
        [period_type, f"{start} 00:00Z"],
    ).fetchone()
    assert found is not None
    return str(found[0]), int(found[1]), found[2]
