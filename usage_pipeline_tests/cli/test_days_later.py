"""A demo that nobody started for three days, on the days on which yesterday lies in another week or month."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from usage_pipeline.demo import loading, story
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import set_policy
from usage_pipeline_tests.stack import ROOT, Done

pytestmark = pytest.mark.stack
DAYS = 20
READING = """
import sys
from usage_pipeline.serving import read
asset, period, by = sys.argv[1:]
print(int(read(asset, period, by=[by])["total_tokens"].sum()))
"""


class ThreeDaysOld:
    """A story that ended four days before `today`, computed three days ago; verbs typed today at ten."""

    def __init__(self, server: Server, database: str, home: Path, today: date) -> None:
        self.today = datetime(today.year, today.month, today.day, 10, tzinfo=UTC)
        self.story = story.tell(today - timedelta(days=4), DAYS)
        url = server.url(database).set(drivername="postgresql").render_as_string()
        self.environment = {
            **os.environ, "USAGE_DATABASE_URL": url, "USAGE_HOME": str(home),
            "USAGE_START": str(self.story.first_day), "USAGE_TOKENS_GRACE_DAYS": "7",
        }  # fmt: skip
        with server.connect(database, embedded.LOGIN) as connection, connection.transaction():
            loading.load(connection, self.story)
            loading.load_late(connection, self.story)

    def days_ago(self, days: int, *words: str) -> tuple[str, list[str]]:
        return (self.today - timedelta(days=days)).isoformat(), list(words)

    def type(self, *steps: tuple[str, list[str]]) -> list[Done]:
        done = self.run("-m", "usage_pipeline_tests.cli.days_later", json.dumps(steps))
        return [Done(*each) for each in json.loads(done)]

    def read(self, asset: str, period: str, by: str) -> int:
        """All tokens of a period, as pandas has them."""
        return int(self.run("-c", READING, asset, period, by))

    def run(self, *words: str) -> str:
        return subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE,
            text=True,
        ).stdout  # fmt: skip


@pytest.fixture(
    params=[
        date(2025, 9, 1),
        *(pytest.param(date(2025, *day), marks=pytest.mark.slow) for day in ((1, 1), (4, 1), (4, 7))),
    ],
    ids=str,
)
def old(
    request: pytest.FixtureRequest, server: Server, database: str, warehouse: Warehouse, tmp_path: Path
) -> Iterator[ThreeDaysOld]:
    """A Monday that is a first; the first of a year, of a month, a Monday."""
    today: date = request.param
    first_day = today - timedelta(days=3 + DAYS)
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=first_day, grace_days=7)
    with cloned(server, "template1") as dagster:
        found = ThreeDaysOld(server, database, tmp_path, today)
        assert found.story.first_day == first_day
        storage = server.url(dagster).set(drivername="postgresql")
        found.environment["DAGSTER_PG_URL"] = storage.render_as_string()
        yield found


def test_the_readme_on_a_demo_that_is_three_days_old(old: ThreeDaysOld) -> None:
    """Yesterday's month or week is over and three of its days are missing: each refusal names what helps."""
    first, span = str(old.story.first_day), ("--from", "yesterday", "--to", "yesterday")
    weekly, monthly = (("usage", "tokens", "--grain", grain) for grain in ("weekly", "monthly"))
    made, day, every, *looks = old.type(
        old.days_ago(3, "backfill", "all", "--from", first, "--to", "yesterday"),
        old.days_ago(0, "backfill", "tokens_daily", *span),
        old.days_ago(0, "backfill", "all", *span),
        old.days_ago(0, *weekly),
        old.days_ago(0, *monthly),
        old.days_ago(0, "usage", "tokens", *span, "--json"),
    )
    for each in (made, day, *looks):
        assert each.code == 0, each.said
    assert (every.code, "never computed of tokens_daily" in every.said) == (1, True)
    fix = re.findall(r"Fix: usage-pipeline (backfill .*)", every.said)[-1].split()
    for each in old.type(
        old.days_ago(0, *fix),
        old.days_ago(0, "backfill", "all", *span),
        old.days_ago(0, *weekly),
        old.days_ago(0, *monthly),
    ):
        assert each.code == 0, each.said
    yesterday = (old.today - timedelta(days=1)).date()
    month, year = f"{yesterday:%Y-%m}", f"{yesterday:%Y}"
    assert old.read("tokens_daily", month, "user") == old.read("tokens_monthly", month, "month") > 0
    assert old.read("tokens_weekly", year, "week") > 0
