"""A server whose disk runs full, for real: `unshare --mount python -m usage_pipeline_tests.cli.full_disk`.

The disk is a small file system in memory, mounted where only this process and its children see it: when
they end it is gone, however they end. Only root may mount one. Each act prints a line.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from usage_pipeline.demo import loading
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.conftest import migrate
from usage_pipeline_tests.rollups.test_tokens import run
from usage_pipeline_tests.stack import Checkout, Done

DAYS: Final = 5
TODAY: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST: Final = TODAY - timedelta(days=DAYS)
HISTORY: Final = Path(__file__).parent.parent / "rollups" / "history.sql"


class Disk:
    """The file system below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, *options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(self.folder)]
        subprocess.run(command, check=True)

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Not a byte is left while the body runs."""
        stuffing = self.folder / "stuffing"
        with stuffing.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        try:
            yield
        finally:
            stuffing.unlink()


class Own:
    """A database on that disk; Dagster's storage stands elsewhere."""

    def __init__(self, server: Server, checkout: Checkout) -> None:
        self.server, self.checkout = server, checkout

    def __call__(self, *words: str) -> Done:
        url = self.server.url(embedded.DATABASE).render_as_string()
        return self.checkout.usage_pipeline(*words, USAGE_DATABASE_URL=url, USAGE_START=f"{FIRST:%Y-%m-%d}")

    def backfill(self) -> Done:
        return self("backfill", "tokens_daily", "--from", f"{FIRST:%Y-%m-%d}", "--to", "yesterday")

    def fill(self) -> str:
        """The application's rows, and the first day computed."""
        with self.server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
            loading.create_application(connection)
            connection.execute(HISTORY.read_bytes(), {"first": FIRST, "days": DAYS})
        warehouse = Warehouse(self.server.url(embedded.DATABASE))
        migrate(warehouse, FIRST.date(), 7)
        run(warehouse, FIRST.date())
        warehouse.dispose()
        return f"{DAYS} days of rows, 1 computed"

    def days(self) -> int:
        """How many days the ledger has; each of them must be whole."""
        with self.server.connect(embedded.DATABASE) as connection:
            found = connection.execute(
                "select count(*), sum(source_rows), (select sum(message_count) from usage.user_token_usage)"
                " from usage.rollup_ledger"
            ).fetchone()
        assert found is not None
        assert found[1] == found[2], found
        return int(found[0])

    def require_whole(self) -> None:
        with self.server.connect(embedded.DATABASE) as connection:
            source = connection.execute(
                "select count(*), sum(total_tokens) from usage.token_events(%s, %s)", [FIRST, TODAY]
            ).fetchone()
            stored = connection.execute(
                "select sum(message_count), sum(total_tokens) from usage.user_token_usage"
            ).fetchone()
        assert source == stored
        assert self.days() == DAYS


def a_start_without_room(server: Server, disk: Disk) -> str:
    """Neither the programs nor the data fit, then they do."""
    said = []
    for size in ("10m", "60m"):
        disk.mount("remount", f"size={size}")
        with pytest.raises(Refusal, match="No space left on device") as caught:
            embedded.start(server)
        said.append(caught.value.line())
    disk.mount("remount", "size=400m")
    embedded.start(server)
    return "\n".join(said)


def a_backfill_without_room(own: Own, disk: Disk) -> str:
    with disk.filled():
        done = own.backfill()
        refused(done, 1, "is full", "No space left on device", "make room")
        assert 1 <= own.days() < DAYS
    return done.said.strip()


def a_backfill_without_room_for_the_log(own: Own, disk: Disk) -> str:
    """The worst moment: the server may end at once, with every session."""
    with disk.filled():
        with own.server.connect() as connection:
            connection.execute("select pg_switch_wal()")
        done = own.backfill()
        refused(done, 1, "Fix: ")
        assert "Traceback" not in done.said
    embedded.start(own.server)
    assert 1 <= own.days() < DAYS
    return done.said.strip()


def the_same_command_with_room(own: Own) -> str:
    done = own.backfill()
    assert done.code == 0, done.said
    own.require_whole()
    return done.said.strip()


def a_rollback_without_room(own: Own, disk: Disk) -> str:
    """The files stand on a disk of their own, which takes the first of them and not the next."""
    down = ("migrate", "rollback", "--to", "base", "--yes", "--into", str(disk.folder))
    full = own(*down)
    line = full.said.splitlines()[-1]
    assert (full.code, full.out) == (1, ""), full.said
    assert "nothing was dropped" in line
    assert "Fix: make room, then run it again" in line
    assert "Traceback" not in full.said
    assert list(disk.folder.iterdir()) == []
    own.require_whole()
    disk.mount("remount", "size=10m")
    done = own(*down)
    assert done.code == 0, done.said
    assert own("migrate", "apply").code == 0
    assert own("migrate", "restore", *done.out.splitlines()).code == 0
    own.require_whole()
    return line


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="usage-full-disk-") as name:
        server = embedded.of(Path(name) / "served")
        server.folder.mkdir(mode=0o755)
        disk = Disk(server.folder)
        disk.mount("size=10m")
        saved = Disk(Path(name) / "saved")
        saved.folder.mkdir()
        saved.mount("size=16k")
        checkout = stack.copy(Path(name) / "checkout")
        own = Own(server, checkout)
        acts: list[Callable[[], str]] = [
            lambda: a_start_without_room(server, disk),
            own.fill,
            lambda: a_backfill_without_room(own, disk),
            lambda: a_backfill_without_room_for_the_log(own, disk),
            lambda: the_same_command_with_room(own),
            lambda: a_rollback_without_room(own, saved),
        ]
        try:
            for act in acts:
                print(act(), flush=True)
        finally:
            embedded.stop(server)
            subprocess.run(["umount", str(server.folder), str(saved.folder)], check=True)
            server.folder.rmdir()
            embedded.remove(embedded.of(checkout.folder / ".usage"))


if __name__ == "__main__":
    main()
