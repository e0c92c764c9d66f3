"""The demo as a person runs it: again, beside itself, with a taken port, ended by a signal, started over."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from usage_pipeline.warehouse import embedded
from usage_pipeline_tests import stack
from usage_pipeline_tests.stack import Checkout

pytestmark = pytest.mark.stack


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    folder = Path(tempfile.mkdtemp(prefix="usage-demo-"))
    copied = stack.copy(folder)
    yield copied
    embedded.remove(embedded.of(copied.demo_home))
    shutil.rmtree(folder, ignore_errors=True)


def greeting(log: Path, process: subprocess.Popen[bytes]) -> str:
    """What the demo says once it stands."""
    deadline = time.monotonic() + stack.PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if "Ctrl-C stops everything" in (text := log.read_text()):
            return text
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_a_demo_from_its_first_start_to_its_last(checkout: Checkout) -> None:
    """A demo that leaves a process, a lock or somebody's file changed is tried once and never again."""
    foreign = checkout.folder / ".env"
    foreign.write_text("THEIRS=1\n")
    log, instance = checkout.folder / "demo.log", checkout.folder / "their instance"
    instance.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "usage_pipeline", "demo", "--no-open", "--port", str(port)],
                cwd=checkout.folder,
                env=checkout.environment(
                    USAGE_DATABASE_URL="postgresql://127.0.0.1:1/theirs", DAGSTER_HOME=str(instance)
                ),
                stdout=file, stderr=file, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            said = greeting(log, process)
            address = re.findall(r"http://127\.0\.0\.1:(\d+)(\S*)", said)
            assert [int(number) > port for number, _ in address] == [True]
            page = f"http://127.0.0.1:{address[0][0]}{address[0][1]}"
            with urllib.request.urlopen(page, timeout=10) as answer:
                assert answer.status == 200
            assert "leaves that database alone" in said
            assert said.count(f"the demo leaves {instance} alone") == 1
            assert list(instance.iterdir()) == []
            assert "Warning" not in said
            assert "  tokens_" not in said.partition("What the data tell")[0], "a fresh demo is green"
            assert foreign.read_text() == "THEIRS=1\n"
            assert "it lacks" in said
            second = checkout.usage_pipeline("demo", "--once")
            assert second.code == 4
            assert f"process {process.pid} holds it" in second.said
            assert f"its page is http://127.0.0.1:{address[0][0]}" in second.said
            assert len(second.said.splitlines()) == 1
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(stack.PATIENCE)
    assert code == 0
    assert checkout.processes() == {}
    foreign.unlink()
    again = checkout.usage_pipeline("demo", "--once")
    assert again.code == 0, again.said
    periods = r"\d days, \d weeks?, \d months? and \d years?"
    assert re.search(rf"✓ backfill · {periods} · 0 rows written", again.said), "only what may have changed"
    assert "late batch" not in again.said
    assert "demo: usage-pipeline demo" in checkout.usage_pipeline("status").out
    assert foreign.stat().st_mode & 0o777 == 0o600
    assert (checkout.folder / ".usage" / "current").read_text() == ".usage/demo\n"
    other = checkout.usage_pipeline("demo", "--once", "--days", "20")
    assert other.code == 4
    assert "was made with 400 days" in other.said
    assert "demo --reset --days 20" in other.said
    over = checkout.usage_pipeline("demo", "--once", "--reset", "--days", "60")
    assert over.code == 0, over.said
    assert "the old demo is removed" in over.said
    assert re.search(r"60 days, \d+ weeks, \d months and \d years? · [1-9][\d,]* rows written", over.said)
    assert re.search(rf"late batch · {periods} · [1-9]\d* rows written", over.said)
    assert re.search(r"every period · 60 days · \d+ weeks · \d months · \d years?", over.said)
    assert checkout.processes() == {}
    assert checkout.usage_pipeline("sources", "start", "2024-01-01").code == 0
    moved = checkout.usage_pipeline("demo", "--once")
    assert moved.code == 4
    assert "holds the data of another demo" in moved.said.splitlines()[-1]
    assert checkout.processes() == {}


def test_a_demo_goes_on_days_later(checkout: Checkout) -> None:
    """One that ends on the day it was made grows older than every command of the README."""
    made = checkout.demo_days_ago(3, "--days", "20")
    assert made.code == 0, made.said
    stored = (
        "select user_id, period_start, xmin::text from usage.user_token_usage where period_type = 'daily'"
    )
    before = rows(checkout, stored)
    first_day, last_day = (min(day for _, day, _ in before), max(day for _, day, _ in before))
    again = checkout.usage_pipeline("demo", "--once")
    assert again.code == 0, again.said
    assert "answers in 23 days · 3 of them new since the last start" in again.said
    assert "every row of every grain agrees" in again.said
    assert re.search(r"every period · 23 days · \d weeks", again.said)
    assert "late batch" not in again.said
    assert "  tokens_" not in again.said, "a fresh demo is green, and one that went on"
    after = rows(checkout, stored)
    assert before <= after
    assert (min(day for _, day, _ in after), max(day for _, day, _ in after)) == (
        first_day, last_day + timedelta(days=3)
    )  # fmt: skip


def rows(checkout: Checkout, query: str) -> set[tuple[Any, ...]]:
    """What the stopped demo's database holds."""
    server = embedded.of(checkout.demo_home)
    with embedded.held(server), server.connect(embedded.DATABASE) as connection:
        return set(connection.execute(query.encode()).fetchall())


@pytest.mark.slow
def test_a_clone_where_a_deleted_one_was_starts_anew(checkout: Checkout) -> None:
    """As root the server's data stand outside the clone: those of another day were found, and refused."""
    first = checkout.usage_pipeline("demo", "--once", "--days", "15")
    assert first.code == 0, first.said
    moved = checkout.demo_home.rename(checkout.folder / "moved")
    if os.geteuid() == 0:
        asked = checkout.usage_pipeline("usage", "tokens", USAGE_HOME=str(moved))
        assert asked.code == 4
        assert "it was moved" in asked.said
        asked = checkout.usage_pipeline("usage", "tokens")
        assert asked.code == 4
        assert "holds the data of another stack" in asked.said
    shutil.rmtree(moved)
    again = checkout.usage_pipeline("demo", "--once", "--days", "14")
    assert again.code == 0, again.said
    assert ("the data of an earlier demo are removed" in again.said) is (os.geteuid() == 0)
    assert "every period · 14 days" in again.said


def test_a_folder_that_is_not_the_demos_is_left_alone(checkout: Checkout) -> None:
    """`--reset` deletes: it must know whose folder it is."""
    home = checkout.folder / "precious"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    done = checkout.usage_pipeline("demo", "--once", "--reset", USAGE_HOME=str(home))
    assert done.code == 4
    assert "thesis.txt" in done.said
    assert (home / "thesis.txt").exists()
