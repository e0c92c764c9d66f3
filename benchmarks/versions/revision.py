"""A revision at work: its files, its database of 400 days, and the process that runs its code there."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.child import Broken
from usage_pipeline.demo import loading
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import embedded
from usage_pipeline_tests import factories
from usage_pipeline_tests.servers import TcpServer

ROOT: Final = Path(__file__).parent.parent.parent
HISTORY: Final = (ROOT / "usage_pipeline_tests" / "rollups" / "history.sql").read_bytes()
STORED: Final = Path(__file__).with_name("stored.sql").read_bytes()
FIRST: Final = "2025-01-01"
LAST: Final = "2026-02-04"
DAYS: Final = 400
BUSY: Final = "2025-06-18"
"""A day of 20,000 answers, where any other has 800. Its week, month and year are over."""
NOW: Final = datetime(2026, 2, 5, 12, tzinfo=UTC)
NEVER: Final = 3650
"""Days after which a period is sealed, where none is to be."""


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
        """What the process answers."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Broken(f"the process of `{self.name}` ended", why=f"at {' '.join(words)}; see above")
        return json.loads(answer)

    def period(self, asset: str) -> Any:
        """Compute the period that holds the busy day."""
        return self.ask("period", asset, BUSY)

    def span(self, asset: str, last: str = LAST, port: int | None = None) -> Any:
        """Compute from the first day on, through another port if there is one."""
        url = self.server.url(self.name)
        return self.ask("span", url.set(port=port or url.port).render_as_string(), asset, FIRST, last)

    def connect(self) -> psycopg.Connection:
        """Somebody whom no trigger stops."""
        connection = self.server.connect(self.name)
        connection.execute("set session_replication_role = replica")
        return connection

    def forget(self, asset: str) -> None:
        """As if it was never computed."""
        with self.connect() as connection:
            grain = asset.removeprefix("tokens_")
            connection.execute("delete from usage.user_token_usage where period_type = %s", [grain])
            connection.execute("delete from usage.rollup_ledger where rollup = %s", [asset])

    def seal_after(self, days: int) -> None:
        with self.connect() as connection:
            connection.execute("update usage.rollup_policy set grace_days = %s", [days])

    def stored(self) -> list[tuple[Any, ...]]:
        """What is stored, in short."""
        with self.connect() as connection:
            return connection.execute(STORED).fetchall()


@contextmanager
def opened(name: str, root: Path, server: TcpServer) -> Iterator[Side]:
    """400 days of a chat in a database with all that the revision makes, and its process."""
    _fill(server, name)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "versions" / "side.py"),
         server.url(name).render_as_string()],
        env={"PYTHONPATH": str(root)}, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
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


def _fill(server: TcpServer, database: str) -> None:
    """The same rows, whichever revision is to read them."""
    with server.connect() as connection:
        embedded.create_database(connection, database, owner=embedded.LOGIN)
    with server.connect(database, embedded.LOGIN) as connection:
        loading.create_application(connection)
        connection.execute(HISTORY, {"first": f"{FIRST} 00:00:00+00", "days": DAYS})
        for second in range(1, 25):
            connection.execute(HISTORY, {"first": f"{BUSY} 00:00:{second:02}+00", "days": 1})


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """The revision's files, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="usage-revision-") as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        add = [*git, "add", "--detach", folder, revision]
        added = subprocess.run(add, check=False, capture_output=True, text=True)
        if added.returncode:
            raise Refusal(f"{revision} cannot be checked out", why=added.stderr.strip())
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True, capture_output=True)
