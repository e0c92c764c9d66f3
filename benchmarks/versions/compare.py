"""`bench --against REVISION`: medians of both, taken in turn, and their ratio."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

import psycopg

from benchmarks.versions.delay import delayed
from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import factories
from usage_pipeline_tests.servers import Kind, TcpServer

ROOT: Final = Path(__file__).parent.parent.parent
HISTORY: Final = (ROOT / "usage_pipeline_tests" / "rollups" / "history.sql").read_text(encoding="utf-8")
FIRST: Final = "2025-01-01"
SOON: Final = "2025-02-09"
LAST: Final = "2026-02-04"
DAY: Final = "2026-01-15"
NOW: Final = datetime(2026, 2, 5, 12, tzinfo=UTC)
LATENCY: Final = 0.02
ASSETS: Final = ("tokens_daily", "tokens_weekly", "tokens_monthly", "tokens_yearly")
TURNS: Final = 15


@dataclass(frozen=True)
class Side:
    """A revision, its database, and the process that runs its code there."""

    name: str
    server: TcpServer
    process: "subprocess.Popen[str]"

    @property
    def url(self) -> str:
        return self.server.url(self.name).render_as_string()

    def ask(self, *words: str) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or f'"{self.name} ended"')

    def connect(self) -> psycopg.Connection:
        connection = self.server.connect(self.name)
        connection.execute("set session_replication_role = replica")
        return connection

    def forget(self, *assets: str) -> None:
        """As if these were never computed."""
        with self.connect() as connection:
            for asset in assets:
                grain = asset.removeprefix("tokens_")
                connection.execute("delete from usage.user_token_usage where period_type = %s", [grain])
                connection.execute("delete from usage.rollup_ledger where rollup = %s", [asset])

    def seal_after(self, days: int) -> None:
        with self.connect() as connection:
            connection.execute("update usage.rollup_policy set grace_days = %s", [days])


Sides: TypeAlias = tuple[Side, Side]


@contextmanager
def opened(name: str, root: Path, server: TcpServer) -> Iterator[Side]:
    """400 days of a chat, one of them of 20,000 messages, in a database with all that the revision makes."""
    with server.connect() as connection:
        embedded.create_database(connection, name, owner=embedded.LOGIN)
    with server.connect(name, embedded.LOGIN) as connection:
        loading.create_application(connection)
        connection.execute(HISTORY.encode(), {"first": f"{FIRST} 00:00:00+00", "days": 400})
        for second in range(1, 25):
            connection.execute(HISTORY.encode(), {"first": f"{DAY} 00:00:{second:02}+00", "days": 1})
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "versions" / "side.py"),
         server.url(name).render_as_string()],
        env={"PYTHONPATH": str(root)}, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    side = Side(name, server, process)
    try:
        side.ask("migrate", side.url, FIRST)
        with server.connect(name) as connection:
            factories.set_clock(connection, NOW)
            connection.execute("vacuum analyze")
        yield side
    finally:
        process.kill()
        process.wait()


def measured(sides: Sides, take: Callable[[Side], float], turns: int = TURNS) -> tuple[float, float]:
    """The medians of both, taken in turn."""
    taken: dict[str, list[float]] = {side.name: [] for side in sides}
    for turn in range(turns):
        for side in sides if turn % 2 else sides[::-1]:
            taken[side.name].append(take(side))
    old, new = (median(taken[side.name]) for side in sides)
    return old, new


def fresh(asset: str) -> Callable[[Side], float]:
    def take(side: Side) -> float:
        side.forget(asset)
        return cpu(side, asset)

    return take


def cpu(side: Side, asset: str = "tokens_daily") -> float:
    return float(side.ask("period", asset, DAY)["cpu"])


def sealed(side: Side) -> float:
    side.seal_after(7)
    found = side.ask("period", "tokens_daily", DAY)
    assert found["state"] == "sealed"
    return float(found["cpu"])


def rows(sides: Sides) -> Iterator[tuple[str, tuple[float, float]]]:
    """What was measured, in milliseconds of the server's processor or in seconds."""
    yield "day of 20,000 messages, fresh, ms CPU", measured(sides, fresh("tokens_daily"))
    yield "the same, unchanged", measured(sides, cpu)
    yield "the same, sealed", measured(sides, sealed)
    for side in sides:
        side.seal_after(3650)
    yield "400 days, s", measured(sides, ranged(FIRST, LAST), 7)
    for asset in ASSETS[1:]:
        yield f"{asset} from what is below, ms CPU", measured(sides, fresh(asset))
        for side in sides:
            side.ask("span", side.url, asset, FIRST, LAST)
    with delayed(sides[0].server.port, LATENCY) as port:
        yield f"40 days, {1000 * LATENCY:.0f} ms away, s", measured(sides, ranged(FIRST, SOON, port), 7)


def ranged(first: str, last: str, port: int | None = None) -> Callable[[Side], float]:
    def take(side: Side) -> float:
        side.forget("tokens_daily")
        url = side.server.url(side.name)
        address = url.set(port=port or url.port).render_as_string()
        return float(side.ask("span", address, "tokens_daily", first, last)["seconds"])

    return take


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """The revision's files, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="usage-revision-") as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", folder, revision], check=True, capture_output=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True, capture_output=True)


def compare(revision: str, postgres: str) -> Iterator[str]:
    """This checkout and the revision on one server, a line for each thing that was measured."""
    with ExitStack() as running:
        folder = running.enter_context(checked_out(revision))
        server: Server = running.enter_context(Kind(postgres, "tcp").started())
        assert isinstance(server, TcpServer)
        before = running.enter_context(opened("before", folder, server))
        now = running.enter_context(opened("now", ROOT, server))
        yield f"{f'PostgreSQL {postgres}':<44} {revision[:9]:>9} {'now':>9} {'ratio':>6}"
        for what, (old, new) in rows((before, now)):
            yield f"{what:<44} {old:9.2f} {new:9.2f} {new / old:6.2f}"
