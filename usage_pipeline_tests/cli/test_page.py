"""Ranges launched from Dagster's page, as its buttons do: through the running web server and its daemon."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from usage_pipeline.cli.demo import DAYS
from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.warehouse import embedded
from usage_pipeline_tests import stack
from usage_pipeline_tests.stack import Checkout

pytestmark = pytest.mark.stack

LAST: Final = datetime.now(UTC).date() - timedelta(days=1)
FIRST: Final = LAST - timedelta(days=DAYS - 1)
MIDDLE: Final = FIRST + timedelta(days=DAYS // 2)
GRAINS: Final = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
SPANS: Final = {grain: len(list(windows(grain, FIRST, LAST))) for grain in GRAINS}
EVERY_DAY: Final = [str(FIRST + timedelta(days=number)) for number in range(DAYS)]
LAUNCH: Final = """
mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
ENDED: Final = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status runs(limit: 10) { id status startTime assetSelection { path } } } } }
"""
STATUSES: Final = """
query($asset: [String!]!) { assetNodeOrError(assetKey: {path: $asset}) { ... on AssetNode {
  partitionStats { numMaterialized numFailed }
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }
"""
METADATA: Final = """
query($asset: [String!]!, $limit: Int!) { assetNodeOrError(assetKey: {path: $asset}) { ... on AssetNode {
  assetMaterializations(limit: $limit) { partition runId metadataEntries { label
    ... on IntMetadataEntry { intValue } ... on MarkdownMetadataEntry { mdStr } } } } } }
"""


SAID: Final = """
query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { message } } } } }
"""


@dataclass(frozen=True)
class Demo:
    """A demo that runs: its page, and its database as nobody but its server may touch it."""

    checkout: Checkout
    address: str

    def ask(self, query: str, **values: object) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": values}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/graphql", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own page
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data

    def launch(self, days: list[str], *grains: Grain) -> str:
        """The id of a backfill as the page's dialog starts it: of these days and what is made from them."""
        assets = [{"path": [f"tokens_{grain}"]} for grain in grains or (Grain.DAILY,)]
        wanted = {"assetSelection": assets, "partitionNames": days}
        launched = self.ask(LAUNCH, p=wanted)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def wait(
        self, backfill: str, until: Callable[[dict[str, Any]], bool], seconds: float = 2 * stack.PATIENCE
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.ask(ENDED, id=backfill)["partitionBackfillOrError"]
            if until(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.5)

    def ended(self, backfill: str) -> dict[str, Any]:
        return self.wait(backfill, lambda found: str(found["status"]).startswith(("COMPLETED", "FAILED")))

    def partitions(self, grain: Grain = Grain.DAILY) -> tuple[int, int, list[str]]:
        """How many are green, how many red, and the red ones."""
        node = self.ask(STATUSES, asset=[f"tokens_{grain}"])["assetNodeOrError"]
        red = [each for each in node["assetPartitionStatuses"]["ranges"] if each["status"] == "FAILED"]
        assert all(each["startKey"] == each["endKey"] for each in red)
        stats = node["partitionStats"]
        return stats["numMaterialized"], stats["numFailed"], [each["startKey"] for each in red]

    def worker_of(self, run_id: str) -> int:
        """The process that carries out a run, by what it said at its start."""
        events = self.ask(SAID, id=run_id)["logsForRun"]["events"]
        said = " ".join(str(event.get("message")) for event in events)
        return int(re.findall(r"Started process for run \(pid: (\d+)\)", said)[0])

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with embedded.of(self.checkout.demo_home).connect(embedded.DATABASE) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def computed_by(self, grain: Grain = Grain.DAILY) -> dict[date, str]:
        rows = self.execute(
            "select rollup, period_start, run_id from usage.rollup_ledger where covered_until is not null"
        )
        return {start.date(): run_id for rollup, start, run_id in rows if rollup == f"tokens_{grain}"}


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="usage-page-"))
    checkout = stack.copy(folder)
    try:
        with running(checkout) as found:
            yield found
    finally:
        embedded.remove(embedded.of(checkout.demo_home))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(checkout: Checkout) -> Iterator[Demo]:
    """The demo of this copy, from its greeting until it is ended, or was killed.

    Without automation: once an hour it would compute today, which no test here has asked for.
    """
    log = checkout.folder / "demo.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "usage_pipeline", "demo", "--no-open", "--port", "3600"],
            cwd=checkout.folder, env=checkout.environment(USAGE_AUTOMATION="off"),
            stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        yield Demo(checkout, address_in(log, process))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(stack.PATIENCE)


def address_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    """Where the page is, once the demo stands."""
    deadline = time.monotonic() + stack.PATIENCE
    while "Ctrl-C stops everything" not in (said := log.read_text()):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    return str(re.findall(r"http://127\.0\.0\.1:\d+", said)[0])


def versions(demo: Demo) -> list[tuple[Any, ...]]:
    return demo.execute("select ctid::text, xmin::text from usage.user_token_usage order by tableoid, ctid")


def numbers(demo: Demo) -> list[tuple[Any, ...]]:
    """What is stored, without the instants at which it was."""
    return demo.execute(
        "select to_jsonb(usage) - '{id,created_at,updated_at}'::text[] from usage.user_token_usage usage"
        " order by period_type, period_start, user_id"
    )


def empty(demo: Demo) -> None:
    """Nothing is computed any more; the guard of what is sealed holds for everybody but a superuser."""
    demo.execute(
        "set session_replication_role = replica;"
        " truncate usage.user_token_usage, usage.rollup_ledger, usage.restatements"
    )


def green_runs(ended: dict[str, Any]) -> dict[str, str]:
    """The run of each asset: one, green, and a year's after the months' that it is made from."""
    assert ended["status"] == "COMPLETED_SUCCESS"
    runs = sorted(ended["runs"], key=lambda run: float(run["startTime"]))
    assert [run["status"] for run in runs] == ["SUCCESS"] * 4
    found = {run["assetSelection"][0]["path"][0]: run["id"] for run in runs}
    first, *_, last = found
    assert (first, last) == ("tokens_daily", "tokens_yearly")
    return found


def told_last(demo: Demo, asset: str, count: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Of so many partitions, the newest: which run told it, and the metadata."""
    node = demo.ask(METADATA, asset=[asset], limit=count)["assetNodeOrError"]
    return {
        each["partition"]: (each["runId"], {entry["label"]: entry for entry in each["metadataEntries"]})
        for each in node["assetMaterializations"]
    }


def test_every_grain_at_once_is_one_green_run_each(demo: Demo) -> None:
    """Four hundred days, four grains, one button: from nothing the same numbers, then nothing is written.

    The second launch follows when the years are left: Dagster's daemon takes half a minute a grain, and on a
    busy machine the runs of the same grain would meet.
    """
    before = numbers(demo)
    empty(demo)
    first = demo.launch(EVERY_DAY, *GRAINS)
    demo.wait(first, lambda found: [run["status"] for run in found["runs"]].count("SUCCESS") >= 3)
    second = demo.launch(EVERY_DAY, *GRAINS)
    assert len(green_runs(demo.ended(first))) == 4
    assert numbers(demo) == before, "a launch stores what the command stored"
    was, runs = versions(demo), green_runs(demo.ended(second))
    assert versions(demo) == was
    for grain, count in SPANS.items():
        run_id = runs[f"tokens_{grain}"]
        assert demo.partitions(grain) == (count, 0, [])
        assert set(demo.computed_by(grain).values()) == {run_id}
        told = told_last(demo, f"tokens_{grain}", count)
        assert {run for run, _ in told.values()} == {run_id}
        assert {entries["rows_written"]["intValue"] for _, entries in told.values()} == {0}
    _, entries = told_last(demo, "tokens_daily", DAYS)[str(MIDDLE)]
    assert entries["messages"]["intValue"] > 0
    assert entries["messages_by_hour"]["mdStr"].startswith("![messages by hour")


def test_a_day_that_fails_is_the_one_red_partition(demo: Demo) -> None:
    """All red would hide which day it was; all green would be a lie."""
    demo.execute(
        "create function public.fail() returns trigger language plpgsql as"
        " $$ begin raise exception 'this day is cursed'; end $$"
    )
    demo.execute(
        "create trigger cursed before update on usage.rollup_ledger for each row"
        f" when (new.period_start = '{MIDDLE} 00:00:00+00') execute function public.fail()"
    )
    failed = demo.ended(demo.launch(EVERY_DAY))
    demo.execute("drop trigger cursed on usage.rollup_ledger")
    assert failed["status"] == "COMPLETED_FAILED"
    assert [run["status"] for run in failed["runs"]] == ["FAILURE"]
    assert demo.partitions() == (DAYS - 1, 1, [str(MIDDLE)])


def half_way(demo: Demo) -> tuple[str, str, list[date]]:
    """A launch of every day that is at work: its backfill, its run, and the days that this has finished."""
    demo.execute(
        "create or replace function public.slowly() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(0.03); return new; end $$"
    )
    demo.execute(
        "create or replace trigger slowly before update on usage.rollup_ledger for each row"
        " execute function public.slowly()"
    )
    backfill = demo.launch(EVERY_DAY)
    first = demo.wait(backfill, lambda found: [each["status"] for each in found["runs"]] == ["STARTED"])
    run_id = first["runs"][0]["id"]
    while len(finished := [day for day, run in demo.computed_by().items() if run == run_id]) < 40:
        time.sleep(0.1)
    return backfill, run_id, finished


def goes_on(demo: Demo, backfill: str, run_id: str, finished: list[date]) -> None:
    """Another run follows by itself, and leaves what the dead one has finished as it is."""
    demo.execute("drop trigger slowly on usage.rollup_ledger")
    ended = demo.ended(backfill)
    assert ended["status"] == "COMPLETED_SUCCESS"
    assert sorted(run["status"] for run in ended["runs"]) == ["FAILURE", "SUCCESS"]
    kept = [day for day, run in demo.computed_by().items() if run == run_id]
    assert set(finished) - {LAST - timedelta(days=number) for number in range(6)} <= set(kept)
    assert len(kept) < DAYS
    green, *red = demo.partitions()
    assert green >= DAYS, "one more where midnight has passed"
    assert red == [0, []]


def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on(demo: Demo) -> None:
    """Dagster tries again by itself; what the dead one has finished is not computed again."""
    backfill, run_id, finished = half_way(demo)
    os.kill(demo.worker_of(run_id), signal.SIGKILL)
    goes_on(demo, backfill, run_id, finished)


@pytest.mark.slow
def test_a_power_cut_is_followed_by_a_run_that_goes_on(demo: Demo) -> None:
    """Everything is gone at once: Dagster would wait for the run for hours, and launch nothing beside it."""
    backfill, run_id, finished = half_way(demo)
    for pid in demo.checkout.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with running(demo.checkout) as again:
        goes_on(again, backfill, run_id, finished)
