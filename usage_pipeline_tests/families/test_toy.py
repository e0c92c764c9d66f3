"""A family that is a folder and a line: what the engine does with tokens it does with any."""

import random
from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from usage_pipeline.engine import functions, prove
from usage_pipeline.engine.plan import Intent
from usage_pipeline.engine.run import Order, Ran, run
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.periods.calendar import window
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import set_clock
from usage_pipeline_tests.families import oracle
from usage_pipeline_tests.families.oracle import Call, Key, Row
from usage_pipeline_tests.families.toy import TOY, WHOLE

FOLDER: Final = Path(__file__).parent / "toy"
DAY, NEXT, LAST = date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 31)
MEASURES: Final = [each.column for each in TOY.written]
INSERT: Final = "insert into public.toy_calls values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
FLOORS: Final = {
    "toy_hourly": lambda at: at.replace(minute=0, second=0, microsecond=0),
    "toy_daily": lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0),
    "toy_monthly": lambda at: at.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    "toy_yearly": lambda at: at.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0),
}


class Toy:
    """The toy in a database: its source, its runs, and what is stored."""

    def __init__(self, superuser: psycopg.Connection, warehouse: Warehouse) -> None:
        self.superuser = superuser
        self.warehouse = warehouse
        self.calls: dict[int, Call] = {}
        self._numbers = count(1)
        for text in ("table", "window"):
            superuser.execute((FOLDER / f"{text}.sql").read_bytes())
        superuser.execute(functions.ladder((*FAMILIES, TOY)).text.encode())

    def call(self, day: date = DAY, hour: int = 9, **values: Any) -> Call:
        """One more call in the source."""
        at = datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)
        known: dict[str, Any] = {"agent": "ada", "channel": "mail", "called_at": at} | values
        made = Call(next(self._numbers), **known)
        self.calls[made.id] = made
        self.superuser.execute(INSERT, astuple(made))
        return made

    def lose(self, *calls: Call) -> None:
        for each in calls:
            del self.calls[each.id]
            self.superuser.execute("delete from public.toy_calls where id = %s", [each.id])

    def change(self, call: Call, **values: Any) -> None:
        self.lose(call)
        self.calls[call.id] = made = replace(call, **values)
        self.superuser.execute(INSERT, astuple(made))

    def run(
        self, asset: str = "toy_hourly", day: date = DAY, intent: Intent = Intent.RUN, **values: Any
    ) -> Ran:
        """One period by the engine, as the writer."""
        grain = TOY.grain(asset)
        period = window(grain.run_period, day)
        with self.warehouse.begin(Role.WRITER) as connection:
            return run(connection, Order(TOY, grain, period, "test", intent, **values))

    def stored(self, asset: str = "toy_hourly") -> dict[Key, Row]:
        columns = sql.SQL(", ").join(map(sql.Identifier, MEASURES))
        reading = sql.SQL("select period_start, agent, channel, {} from usage.toy_usage where grain = %s")
        found = self.superuser.execute(reading.format(columns), [TOY.grain(asset).stored_as]).fetchall()
        return {row[:3]: dict(zip(MEASURES, row[3:], strict=True)) for row in found}

    def wanted(self, asset: str = "toy_hourly", days: Sequence[date] = (DAY,)) -> dict[Key, Row]:
        calls = [each for each in self.calls.values() if each.called_at.date() in days]
        return dict(oracle.rows(calls, FLOORS[asset], keeps_ids=TOY.grain(asset).keeps_ids))

    def ledger(self, asset: str = "toy_hourly", day: date = DAY) -> Any:
        period = window(TOY.grain(asset).run_period, day)
        return self.superuser.execute(
            "select state, source_rows, states, totals, kept, kept_rows, checksum from usage.rollup_ledger"
            " where rollup = %s and period_start = %s",
            [asset, period.start],
        ).fetchone()

    def restated(self) -> list[Any]:
        return self.superuser.execute(
            "select key ->> 'agent', key ->> 'channel', key ->> 'period_start', before ->> 'calls',"
            " after ->> 'calls' from usage.restatements order by 1, 2, 3"
        ).fetchall()

    def versions(self) -> list[Any]:
        return self.superuser.execute("select ctid, xmin::text from usage.toy_usage order by 1").fetchall()

    def at(self, day: date, hour: int = 12) -> None:
        set_clock(self.superuser, datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


@pytest.fixture
def toy(superuser: psycopg.Connection, warehouse: Warehouse) -> Toy:
    superuser.execute("set session_replication_role = origin")
    found = Toy(superuser, warehouse)
    found.at(NEXT)
    return found


def fill(toy: Toy, days: Sequence[date] = (DAY,), seed: int = 1, calls: int = 60) -> list[Call]:
    """Calls of every kind: of nobody, without a time, a cost, a person, a region."""
    chance = random.Random(seed)  # noqa: S311
    return [
        toy.call(
            chance.choice(days), chance.randrange(24),
            agent=chance.choice(("ada", "bob", None)), channel=chance.choice(("mail", "chat")),
            is_ok=chance.random() < 0.8, ms=chance.choice((None, 0, 7, 12, 345, 20_000)),
            cost=chance.choice((None, Decimal("0.0012345678"), Decimal("2.5"))),
            person_id=chance.choice((None, UUID(int=1), UUID(int=2))),
            region=chance.choice((None, "eu", "us")),
        )
        for _ in range(calls)
    ]  # fmt: skip


def test_hours_of_a_daily_run(toy: Toy) -> None:
    """A run of one day writes rows of 24 hours, and a subtotal is counted once."""
    fill(toy)
    ran = toy.run()
    assert toy.stored() == toy.wanted()
    assert ran.inserted == len(toy.wanted())
    state, source_rows, states, totals, *_ = toy.ledger()
    whole = oracle.rows(toy.calls.values(), FLOORS["toy_hourly"])
    assert (state, source_rows, totals["calls"]) == ("open", 60, 60)
    assert states == {
        "unattributed": sum(call.agent is None for call in toy.calls.values()),
        "untimed": sum(call.ms is None for call in toy.calls.values()),
        "failed": sum(not call.is_ok for call in toy.calls.values()),
    }
    costs = [row["cost"] for (_, _, channel), row in whole.items() if channel == WHOLE and row["cost"]]
    assert Decimal(totals["cost"]) == sum(costs)
    assert sum(ran.entry.hourly_rows or ()) == 60


def test_every_measure_climbs(toy: Toy) -> None:
    """Rounded money adds up to what the hours say; all else is what the calls say."""
    days = (DAY, NEXT)
    toy.at(date(2026, 3, 6))
    toy.superuser.execute("update usage.rollup_policy set first_day = %s where family = 'toy'", [DAY])
    fill(toy, days)
    for day in days:
        toy.run(day=day)
        toy.run("toy_daily", day)
    toy.run("toy_monthly")
    toy.run("toy_yearly")
    for asset in ("toy_daily", "toy_monthly", "toy_yearly"):
        found, wanted = toy.stored(asset), toy.wanted(asset, days)
        for key, row in wanted.items():
            hours = [
                hour["cost"]
                for (start, *rest), hour in toy.stored().items()
                if (FLOORS[asset](start), *rest) == key and hour["cost"] is not None
            ]
            row["cost"] = sum(hours) if hours else None
        assert found == wanted, asset
    averages = toy.superuser.execute(
        "select average_ms, ms_sum::numeric / calls from usage.toy_usage"
    ).fetchall()
    assert all(stored == again for stored, again in averages)
    assert toy.ledger("toy_yearly")[2] == toy.ledger("toy_monthly")[2]


@pytest.mark.parametrize("asset", ["toy_hourly", "toy_daily", "toy_monthly"])
def test_twice_is_once(toy: Toy, asset: str) -> None:
    toy.superuser.execute("update usage.rollup_policy set first_day = %s where family = 'toy'", [DAY])
    fill(toy)
    for each in ("toy_hourly", "toy_daily", "toy_monthly"):
        toy.run(each)
    before = toy.versions()
    assert toy.run(asset).entry.checksum == toy.ledger(asset)[-1]
    assert toy.versions() == before


def test_an_open_day_follows_its_source(toy: Toy) -> None:
    calls = fill(toy)
    toy.run()
    toy.lose(*calls[:10])
    toy.change(calls[20], channel="post", cost=Decimal("9.99"))
    toy.call(agent="eve", ms=3)
    toy.run()
    assert toy.stored() == toy.wanted()


def test_the_checksum_is_that_of_the_stored_rows(toy: Toy) -> None:
    """It is made from what was computed and written: a second reading must come to the same."""
    fill(toy)
    toy.run()
    toy.run("toy_daily")
    again = sql.SQL(
        "select 'v2:' || sum(hash_record_extended(row({}), 0)) from usage.toy_usage where grain = %s"
    )
    columns = ("agent", "channel", *MEASURES)
    for asset, named in (("toy_hourly", ("period_start", *columns)), ("toy_daily", columns)):
        statement = again.format(sql.SQL(", ").join(map(sql.Identifier, named)))
        read = toy.superuser.execute(statement, [TOY.grain(asset).stored_as]).fetchone()
        assert read == (toy.ledger(asset)[-1],)


@pytest.fixture
def sealed(toy: Toy) -> Toy:
    """A day that was sealed with two agents, of whom each has two channels in two hours."""
    for agent in ("ada", "bob"):
        for channel in ("mail", "chat"):
            for hour in (9, 10):
                toy.call(hour=hour, agent=agent, channel=channel, ms=5)
    toy.at(LAST)
    toy.run()
    assert toy.ledger()[0] == "sealed"
    return toy


def of(toy: Toy, agent: str) -> list[Call]:
    return [each for each in toy.calls.values() if each.agent == agent]


def test_a_unit_is_kept_or_restated_whole(sealed: Toy) -> None:
    """Row by row, a renamed channel would be kept beside its new name, and counted twice."""
    before = sealed.stored()
    sealed.lose(of(sealed, "ada")[0])
    renamed = of(sealed, "bob")
    for each in renamed[:2]:
        sealed.change(each, channel="post")
    sealed.call(agent="eve")
    ran = sealed.run()
    stored, wanted = sealed.stored(), sealed.wanted()
    assert {key: row for key, row in stored.items() if key[1] == "ada"} == {
        key: row for key, row in before.items() if key[1] == "ada"
    }
    assert {key: row for key, row in stored.items() if key[1] != "ada"} == {
        key: row for key, row in wanted.items() if key[1] != "ada"
    }
    assert (ran.entry.kept, ran.entry.kept_rows) == ({"ada": {"calls": 1}}, 1)
    assert (ran.deleted, ran.entry.source_rows, ran.entry.totals["calls"]) == (2, 8, 9)
    hours = ["2026-03-04T09:00:00+00:00", "2026-03-04T10:00:00+00:00"]
    assert sealed.restated() == [
        *(("bob", "mail", hour, "1", None) for hour in hours),
        *(("bob", "post", hour, None, "1") for hour in hours),
        *(("eve", channel, hours[0], None, "1") for channel in (WHOLE, "mail")),
    ]


def test_what_is_accepted_goes(sealed: Toy) -> None:
    sealed.lose(*of(sealed, "ada")[:3])
    ran = sealed.run(intent=Intent.ACCEPT, reason="deleted on request")
    assert sealed.stored() == sealed.wanted()
    assert (ran.entry.kept, sealed.ledger()[0]) == ({}, "sealed")


def test_one_unit_is_restated_alone(sealed: Toy) -> None:
    for agent in ("ada", "bob"):
        sealed.lose(of(sealed, agent)[0])
    sealed.run(intent=Intent.ACCEPT, unit="bob", reason="of bob alone")
    assert {key[0] for key in sealed.restated()} == {"bob"}
    assert sealed.ledger()[4] == {"ada": {"calls": 1}}


def test_the_seal_is_guarded(sealed: Toy) -> None:
    """The guard knows the family from its arguments, and a row of an hour by its day."""
    with pytest.raises(psycopg.Error, match="toy_hourly of 2026-03-04 is sealed"):
        sealed.superuser.execute("update usage.toy_usage set calls = 9 where channel = 'mail'")


def test_altered_rows_are_refused(sealed: Toy) -> None:
    sealed.superuser.execute("set session_replication_role = replica")
    sealed.superuser.execute("update usage.toy_usage set calls = calls + 1 where channel = 'mail'")
    with pytest.raises(
        Refusal, match="toy_hourly of 2026-03-04 holds rows that were altered since its last run"
    ):
        sealed.run()


def test_a_source_that_lost_most_is_refused(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "LEAST_ROWS", 4)
    calls = fill(toy)
    toy.run()
    toy.lose(*calls[:40])
    with pytest.raises(Refusal, match="would lose most of its calls: 60 are stored, the source has 20"):
        toy.run()
    assert len(toy.stored()) > 0


def test_a_day_needs_its_hours(toy: Toy) -> None:
    with pytest.raises(
        Refusal, match=r"toy_daily of 2026-03-04 is not computed: never computed of toy_hourly: 2026-03-04"
    ):
        toy.run("toy_daily")


def test_one_unit_of_an_open_day(toy: Toy) -> None:
    """What a call for one unit does: its rows alone, as far as the day was read."""
    fill(toy)
    toy.run()
    ada, bob = toy.call(agent="ada", ms=1), toy.call(agent="bob", ms=1)
    ran = toy.run(intent=Intent.USER, unit="ada")
    assert ran.entry.source_rows == 61
    assert {key: row for key, row in toy.stored().items() if key[1] == "ada"} == {
        key: row for key, row in toy.wanted().items() if key[1] == "ada"
    }
    toy.lose(bob)
    assert toy.stored() == toy.wanted()
    assert ada.id in toy.calls
