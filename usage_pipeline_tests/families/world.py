"""The toy in a database: its source, its runs, and what is stored."""

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
from psycopg import sql

from usage_pipeline.engine.plan import Intent
from usage_pipeline.engine.run import Order, Ran, run
from usage_pipeline.periods.calendar import window
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import set_clock
from usage_pipeline_tests.families import oracle
from usage_pipeline_tests.families.oracle import Call, Key, Row
from usage_pipeline_tests.families.toy import TOY

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
        superuser.execute((FOLDER / "table.sql").read_bytes())

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
