"""The power fails in the middle of a backfill; `up` again: it is told failed, ends, and blocks nobody."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli import own_stack
from usage_pipeline_tests.cli.own_stack import cut_power, halted, launch, runs, until, up
from usage_pipeline_tests.cli.test_up import verb
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.stack import Checkout

pytestmark = pytest.mark.stack

TODAY: Final = datetime.now(UTC).date()
DAYS: Final = [TODAY - timedelta(days=number) for number in range(6, 0, -1)]
HALTED: Final = DAYS[1]
DAEMON_LOOKS_AFTER: Final = 3 * stack.MONITORING_SECONDS


@dataclass(frozen=True)
class Own:
    """A stack whose server holds the application's database and Dagster's: no power, no database."""

    checkout: Checkout
    server: Server

    def superuser(self) -> psycopg.Connection:
        return self.server.connect(embedded.DATABASE)

    def ledger(self) -> dict[tuple[str, date], str]:
        """The periods that are computed, each with the run that did it."""
        with self.superuser() as connection:
            rows = connection.execute(
                "select rollup, period_start, run_id from usage.rollup_ledger where covered_until is not null"
            ).fetchall()
        return {(rollup, start.astimezone(UTC).date()): run_id for rollup, start, run_id in rows}

    def stored(self) -> dict[str, tuple[int, int]]:
        """The answers and the tokens that stand in each grain."""
        with self.superuser() as connection:
            rows = connection.execute(
                "select period_type, sum(message_count)::bigint, sum(total_tokens)::bigint"
                " from usage.user_token_usage group by 1"
            ).fetchall()
        return {grain: (answers, tokens) for grain, answers, tokens in rows}

    def listed(self) -> dict[str, Any]:
        """The last backfill, as `backfill --list` has it."""
        document = json.loads(verb(self.checkout, "backfill", "--list", "--json").out)
        found: dict[str, Any] = document["data"][0]
        return found


def launched_once(own: Own, address: str) -> str:
    """One day is computed by a run of the page: only then Dagster knows the limit of its grain."""
    first = launch(address, DAYS[2])
    until(lambda: runs(address)[first]["status"] == "SUCCESS")
    return first


@pytest.fixture
def own() -> Iterator[Own]:
    """Six days with an answer each, nothing computed."""
    with stack.checked_out("usage-power-") as checkout:
        found = Own(checkout, embedded.of(checkout.folder / ".usage"))
        with embedded.held(found.server):
            with found.server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
                loading.create_application(connection)
                for day in DAYS:
                    Chat(connection).answer(at=datetime(day.year, day.month, day.day, 3, tzinfo=UTC))
            assert verb(checkout, "migrate", "apply").code == 0
        yield found


def everything(*grains: str) -> dict[str, tuple[int, int]]:
    """Each answer once in every grain."""
    return {grain: (len(DAYS), 15 * len(DAYS)) for grain in grains}


@contextmanager
def without_power(own: Own) -> Iterator[tuple[str, str]]:
    """A run of the page stands still while the body looks at it, and everything ends with the body."""
    with (
        up(own.checkout) as address,
        own.superuser() as superuser,
        halted(superuser, "tokens_daily", HALTED) as is_halted,
    ):
        run = launch(address, HALTED)
        until(is_halted)
        yield address, run
        cut_power(own.checkout)


def test_a_run_of_the_page(own: Own) -> None:
    """Dagster would wait for it for two hours, and start nothing of its grain meanwhile."""
    with without_power(own) as (_, killed):
        pass
    with up(own.checkout) as address:
        assert runs(address)[killed]["status"] == "FAILURE"
        until(lambda: [found["status"] for found in runs(address).values()] == ["SUCCESS", "FAILURE"])
        other = launch(address, DAYS[0])
        until(lambda: runs(address)[other]["status"] == "SUCCESS")
        assert set(own.ledger()) == {("tokens_daily", DAYS[0]), ("tokens_daily", HALTED)}
        assert own.stored() == {"daily": (2, 30)}


def test_a_run_in_a_container_that_is_gone(own: Own) -> None:
    """The one that is started in its place sees none of its processes, and the grain must not wait for it."""
    with without_power(own) as (address, killed):
        with own.server.connect(embedded.DAGSTER_DATABASE) as connection:
            moved = "update runs set run_body = replace(run_body, %s, %s) where run_id = %s"
            connection.execute(moved, [f" on {socket.gethostname()} ", " on a gone one ", killed])
        assert " on a gone one " in runs(address)[killed]["tags"]["usage/process"]
        time.sleep(DAEMON_LOOKS_AFTER)
        assert runs(address)[killed]["status"] == "STARTED", "its lock is held: it works elsewhere"
    with up(own.checkout) as address:
        assert runs(address)[killed]["status"] == "FAILURE"
        until(lambda: [found["status"] for found in runs(address).values()] == ["SUCCESS", "FAILURE"])
        assert own.stored() == {"daily": (1, 15)}


def test_a_typed_backfill(own: Own) -> None:
    """Nobody tries again what a person typed: the same command goes on, and the page does not wait for it."""
    command = ("backfill", "all", "--from", str(DAYS[0]), "--to", str(DAYS[-1]))
    with up(own.checkout) as address, own.superuser() as superuser:
        first = launched_once(own, address)
        with halted(superuser, "tokens_daily", DAYS[-1]) as is_halted:
            typed = own.checkout.start(*command)
            until(lambda: is_halted() and len(own.ledger()) == len(DAYS) - 1)
            until(lambda: first not in own.ledger().values())
            finished = own.ledger()
            (killed,) = set(runs(address)) - {first}
            assert runs(address)[killed]["status"] == "STARTED"
            cut_power(own.checkout)
        assert typed.process.wait(60) == -signal.SIGKILL
    with up(own.checkout) as address:
        assert runs(address)[killed]["status"] == "FAILURE"
        assert own.ledger() == finished
        assert own.stored() == {"daily": (len(DAYS) - 1, 15 * (len(DAYS) - 1))}
        assert own.listed()["state"] == "interrupted"
        page = launch(address, DAYS[-1])
        until(lambda: runs(address)[page]["status"] == "SUCCESS")
        assert set(runs(address)) == {first, killed, page}
        done = verb(own.checkout, *command)
        assert done.code == 0, done.said
        assert f"{len(finished)} stood already" in done.said
        assert [run for run, found in runs(address).items() if found["status"] != "SUCCESS"] == [killed]
        assert own.listed()["state"] == "done"
        assert finished.items() <= own.ledger().items(), "a finished day is computed again"
        assert own.stored() == everything("daily", "weekly", "monthly", "yearly")


@pytest.mark.slow
def test_a_typed_backfill_that_is_killed_alone(own: Own) -> None:
    """The stack goes on, and so does the grain: Dagster would wait two hours for whom it did not start."""
    command = ("backfill", "tokens_daily", "--from", str(DAYS[0]), "--to", str(DAYS[-1]))
    with up(own.checkout) as address, own.superuser() as superuser:
        first = launched_once(own, address)
        with halted(superuser, "tokens_daily", HALTED) as is_halted:
            typed = own.checkout.start(*command)
            until(is_halted)
            (killed,) = set(runs(address)) - {first}
            assert typed.end(signal.SIGKILL) == -signal.SIGKILL
        page = launch(address, HALTED)
        until(lambda: runs(address)[page]["status"] == "SUCCESS")
        assert runs(address)[killed]["status"] == "FAILURE"
        assert set(runs(address)) == {first, killed, page}


def test_a_backfill_of_the_page(own: Own) -> None:
    """One of its runs works, one waits behind it, and what is made from both was not asked for yet."""
    assets = ("tokens_daily", "tokens_weekly")
    days = [day for day in DAYS if day != DAYS[2]]
    with up(own.checkout) as address, own.superuser() as superuser:
        first = launched_once(own, address)
        with halted(superuser, "tokens_daily", HALTED) as is_halted:
            launched = own_stack.launch_backfill(address, assets, days)
            until(lambda: is_halted() and len(own.ledger()) == 2)
            finished = own.ledger()
            waiting, killed = (each for each in runs(address) if each != first)
            assert [runs(address)[each]["status"] for each in (killed, waiting)] == ["STARTED", "QUEUED"]
            cut_power(own.checkout)
    with up(own.checkout) as address:
        assert runs(address)[killed]["status"] == "FAILURE"
        until(lambda: own_stack.backfill(address, launched)["status"] == "COMPLETED_SUCCESS")
        failed = [run for run, found in runs(address).items() if found["status"] != "SUCCESS"]
        assert failed == [killed]
        ours = {first, *(each["id"] for each in own_stack.backfill(address, launched)["runs"])}
        assert finished.items() <= own.ledger().items(), "a finished day is computed again"
        assert set(own.ledger()) == {("tokens_daily", day) for day in DAYS} | {
            ("tokens_weekly", day - timedelta(days=day.weekday())) for day in DAYS
        }
        assert set(runs(address)) == ours
        assert own.stored() == everything("daily", "weekly")
