"""A family of a folder and a line of the registry, in a copy of the project: its assets, checks and verbs."""

import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Final

import pandas as pd
import psycopg
import pytest

from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.own_stack import halted, until
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.families.oracle import Key, Row
from usage_pipeline_tests.families.world import FOLDER, Toy, fill
from usage_pipeline_tests.stack import Checkout, Done

pytestmark = pytest.mark.stack
TODAY: Final = datetime.now(UTC).date()
DAYS: Final = [TODAY - timedelta(days=number) for number in range(6, -1, -1)]
"""With a grace of a day the older of them are sealed when they are computed."""
ASSETS: Final = ("toy_hourly", "toy_daily", "toy_monthly", "toy_yearly")
LINE: Final = "FAMILIES: Final[tuple[Family, ...]] = (TOKENS,)"
GRAPH: Final = """
from usage_pipeline.definitions import defs
graph = defs.resolve_asset_graph()
for key in sorted(graph.get_all_asset_keys()):
    if key.to_user_string().startswith("toy"):
        parents = sorted(each.to_user_string() for each in graph.get(key).parent_keys)
        checks = sorted(each.name for each in graph.asset_check_keys if each.asset_key == key)
        print(key.to_user_string(), *parents, ":", *checks)
"""
READ: Final = """
from usage_pipeline.serving import read
frame = read("toy_hourly", "{day}")
print(frame[["hour", "agent", "channel", "calls", "people"]].to_csv(index=False), end="")
"""


class Installed:
    """The project with one family more, on a database whose application makes calls."""

    def __init__(self, checkout: Checkout, server: Server, database: str, toy: Toy) -> None:
        self.checkout, self.server, self.database, self.toy = checkout, server, database, toy
        url = server.url(database).set(drivername="postgresql").render_as_string()
        self.environment = {"USAGE_DATABASE_URL": url, "USAGE_START": str(DAYS[0])}

    def __call__(self, *words: str) -> Done:
        return self.checkout.usage_pipeline(*words, **self.environment)

    def python(self, text: str) -> str:
        done = self.checkout.run([sys.executable, "-c", text], **self.environment)
        assert done.code == 0, done.said
        return done.out

    def wanted(self, asset: str) -> object:
        """What plain Python computes; of money each grain rounds what is below it."""
        return without_cost(self.toy.wanted(asset, DAYS))


def without_cost(rows: Mapping[Key, Row]) -> Mapping[Key, Row]:
    return {key: {name: value for name, value in row.items() if name != "cost"} for key, row in rows.items()}


def backfill(*assets: str) -> tuple[str, ...]:
    return ("backfill", *assets, "--from", str(DAYS[0]), "--to", str(TODAY), "--yes")


@pytest.fixture(scope="module")
def installed(server: Server) -> Iterator[Installed]:
    """The toy's folder beside that of tokens, and its line in the registry; its table is its migration."""
    with stack.checked_out("usage-toy-") as checkout, cloned(server, TEMPLATE) as database:
        families = checkout.folder / "usage_pipeline" / "families"
        shutil.copytree(FOLDER, families / "toy", ignore=shutil.ignore_patterns("table.sql", "__pycache__"))
        registry = families / "registry.py"
        text = registry.read_text(encoding="utf-8")
        assert LINE in text
        added = LINE.replace("(TOKENS,)", "(TOKENS, TOY)")
        text = text.replace(LINE, f"from usage_pipeline.families.toy import TOY\n\n{added}")
        registry.write_text(text, encoding="utf-8")
        warehouse = Warehouse(server.url(database))
        with server.connect(database) as superuser:
            toy = Toy(superuser, warehouse)
            superuser.execute(
                "update usage.rollup_policy"
                " set first_day = %s, grace_days = case family when 'toy' then 1 else 7 end",
                [DAYS[0]],
            )
            fill(toy, DAYS[:-1])
            found = Installed(checkout, server, database, toy)
            done = found("migrate", "apply")
            assert done.code == 0, done.said
            yield found
        warehouse.dispose()


def test_it_is_in_the_lineage(installed: Installed) -> None:
    """Each grain is made from the one below, with the checks of every family."""
    of_every_grain = "conservation {} sealed_unchanged"
    derived = of_every_grain.format("ladder")
    assert installed.python(GRAPH).splitlines() == [
        f"toy_daily toy_hourly : {derived}",
        "toy_hourly : conservation sealed_unchanged source_fresh source_holds_calls untimed_share"
        " yesterday_is_there",
        f"toy_monthly toy_daily : {derived}",
        f"toy_yearly toy_monthly : {derived}",
    ]
    shown = installed("sql", "toy_hourly")
    assert "usage_private.toy_of_window" in shown.out


def test_it_is_computed_and_goes_on_after_a_kill(installed: Installed) -> None:
    """One command for every grain; what was finished before the kill is not computed again."""
    toy = installed.toy
    with halted(toy.superuser, "toy_hourly", DAYS[3]) as is_halted:
        started = installed.checkout.start(*backfill(*ASSETS), **installed.environment)
        until(is_halted)
        started.end(signal.SIGKILL)
    before = computed(toy.superuser)
    assert before
    done = installed(*backfill(*ASSETS))
    assert done.code == 0, done.said
    assert "resumes" in done.said
    assert f"{len(before)} stood already" in done.said
    assert before.items() <= computed(toy.superuser).items()
    for asset in ASSETS:
        assert without_cost(toy.stored(asset)) == installed.wanted(asset), asset
    assert toy.ledger("toy_hourly", DAYS[0])[0] == "sealed"
    again = installed(*backfill(*ASSETS))
    assert "rows inserted 0 · updated 0 · deleted 0" in again.said


def computed(superuser: psycopg.Connection) -> dict[object, object]:
    rows = superuser.execute(
        "select rollup, period_start, run_id from usage.rollup_ledger where covered_until is not null"
    ).fetchall()
    return {row[:2]: row[2] for row in rows}


def test_it_is_read(installed: Installed) -> None:
    """The rows as they are stored, by hour, agent and channel."""
    read = pd.read_csv(StringIO(installed.python(READ.format(day=DAYS[1]))), keep_default_na=False)
    found = {(row.hour, row.agent, row.channel): (row.calls, row.people) for row in read.itertuples()}
    wanted = installed.toy.wanted("toy_hourly", [DAYS[1]])
    assert found == {
        (f"{start:%Y-%m-%d %H:%M:%S+00:00}", agent, channel): (row["calls"], row["people"])
        for (start, agent, channel), row in wanted.items()
    }


def test_altered_rows_are_found_and_restated(installed: Installed) -> None:
    """Each check in the family's own words; the command that one prints mends it."""
    toy = installed.toy
    toy.superuser.execute("set session_replication_role = replica")
    toy.superuser.execute(
        "update usage.toy_usage set calls = calls + 1"
        " where grain = 'HOURLY' and channel = '' and period_start ="
        " (select min(period_start) from usage.toy_usage where grain = 'HOURLY')"
    )
    toy.superuser.execute("set session_replication_role = origin")
    found = installed(*backfill("toy_hourly"))
    assert found.code == 1
    assert "altered" in found.said
    red = [line for line in found.said.splitlines() if line.startswith("  toy_hourly conservation: ")]
    assert len(red) == 1, found.said
    assert " calls in the source, " in red[0]
    assert f"restate toy_hourly --from {DAYS[0]} --to {DAYS[0]}" in red[0]
    words = ("--from", str(DAYS[0]), "--to", str(DAYS[0]), "--reason", "altered", "--accept-loss", "--yes")
    restated = installed("restate", "toy_hourly", *words)
    assert restated.code == 0, restated.said
    assert "1 period restated" in restated.said
    assert without_cost(toy.stored()) == installed.wanted("toy_hourly")
    assert "conservation" not in installed(*backfill(*ASSETS)).said
