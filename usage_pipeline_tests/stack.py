"""The program as a person runs it: a checkout of its own, processes of its own, an empty environment."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from usage_pipeline.warehouse import embedded

ROOT = Path(__file__).parent.parent
PATIENCE: Final = 300
"""Seconds until something hangs: stacks stand side by side, and a core is shared by several."""
MONITORING_SECONDS: Final = 2
"""From one look of Dagster at its runs to the next."""
QUEUE: Final = {
    "module": "dagster", "class": "QueuedRunCoordinator", "config": {"dequeue_interval_seconds": 1}
}  # fmt: skip
RETRIES: Final = {"DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1"}
"""Dagster's own wait before it sees that a run failed and is to be tried again."""
_LEFT_OUT = (".git", ".venv", ".usage", ".env", "*_cache", "usage_pipeline_tests", "docs")


_DAYS_AGO = """
import sys
from datetime import UTC, datetime, timedelta
from usage_pipeline.cli import migrate, program
from usage_pipeline.periods import clock
from usage_pipeline.warehouse import embedded
from usage_pipeline_tests.factories import read_test_clock

days = int(sys.argv.pop(1))
clock.now = lambda: datetime.now(UTC) - timedelta(days=days)
apply = migrate.everything

def everything(found, warehouse):
    apply(found, warehouse)
    with embedded.of(found.home).connect(embedded.DATABASE) as connection:
        read_test_clock(connection)
        connection.execute(
            "create view usage_private.test_clock as"
            f" select clock_timestamp() - interval '{days} days' as instant;"
            "grant select on usage_private.test_clock to public"
        )

migrate.everything = everything
sys.exit(program.run())
"""


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    said: str


@dataclass(frozen=True)
class Checkout:
    """A copy of the project in which a newcomer types."""

    folder: Path

    @property
    def demo_home(self) -> Path:
        return self.folder / ".usage" / "demo"

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the caller's but what programs need to start; the copy goes before the installed one."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        ours = {"HOME": str(self.folder), "PYTHONPATH": str(self.folder), **RETRIES}
        return {**kept, **ours, **more}

    def usage_pipeline(self, *words: str, **more: str) -> Done:
        """One verb of ours, to its end."""
        return self.run([sys.executable, "-m", "usage_pipeline", *words], **more)

    def run(self, command: list[str], **more: str) -> Done:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**more),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def demo_days_ago(self, days: int, *words: str) -> Done:
        """`demo --once` as it was so many days ago by both clocks, this machine's and the database's."""
        done = self.run([sys.executable, "-c", _DAYS_AGO, str(days), "demo", "--once", *words])
        server = embedded.of(self.demo_home)
        with embedded.held(server), server.connect(embedded.DATABASE) as connection:
            connection.execute("drop view usage_private.test_clock")
        return done

    def start(self, *words: str, **more: str) -> "Started":
        """A verb that goes on until somebody ends it; what it says goes into a file."""
        log = Path(tempfile.mkstemp(prefix="started-", suffix=".log", dir=self.folder)[1])
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "usage_pipeline", *words], cwd=self.folder,
                env=self.environment(**more), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        return Started(process, log)

    def processes(self) -> dict[int, str]:
        """Every process that was started for this copy, by the environment or the words it carries."""
        marks = [os.fsencode(self.folder)]
        marks += [os.fsencode(embedded.of(home).data) for home in (self.demo_home, self.folder / ".usage")]
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                if any(mark in (folder / "environ").read_bytes() + words for mark in marks):
                    found[int(folder.name)] = words.replace(b"\0", b" ").decode(errors="replace")[:200]
        return found


@dataclass(frozen=True)
class Started:
    """A verb that runs, and the file it speaks into."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def standing(self, seconds: float = PATIENCE) -> str:
        """What it says once it stands."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if "Ctrl-C stops" in (text := self.said):
                return text
            time.sleep(0.1)
        self.process.kill()
        raise AssertionError(self.said)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after this signal."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def checked_out(prefix: str) -> Iterator[Checkout]:
    """A copy below a private folder; afterwards nothing runs for it and nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)) / "checkout"
    found = copy(folder)
    try:
        yield found
    finally:
        for pid, words in found.processes().items():  # a test that failed leaves some
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if "postgres" in words else signal.SIGKILL)
        deadline = time.monotonic() + 30
        while found.processes() and time.monotonic() < deadline:
            time.sleep(0.1)  # what still ends holds its locks
        for home in (found.demo_home, folder / ".usage"):
            embedded.remove(embedded.of(home))
        shutil.rmtree(folder.parent, ignore_errors=True)


def copy(folder: Path) -> Checkout:
    """Copy what a clone would hold, short of the tests; its daemon looks often."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)
    file = folder / "usage_pipeline" / "cli" / "dagster.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["run_monitoring"]["poll_interval_seconds"] = MONITORING_SECONDS
    settings["run_coordinator"] = QUEUE
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return Checkout(folder)


def heeding_interrupts() -> None:
    """A suite that runs in a shell's background hands on that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
