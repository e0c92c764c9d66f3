"""Runs that stop at named points, so that a test decides who goes on."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import psycopg

from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.embedded import Server

POINTS: Final = {
    "begun": "  insert into usage.rollup_ledger (rollup, period_start, period_end) values",
    "locked": "  clock := usage_private.now();",
    "looked": "  is_raw := step.below is null",
    "read": "where (replace_tokens.written_user is null or computed.user_id = replace_tokens.written_user)",
    "written": "  if led.state is distinct from 'sealed' or written.inserted",
}
"""Where a run stops: before and after its own lock; before, within and after the statement that writes."""
CALLED: Final = "called"
RETURNED: Final = "returned"
ENDED: Final = ("committed", "refused")
PATIENCE: Final = 20
RUN: Final = (
    "select said, inserted + updated + deleted as changed from usage_private.run_tokens("
    "%(rollup)s, %(start)s, %(intent)s, %(user_id)s, %(reason)s, 'test', 'test')"
)
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
    """One run, as `run_tokens` is called."""

    rollup: str
    start: datetime
    intent: str = "run"
    user_id: UUID | None = None

    @property
    def binds(self) -> dict[str, object]:
        reason = None if self.intent == "run" else "a test"
        return {**vars(self), "reason": reason}


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
    connection: psycopg.Connection
    call: Call
    place: str = CALLED
    running: "Future[Any]" = field(default_factory=Future)
    error: psycopg.Error | None = None

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
        self._pool = ThreadPoolExecutor(size)
        self._sessions = [self._session(server, database, number) for number in range(size)]
        self.runners: list[Runner] = []

    def install(self, instead: dict[str, str] | None = None) -> None:
        """The run with its gates; a test may put a statement of its own in the place of one."""
        self.master.execute(GATE.encode())
        for name in ("run_tokens", "replace_tokens"):
            self.master.execute(_gated(statements.read("rollups.sql", name), instead or {}).encode())

    def close(self) -> None:
        for session in self._sessions:
            session.close()
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
            point = list(POINTS).index(runner.place) + 1
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
            pid: "blocked" if point is None else list(POINTS)[point - 1]
            for pid, point in self.master.execute(
                "select pid, case when locktype = 'advisory' and objsubid = 2 then objid::bigint end"
                " from pg_locks where not granted and pid = any (%s)"
                " and locktype in ('advisory', 'relation', 'transactionid', 'tuple')",
                [[runner.connection.info.backend_pid for runner in self.runners]],
            )
        }
        for runner in self.runners:
            if runner.place not in ENDED:
                runner.place = self._place(runner, waits)

    def _place(self, runner: Runner, waits: dict[int, str]) -> str:
        if not runner.running.done():
            return waits.get(runner.connection.info.backend_pid, CALLED)
        error = runner.running.exception()
        if error is None:
            return RETURNED
        assert isinstance(error, psycopg.Error), error
        runner.error = error
        runner.connection.rollback()
        return "refused"

    @staticmethod
    def _run(runner: Runner) -> Any:
        return runner.connection.execute(RUN, runner.call.binds).fetchone()

    @staticmethod
    def _session(server: Server, database: str, number: int) -> psycopg.Connection:
        session = server.connect(database, embedded.LOGIN)
        session.execute("set role usage_writer")
        session.execute("set lock_timeout = '15s'")
        session.execute("select set_config('gates.runner', %s, false)", [str(number)])
        session.autocommit = False
        return session


def _gated(body: str, instead: dict[str, str]) -> str:
    for point, anchor in POINTS.items():
        if anchor not in body:
            continue
        assert body.count(anchor) == 1, anchor
        if anchor.startswith("where"):
            gated = anchor.replace("where", f"where usage_private.wait_at('{point}') and")
        else:
            gated = f"perform usage_private.wait_at('{point}'); {instead.get(point, '')}\n{anchor}"
        body = body.replace(anchor, gated)
    return body
