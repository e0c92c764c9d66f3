"""A stack of one's own: started, asked what its page shows, and without power from one moment to the next."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from usage_pipeline.cli import graphql
from usage_pipeline_tests.cli.test_up import facts, verb
from usage_pipeline_tests.stack import PATIENCE, Checkout, Started

_RUNS: Final = "{ runsOrError(limit: 20) { ... on Runs { results { runId status tags { key value } } } } }"
_LAUNCH: Final = (
    "mutation launch($run: ExecutionParams!) { launchRun(executionParams: $run)"
    " { ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
)
_LAUNCH_BACKFILL: Final = (
    "mutation launch($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill)"
    " { ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"
)
_BACKFILL: Final = (
    "query ended($id: String!) { partitionBackfillOrError(backfillId: $id)"
    " { ... on PartitionBackfill { status runs(limit: 20) { id status assetSelection { path } } } } }"
)
_HALT: Final = """
create or replace function public.halt() returns trigger language plpgsql as
$$ begin set local lock_timeout = 0; perform pg_advisory_xact_lock_shared(1); return new; end $$;
create or replace trigger halt before update on usage.rollup_ledger for each row
when (new.rollup = {rollup} and new.period_start = {start}) execute function public.halt()
"""
_IS_HALTED: Final = "select from pg_locks where locktype = 'advisory' and not granted"


@contextmanager
def running(checkout: Checkout, **given: str) -> Iterator[Started]:
    """The stack; it is ended if it still runs."""
    started = checkout.start("up", "--no-open", **given)
    started.standing()
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.end()


def page(checkout: Checkout, **given: str) -> str:
    """The address of the page."""
    return str(facts(verb(checkout, "status", "--json", **given))["page"]["address"])


@contextmanager
def up(checkout: Checkout, **given: str) -> Iterator[str]:
    """The stack, by the address of its page."""
    with running(checkout, **given):
        yield page(checkout, **given)


def cut_power(checkout: Checkout) -> None:
    """All that runs for this copy ends in one moment: nobody hears of another's end."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in checkout.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    until(lambda: not checkout.processes())


@contextmanager
def halted(superuser: psycopg.Connection, rollup: str, day: date) -> Iterator[Callable[[], bool]]:
    """Who computes this period stands still before its end; the body is given whether anybody does."""
    halt = sql.SQL(_HALT).format(rollup=rollup, start=f"{day} 00:00:00+00")
    superuser.execute(halt)
    superuser.execute("select pg_advisory_lock(1)")
    try:
        yield lambda: bool(superuser.execute(_IS_HALTED).fetchall())
    finally:
        with suppress(psycopg.OperationalError):  # without power there is nothing to let go of
            superuser.execute("select pg_advisory_unlock(1)")


def until(look: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def launch(address: str, day: date) -> str:
    """As the page's button does; the run's id."""
    selector = {
        "repositoryLocationName": graphql.LOCATION, "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB", "assetSelection": [{"path": ["tokens_daily"]}],
    }  # fmt: skip
    tags = {"tags": [{"key": "dagster/partition", "value": day.isoformat()}]}
    wanted = {"selector": selector, "executionMetadata": tags, "runConfigData": {}}
    answer = graphql.ask(address, _LAUNCH, {"run": wanted})["launchRun"]
    assert "run" in answer, answer
    return str(answer["run"]["runId"])


def launch_backfill(address: str, assets: Sequence[str], days: Sequence[date]) -> str:
    """As the page's dialog does: these days, and what is made from them; the backfill's id."""
    wanted = {
        "assetSelection": [{"path": [asset]} for asset in assets],
        "partitionNames": [day.isoformat() for day in days],
    }
    answer = graphql.ask(address, _LAUNCH_BACKFILL, {"backfill": wanted})["launchPartitionBackfill"]
    assert "backfillId" in answer, answer
    return str(answer["backfillId"])


def backfill(address: str, backfill_id: str) -> dict[str, Any]:
    """How a backfill of the page is: its status and its runs."""
    found: dict[str, Any] = graphql.ask(address, _BACKFILL, {"id": backfill_id})["partitionBackfillOrError"]
    return found


def runs(address: str) -> Mapping[str, dict[str, Any]]:
    """Every run, its status and its tags."""
    found = graphql.ask(address, _RUNS)["runsOrError"]["results"]
    return {
        run["runId"]: {"status": run["status"], "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}
        for run in found
    }
