"""What `backfill` tells of the checks of its runs: a line each that is red, and nothing fails."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.test_own_database import TODAY, YESTERDAY, Own
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, set_clock
from usage_pipeline_tests.stack import Checkout

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    folder = Path(tempfile.mkdtemp(prefix="usage-checks-"))
    yield stack.copy(folder)
    embedded.remove(embedded.of(folder / ".usage"))
    shutil.rmtree(folder, ignore_errors=True)


def red(said: str) -> list[str]:
    """The lines of checks."""
    return [
        line for line in said.splitlines() if line.startswith("  tokens_") and ": " in line and "Fix" in line
    ]


def test_a_red_check_is_a_line_and_no_failure(checkout: Checkout, server: Server) -> None:
    """Whoever types sees no page: a truth that is broken must reach the terminal, with what mends it."""
    day = TODAY - timedelta(days=5)
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        with own.connect() as connection:
            set_clock(connection, datetime.combine(TODAY, time(12), UTC))  # the night has had its time
            chat = Chat(connection)
            for number in range(6):
                chat.answer(at=YESTERDAY - timedelta(days=number) + timedelta(hours=3))
        done = own("backfill", "tokens_daily", "--from", str(day), "--to", str(day))
        yesterday = TODAY - timedelta(days=1)
        fix = f"backfill tokens_daily --from {yesterday} --to {yesterday}"
        assert red(done.said) == [
            f"  tokens_daily yesterday_is_there: {yesterday}: yesterday was never computed."
            f" Fix: usage-pipeline {fix}"
        ]
        assert "1 day computed from 1 messages" in done.said
        assert done.code == 0
        mended = own(*fix.split())
        assert (mended.code, red(mended.said)) == (0, [])
