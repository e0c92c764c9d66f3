"""Runs that stop at named points, so that a test decides who goes on."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar
from unittest.mock import patch
from uuid import UUID

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from usage_pipeline.engine import run as engine
from usage_pipeline.engine.plan import Intent
from usage_pipeline.engine.run import Order
from usage_pipeline.periods import calendar
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.statements import driver

POINTS: Final = ("begun", "locked", "looked", "read", "written")
"""Where a run stops: before and after its own lock; before, within and after the statement that writes."""
LOOK: Final = {
    "begun": "  insert into usage.rollup_ledger (rollup, period_start, period_end) values",
    "locked": "  if own.computed_at is null then",
    "looked": "  return query\n",
}
READ: Final = b"FROM computed \nWHERE "
RECORD: Final = b"UPDATE usage.rollup_ledger"
CALLED: Final = "called"
RETURNED: Final = "returned"
ENDED: Final = ("committed", "refused")
PATIENCE: Final = 20
GATE: Final = """
create or replace function usage_private.wait_at(point text) returns boolean language plpgsql as $$
begin
  perform pg_catalog.pg_advisory_xact_lock_shared(
    pg_catalog.current_setting('gates.runner', true)::integer,
    pg_catalog.array_position('{begun,locked,looked,read,written}', point));
  return true;
end
$$;
grant execute on function usage_private.wait_at to public;
"""
Option = TypeVar("Option")


@dataclass(frozen=True)
class Call:
    """One run of the engine."""

    rollup: str
    start: datetime
    intent: str = "run"
    user_id: UUID | None = None

    @property
    def order(self) -> Order:
        rollup = ROLLUPS[self.rollup]
        family, grain = rollup.family, rollup.level
        period = calendar.window(grain.run_period, self.start.date())
        reason = None if self.intent == "run" else "a test"
        return Order(family, grain, period, "test", Intent(self.intent), self.user_id, reason)


class Chooser(Protocol):
    """Decides who goes on."""

    def pick(self, options: Sequence[Option]) -> Option: ...


class EveryChoice:
    """Play after play, every choice that can be made; the last that can still differ differs next."""

    def __init__(self) -> None:
        self._path: list[tuple[int, int]] = []
        self._depth = 0

    def pick(self, options: Sequence[Option]) -> Option:
        if self._depth == len(self._path):
            self._path.append((0, len(options)))
        chosen, count = self._path[self._depth]
        assert count == len(options), "the same choices led somewhere else"
        self._depth += 1
        return options[chosen]

    def plays(self) -> Iterator["EveryChoice"]:
        while True:
            self._depth = 0
            yield self
            while self._path and self._path[-1][0] + 1 == self._path[-1][1]:
                self._path.pop()
            if not self._path:
                return
            chosen, count = self._path.pop()
            self._path.append((chosen + 1, count))


class AnyChoice:
    """Choices as they fall."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def pick(self, options: Sequence[Option]) -> Option:
        return self._random.choice(options)


@dataclass
class Runner:
    """A session with one run in it, and where it stands."""

    number: int
    connection: Connection
    call: Call
    place: str = CALLED
    running: "Future[Any]" = field(default_factory=Future)
    error: BaseException | None = None

    @property
    def pid(self) -> int:
        return driver(self.connection).info.backend_pid

    @property
    def can_go_on(self) -> bool:
        return self.place in POINTS or self.place == RETURNED


class Stage:
    """Runs of one database, each held at its next point until it is let go."""

    def __init__(self, server: Server, database: str, size: int = 3) -> None:
        self.master = server.connect(database)
        name = psycopg.sql.Identifier(database)
        self.master.execute(psycopg.sql.SQL("alter database {} set deadlock_timeout to '200ms'").format(name))
        self.install()
        self._reading = patch.object(statements, "rendered", _rendered_with_gates)
        self._reading.start()
        self._pool = ThreadPoolExecutor(size)
        self._warehouse = Warehouse(server.url(database), connections=size)
        self._sessions = [self._session(number) for number in range(size)]
        self.runners: list[Runner] = []

    def install(self, instead: dict[str, str] | None = None) -> None:
        """The run with its gates; a test may put a statement of its own after one."""
        self.master.execute(GATE.encode())
        self.master.execute(_gated(statements.read("engine.sql", "look"), instead or {}).encode())

    def close(self) -> None:
        self._reading.stop()
        for session in self._sessions:
            session.close()
        self._warehouse.dispose()
        self._pool.shutdown()
        self.master.close()

    def begin(self, *calls: Call) -> list[Runner]:
        """The runs, each before its first statement that matters, or at somebody else's lock."""
        for number in range(len(calls)):
            for point in range(len(POINTS)):
                self.master.execute("select pg_advisory_lock(%s, %s)", [number, point + 1])
        self.runners = [Runner(at, self._sessions[at], call) for at, call in enumerate(calls)]
        for runner in self.runners:
            runner.running = self._pool.submit(self._run, runner)
        self.settle(others_hold=True)
        return self.runners

    def end(self) -> None:
        """Whatever was begun is undone."""
        self.master.execute("select pg_advisory_unlock_all()")
        for runner in self.runners:
            if runner.place not in ENDED:
                runner.running.exception(PATIENCE)
                runner.connection.rollback()

    @contextmanager
    def playing(self, *calls: Call) -> Iterator[list[Runner]]:
        """Runs that are undone if the test does not bring them to their end."""
        try:
            yield self.begin(*calls)
        finally:
            self.end()

    def go_on(self, runner: Runner, *, others_hold: bool = False) -> None:
        """Let one pass the point it stands at, until everybody stands again."""
        if runner.place == RETURNED:
            runner.connection.commit()
            runner.place = "committed"
        else:
            point = POINTS.index(runner.place) + 1
            runner.place = CALLED
            self.master.execute("select pg_advisory_unlock(%s, %s)", [runner.number, point])
        self.settle(others_hold=others_hold)

    def settle(self, *, others_hold: bool = False) -> None:
        """Return once each has come to a point, to an end, or to a lock; to others' only if they hold any."""
        deadline = time.monotonic() + PATIENCE
        before: list[str] = []
        while time.monotonic() < deadline:
            self._look()
            places = [runner.place for runner in self.runners]
            if CALLED not in places and places == before and (others_hold or self._goes_on()):
                return
            before = places
            time.sleep(0.0005)
        raise AssertionError(f"nobody can go on: {[(each.call, each.place) for each in self.runners]}")

    def _goes_on(self) -> bool:
        return all(runner.place in ENDED for runner in self.runners) or any(
            runner.can_go_on for runner in self.runners
        )

    def _look(self) -> None:
        waits = {
            pid: "blocked" if point is None else POINTS[point - 1]
            for pid, point in self.master.execute(
                "select pid, case when locktype = 'advisory' and objsubid = 2 then objid::bigint end"
                " from pg_locks where not granted and pid = any (%s)"
                " and locktype in ('advisory', 'relation', 'transactionid', 'tuple')",
                [[runner.pid for runner in self.runners]],
            )
        }
        for runner in self.runners:
            if runner.place not in ENDED:
                runner.place = self._place(runner, waits)

    def _place(self, runner: Runner, waits: dict[int, str]) -> str:
        if not runner.running.done():
            return waits.get(runner.pid, CALLED)
        error = runner.running.exception()
        if error is None:
            return RETURNED
        assert isinstance(error, Refusal | DBAPIError | psycopg.Error), error
        runner.error = error.orig if isinstance(error, DBAPIError) else error
        runner.connection.rollback()
        return "refused"

    @staticmethod
    def _run(runner: Runner) -> Any:
        return engine.run(runner.connection, runner.call.order)

    def _session(self, number: int) -> Connection:
        session = self._warehouse.engine(Role.WRITER).connect()
        session.exec_driver_sql("set lock_timeout = '15s'")
        session.exec_driver_sql("select set_config('gates.runner', %s, false)", (str(number),))
        session.commit()
        return session


_rendered: Final = statements.rendered


def _rendered_with_gates(statement: Any) -> tuple[bytes, tuple[str, ...], dict[str, Any]]:
    """The statement that writes stops once it has read; the one that records stops before."""
    text, names, constants = _rendered(statement)
    if text.startswith(RECORD):
        return text + b" AND usage_private.wait_at('written')", names, constants
    return text.replace(READ, READ + b"usage_private.wait_at('read') AND ", 1), names, constants


def _gated(body: str, instead: dict[str, str]) -> str:
    for point, anchor in LOOK.items():
        assert body.count(anchor) == 1, anchor
        gate = f"perform usage_private.wait_at('{point}'); {instead.get(point, '')}\n"
        body = body.replace(anchor, gate + anchor)
    return body
