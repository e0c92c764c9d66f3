"""`backfill` killed, without its database, beside itself: whole periods only; the same command goes on."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from usage_pipeline.demo import loading, oracle, story, verification
from usage_pipeline.periods.calendar import Grain, Window, window, windows
from usage_pipeline.warehouse import embedded, postmaster
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.own_stack import halted, until
from usage_pipeline_tests.conftest import drop_database, migrate
from usage_pipeline_tests.stack import Checkout, Done

pytestmark = pytest.mark.stack

DAYS: Final = 40
LAST: Final = datetime.now(UTC).date() - timedelta(days=2)
FIRST: Final = LAST - timedelta(days=DAYS - 1)
COMMAND: Final = ("backfill", "tokens_daily", "--from", str(FIRST), "--to", str(LAST))
EVERY_GRAIN: Final = ("backfill", "all", "--from", str(FIRST), "--to", "yesterday")
SPANS: Final = {
    grain: list(windows(grain, FIRST, LAST + timedelta(days=1)))
    for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
}
SLOWLY: Final = """
create or replace function public.slowly() returns trigger language plpgsql as $$
begin perform pg_sleep({}); return new; end $$;
create or replace trigger slowly before update on usage.rollup_ledger
for each row execute function public.slowly()
"""


class Application:
    """A story of forty days in a database of its own, and our commands on it."""

    def __init__(self, server: Server, checkout: Checkout, database: str) -> None:
        self.server, self.checkout, self.database = server, checkout, database
        self.story = story.tell(LAST, DAYS)
        with server.connect() as connection:
            embedded.create_database(connection, database, owner=embedded.LOGIN)
        with server.connect(database, embedded.LOGIN) as connection, connection.transaction():
            loading.create_application(connection)
            loading.load(connection, self.story)
        migrate(Warehouse(server.url(database)), FIRST, 7)
        self.take(0.05)

    @property
    def environment(self) -> dict[str, str]:
        url = self.server.url(self.database).set(drivername="postgresql")
        return {
            "USAGE_DATABASE_URL": url.render_as_string(),
            "USAGE_START": str(FIRST),
            "USAGE_CONNECTIONS": "2",
        }

    def __call__(self, *words: str) -> Done:
        return self.checkout.usage_pipeline(*words, **self.environment)

    def take(self, seconds: float) -> None:
        """From now on a day takes so long."""
        with self.server.connect(self.database) as connection:
            connection.execute(psycopg.sql.SQL(SLOWLY).format(seconds))

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A backfill, in a process that can be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "usage_pipeline", *(words or COMMAND)],
            cwd=self.checkout.folder, env=self.checkout.environment(**self.environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ledger(self) -> dict[date, tuple[Any, ...]]:
        """The computed days, each with what changes whenever its row is written."""
        with self.server.connect(self.database) as connection:
            rows = connection.execute(
                "select period_start, run_id, computed_at, xmin::text from usage.rollup_ledger"
                " where covered_until is not null"
            ).fetchall()
        return {row[0].date(): row[1:] for row in rows}

    def finished(self) -> dict[tuple[str, date], tuple[Any, ...]]:
        """The periods that are computed to their end, each with what changes whenever its row is written."""
        with self.server.connect(self.database) as connection:
            rows = connection.execute(
                "select rollup, period_start, run_id, computed_at, xmin::text from usage.rollup_ledger"
                " where covered_until = period_end"
            ).fetchall()
        return {(row[0], row[1].date()): row[2:] for row in rows}

    def computed_count(self) -> int:
        """How many periods of every grain are computed, be it in part."""
        with self.server.connect(self.database) as connection:
            row = connection.execute(
                "select count(*) from usage.rollup_ledger where covered_until is not null"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def require_whole_periods(self) -> None:
        """Every grain holds what plain Python computes from the answers, or nothing of a period."""
        computed = oracle.everything(self.story.messages, self.story.sessions, now=datetime.now(UTC))
        with self.server.connect(self.database) as connection:
            rows = connection.execute(
                "select rollup, period_start from usage.rollup_ledger where covered_until is not null"
            ).fetchall()
        there = {(rollup, start.date()) for rollup, start in rows}
        warehouse = Warehouse(self.server.url(self.database))
        for grain, spans in SPANS.items():
            with warehouse.begin(Role.READER) as connection:
                bounds = Window(spans[0].start, spans[-1].end)
                stored = verification.stored_periods(connection, grain, bounds)
            expected = computed[grain].periods.items()
            assert stored == {key: row for key, row in expected if (f"tokens_{grain}", key[0]) in there}
        warehouse.dispose()

    def stored(self) -> dict[tuple[date, UUID], oracle.Period]:
        bounds = Window(window(Grain.DAILY, FIRST).start, window(Grain.DAILY, LAST).end)
        warehouse = Warehouse(self.server.url(self.database))
        with warehouse.begin(Role.READER) as connection:
            found = verification.stored_periods(connection, Grain.DAILY, bounds)
        warehouse.dispose()
        return found

    def expected(self, days: set[date]) -> dict[tuple[date, UUID], oracle.Period]:
        now = datetime.now(UTC)
        rows = oracle.tokens(Grain.DAILY, self.story.messages, self.story.sessions, now=now)
        return {key: row for key, row in rows.items() if key[0] in days}

    def wait_for(self, days: int, process: "subprocess.Popen[str]") -> None:
        """Return once so many days are computed."""
        deadline = time.monotonic() + stack.PATIENCE
        while len(self.ledger()) < days:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the project; Dagster's storage stands on its embedded server."""
    folder = Path(tempfile.mkdtemp(prefix="usage-kill-"))
    yield stack.copy(folder)
    embedded.remove(embedded.of(folder / ".usage"))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def application(server: Server, checkout: Checkout) -> Iterator[Application]:
    name = f"killed_{time.monotonic_ns()}"
    yield Application(server, checkout, name)
    drop_database(server, name)


def backfills(application: Application) -> list[dict[str, Any]]:
    listed = application("backfill", "--list", "--json")
    assert listed.code == 0, listed.said
    found: list[dict[str, Any]] = json.loads(listed.out)["data"]
    return found


def break_it(application: Application, days: int, how: Callable[["subprocess.Popen[str]"], object]) -> str:
    """Start the backfill and break it once so many days more are there; what it said at its end."""
    with application.start() as process:
        try:
            application.wait_for(len(application.ledger()) + days, process)
            time.sleep(random.uniform(0, 0.1))  # noqa: S311 - anywhere within a day's work
            how(process)
            return process.communicate(timeout=stack.PATIENCE)[1]
        finally:
            process.kill()


def settle(application: Application) -> None:
    """Wait until the database has noticed that its client is gone."""
    deadline = time.monotonic() + 20
    with application.server.connect() as connection:
        while connection.execute(
            "select from pg_stat_activity where datname = %s", [application.database]
        ).fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_killed_anywhere_it_leaves_whole_days_and_goes_on(application: Application) -> None:
    """What is finished is not computed again, and Dagster does not wait for the dead."""
    finished: dict[date, tuple[Any, ...]] = {}
    for days in (random.randrange(1, 8), random.randrange(1, 8)):  # noqa: S311
        break_it(application, days, lambda process: process.kill())
        settle(application)
        before, finished = finished, application.ledger()
        assert before.items() <= finished.items(), "a finished day is computed again"
        assert len(before) < len(finished) < DAYS
        assert application.stored() == application.expected(set(finished)), "a day is there in part"
        (shown,) = backfills(application)
        assert (shown["state"], shown["finished_periods"]) == ("interrupted", len(finished))
    done = application(*COMMAND)
    assert done.code == 0, done.said
    assert f"backfill {shown['id']} of" in done.said
    assert f"{DAYS - len(finished)} days computed" in done.said
    assert f"{len(finished)} stood already" in done.said
    assert finished.items() <= application.ledger().items()
    assert application.stored() == application.expected({FIRST + timedelta(days=n) for n in range(DAYS)})
    (shown,) = backfills(application)
    assert (shown["state"], shown["finished_periods"], len(shown["run_ids"])) == ("done", DAYS, 3)
    assert statuses(application) == ["FAILURE", "FAILURE", "SUCCESS"]
    assert materialized(application) == DAYS, "Dagster records the finished days too"
    again = application(*COMMAND)
    assert f"{DAYS} days computed" in again.said, "after it has ended, it recomputes"
    assert "0 changed" in again.said
    assert not finished.items() & application.ledger().items()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_in_any_grain_it_goes_on(application: Application, seed: int) -> None:
    """Days, half of the weeks and no month: a sum that lacks a day looks like any other."""
    points = random.Random(seed)  # noqa: S311 - where it is killed
    total = sum(map(len, SPANS.values()))
    days = len(SPANS[Grain.DAILY])
    finished: dict[tuple[str, date], tuple[Any, ...]] = {}
    for point in (
        points.randrange(1, days),
        points.randrange(days, days + 4),
        points.randrange(days, total - 4),
    ):
        with application.start(*EVERY_GRAIN) as process:
            while application.computed_count() < point:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.01)
            time.sleep(points.uniform(0, 0.05))
            process.kill()
        settle(application)
        before, finished = finished, application.finished()
        assert before.items() <= finished.items(), "a finished period is computed again"
        application.require_whole_periods()
        (shown,) = backfills(application)
        assert (shown["state"], shown["periods"]) == ("interrupted", total)
        assert len(finished) <= shown["finished_periods"] < total
    done = application(*EVERY_GRAIN)
    assert done.code == 0, done.said
    assert f"{len(finished)} of {total} periods stand" in done.said
    assert f"{len(finished)} stood already" in done.said
    assert finished.items() <= application.finished().items()
    assert application.computed_count() == total
    application.require_whole_periods()
    (shown,) = backfills(application)
    assert (shown["state"], shown["finished_periods"]) == ("done", total)
    assert len(shown["run_ids"]) == len(set(shown["run_ids"])) > 4
    ended = statuses(application)
    assert set(ended) == {"SUCCESS", "FAILURE"}, "Dagster waits for nobody that is dead"
    assert ended[-4:] == ["SUCCESS"] * 4
    again = application(*EVERY_GRAIN)
    assert "rows inserted 0 · updated 0 · deleted 0" in again.said
    assert f"{days} days, " in again.said, "after it has ended, it recomputes"
    assert not finished.items() & application.finished().items()


@contextmanager
def storage(application: Application) -> Iterator[psycopg.Connection]:
    """Dagster's own database of this copy."""
    server = embedded.of(application.checkout.folder / ".usage")
    with embedded.held(server), server.connect(embedded.DAGSTER_DATABASE) as connection:
        yield connection


def statuses(application: Application) -> list[str]:
    """How Dagster says that the runs of the last backfill ended."""
    (shown, *_) = backfills(application)
    with (
        embedded.held(embedded.of(application.checkout.folder / ".usage")),
        storage(application) as connection,
    ):
        rows = connection.execute(
            "select status from runs where run_id = any(%s) order by id", [shown["run_ids"]]
        ).fetchall()
    return [status for (status,) in rows]


def materialized(application: Application) -> int:
    """How many days Dagster shows as done by the last run."""
    (shown, *_) = backfills(application)
    with (
        embedded.held(embedded.of(application.checkout.folder / ".usage")),
        storage(application) as connection,
    ):
        row = connection.execute(
            "select count(distinct partition) from event_logs"
            " where dagster_event_type = 'ASSET_MATERIALIZATION' and run_id = %s",
            [shown["run_ids"][-1]],
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_ended_by_ctrl_c_it_goes_on_too(application: Application) -> None:
    """The line it ends with is the command that goes on."""
    said = break_it(application, 3, lambda process: process.send_signal(signal.SIGINT))
    assert "interrupted; what is committed stays. Go on: " in said
    assert " ".join(COMMAND) in said
    assert "Traceback" not in said
    assert statuses(application) == ["CANCELED"], "a person's no is not a failure"
    finished = application.ledger()
    assert application.stored() == application.expected(set(finished))
    status = json.loads(application("status", "--json").out)["data"]["backfills"]["open"]
    assert [(each["state"], each["finished_periods"]) for each in status] == [("interrupted", len(finished))]
    done = application(*COMMAND, "--restart")
    assert done.code == 0, done.said
    assert f"{DAYS} days computed" in done.said
    assert "stood already" not in done.said
    assert [each["state"] for each in backfills(application)] == ["done", "superseded"]
    assert json.loads(application("status", "--json").out)["data"]["backfills"]["open"] == []


def test_the_same_command_beside_itself_says_who_runs(application: Application) -> None:
    """Two of one range would do everything twice and call it one backfill."""

    with application.server.connect(application.database) as superuser, application.start() as process:
        try:
            with halted(superuser, "tokens_daily", LAST) as is_halted:
                until(is_halted)
                done = application(*COMMAND)
                assert done.code == 4, done.said
                assert "of this range is running already" in done.said
                assert "backfill --list" in done.said
                shown, *_ = backfills(application)
                assert shown["state"] == "running"
            process.communicate(timeout=stack.PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0
    assert application.stored() == application.expected({FIRST + timedelta(days=n) for n in range(DAYS)})


def test_a_database_that_is_killed_in_the_middle(checkout: Checkout) -> None:
    """A power cut at the server: one line here, whole days there, and the same command goes on."""
    own = embedded.of(Path(tempfile.mkdtemp(prefix="usage-cut-")))
    try:
        embedded.start(own)
        application = Application(own, checkout, "cut")
        said = break_it(application, 5, lambda process: os.kill(pid_of(own), signal.SIGKILL))
        (line,) = [each for each in said.splitlines() if not each.startswith(("tokens_daily", " "))]
        assert "computed and stay" in line
        assert "lost" in line or "cannot be reached" in line or "terminat" in line, line
        embedded.start(own)
        finished = application.ledger()
        assert 5 <= len(finished) < DAYS
        assert application.stored() == application.expected(set(finished))
        done = application(*COMMAND)
        assert done.code == 0, done.said
        assert f"{len(finished)} stood already" in done.said
        assert finished.items() <= application.ledger().items()
        everything = {FIRST + timedelta(days=number) for number in range(DAYS)}
        assert application.stored() == application.expected(everything)
    finally:
        embedded.remove(own)
        shutil.rmtree(own.home, ignore_errors=True)


def pid_of(server: Server) -> int:
    pid = postmaster.pid_of(server.data)
    assert pid is not None
    return pid


def until_it_waits(application: Application, process: "subprocess.Popen[str]") -> None:
    """Return once it stands before a lock."""
    deadline = time.monotonic() + stack.PATIENCE
    with application.server.connect() as looking:
        while not looking.execute(
            "select from pg_stat_activity where datname = %s and wait_event_type = 'Lock'",
            [application.database],
        ).fetchall():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)


def test_killed_before_it_was_recorded(application: Application) -> None:
    """Nothing is known of it anywhere: the same command begins."""
    with (
        application.start() as process,
        application.server.connect(application.database) as blocking,
        blocking.transaction(),
    ):
        blocking.execute("lock table usage.backfills in exclusive mode")
        until_it_waits(application, process)
        process.kill()
        process.communicate(timeout=20)
    assert backfills(application) == []
    assert application.ledger() == {}
    done = application(*COMMAND)
    assert done.code == 0, done.said


def test_killed_before_its_run_was_recorded(application: Application) -> None:
    """Only Dagster knows of such a run, and waits for it: four of them, and it launches nothing any more."""
    words = ("backfill", "tokens_daily", "tokens_weekly", *EVERY_GRAIN[2:])
    with (
        application.start(*words) as process,
        application.server.connect(application.database) as blocking,
        blocking.transaction(),
    ):
        application.wait_for(5, process)
        blocking.execute("lock table usage.backfills in exclusive mode")
        until_it_waits(application, process)
        process.kill()
        process.communicate(timeout=20)
    done = application(*words)
    assert done.code == 0, done.said
    with storage(application) as connection:
        rows = connection.execute("select status from runs order by id desc limit 4").fetchall()
    assert [status for (status,) in rows] == ["SUCCESS", "SUCCESS", "FAILURE", "SUCCESS"]


def test_whoever_loses_its_session_stops(application: Application) -> None:
    """Without it somebody else may take the range up: two would work on one backfill."""
    application.take(0.2)

    def terminate(process: "subprocess.Popen[str]") -> None:
        with application.server.connect(application.database) as connection:
            gone = connection.execute(
                "select pg_terminate_backend(pid) from pg_locks"
                " where locktype = 'advisory' and mode = 'ExclusiveLock' and"
                " database = (select oid from pg_database where datname = current_database())"
            ).fetchall()
        assert gone == [(True,), (True,)], "that of its record, and that of the process"

    said = break_it(application, 2, terminate)
    line = said.splitlines()[-1]
    finished = application.ledger()
    assert 2 <= len(finished) < DAYS
    assert "computed and stay" in line, line
    assert "was lost" in line, line
    assert application.stored() == application.expected(set(finished))
    application.take(0)
    done = application(*COMMAND)
    assert done.code == 0, done.said
    assert f"{len(finished)} stood already" in done.said
