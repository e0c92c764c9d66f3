"""The demo where others break: a private folder, no streams, a closed terminal, a power cut, two users."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from usage_pipeline.cli import lock
from usage_pipeline.warehouse import binaries, embedded
from usage_pipeline_tests import stack
from usage_pipeline_tests.stack import Checkout
from usage_pipeline_tests.terminal import Terminal

pytestmark = pytest.mark.stack
SITE_PACKAGES = Path(pytest.__file__).parent.parent
ACCOUNTS = {"nobody": (65534, 65534), "daemon": (1, 1)}


def test_what_happens_to_one_demo() -> None:
    """One after the other to the same, below a folder of mode 0700: the data are made once."""
    with stack.checked_out("usage-hardships-") as checkout:
        below_a_private_folder_and_without_streams(checkout)
        a_closed_terminal(checkout)
        a_power_cut(checkout)


def machine(checkout: Checkout) -> dict[str, object]:
    """What a demo must not touch: who exists, and who may enter which folder."""
    modes = {str(each): each.stat().st_mode & 0o7777 for each in checkout.folder.parents}
    return {"accounts": Path("/etc/passwd").read_bytes(), **modes}


def below_a_private_folder_and_without_streams(checkout: Checkout) -> None:
    """A helper that makes an account or opens folders; a log written into the socket that got its number."""
    before = machine(checkout)
    assert before[str(checkout.folder.parent)] == 0o700
    done = checkout.run(
        [
            "/bin/sh",
            "-c",
            '"$@" >&- 2>&- <&-',
            "sh",
            sys.executable,
            "-m",
            "usage_pipeline",
            "demo",
            "--once",
            "--days",
            "30",
        ]
    )
    assert (done.code, done.out, done.said) == (0, "", "")
    assert machine(checkout) == before
    assert checkout.processes() == {}


def a_closed_terminal(checkout: Checkout) -> None:
    """The window is closed: a hangup, and every write from then on fails."""
    demo = Terminal(checkout, "demo")
    assert "Warning" not in demo.standing()
    assert demo.close() == 0
    assert checkout.processes() == {}


def a_power_cut(checkout: Checkout) -> None:
    """Locks that outlive their holder, and a number in them that by now is a stranger's."""
    demo = checkout.start("demo", "--no-open")
    demo.standing()
    server = embedded.of(checkout.demo_home)
    for pid in checkout.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    demo.process.wait(10)
    stranger = subprocess.Popen(["sleep", "300"], cwd="/", **binaries.identity(server.account))
    try:
        pretend(server.data / "postmaster.pid", stranger.pid)
        held = json.loads((checkout.demo_home / lock.FILE).read_text())
        (checkout.demo_home / lock.FILE).write_text(json.dumps(held | {"pid": stranger.pid}))
        assert checkout.usage_pipeline("status").code == 3
        again = checkout.usage_pipeline("demo", "--once")
        assert again.code == 0, again.said
        assert "0 rows written" in again.said
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert checkout.processes() == {}


def pretend(file: Path, pid: int) -> None:
    """The first line of a server's pid file names another process."""
    lines = file.read_text().split("\n")
    file.write_text("\n".join([str(pid), *lines[1:]]))


@dataclass(frozen=True)
class Somebody:
    """An account of this machine with a checkout of its own, deep enough that sockets live elsewhere."""

    uid: int
    gid: int
    checkout: Checkout

    def start(self, python: str) -> subprocess.Popen[str]:
        path = f"{self.checkout.folder}:{SITE_PACKAGES}"
        return subprocess.Popen(
            [python, "-m", "usage_pipeline", "demo", "--once", "--days", "30"], cwd=self.checkout.folder,
            env=self.checkout.environment(PYTHONPATH=path), user=self.uid, group=self.gid, extra_groups=[],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def two_users() -> Iterator[list[Somebody]]:
    """Each in a private folder."""
    folders = [Path(tempfile.mkdtemp(prefix=f"usage-{name}-")) for name in ACCOUNTS]
    people = []
    for (uid, gid), folder in zip(ACCOUNTS.values(), folders, strict=True):
        deep = stack.copy(folder / ("a long 'näme' " * 8).strip() / "checkout")
        for each in (folder, *folder.rglob("*")):
            os.chown(each, uid, gid)
        people.append(Somebody(uid, gid, deep))
    yield people
    for folder in folders:
        shutil.rmtree(folder)


def python_for(people: list[Somebody]) -> str:
    """An interpreter of our version that these accounts may start, with our packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with suppress(OSError):
            codes = [
                subprocess.run(
                    [python, "-c", "import psycopg, dagster_postgres"], cwd="/",
                    env=each.checkout.environment(PYTHONPATH=str(SITE_PACKAGES)),
                    user=each.uid, group=each.gid, extra_groups=[], capture_output=True, check=False,
                ).returncode
                for each in people
            ]  # fmt: skip
            if not any(codes):
                return python
    pytest.skip(f"no {version} that other accounts may start with the packages of {SITE_PACKAGES}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a process as somebody else")
def test_two_users_at_once(two_users: list[Somebody]) -> None:
    """What stands in the temporary folder by a fixed name belongs to whoever came first."""
    python = python_for(two_users)
    before = temporary_folders()
    demos = [each.start(python) for each in two_users]
    said = [demo.communicate(timeout=2 * stack.PATIENCE)[1] for demo in demos]
    assert [demo.returncode for demo in demos] == [0, 0], said
    assert all("All verified" in each for each in said), said
    assert all(each.checkout.processes() == {} for each in two_users)
    assert temporary_folders() == before


def temporary_folders() -> set[Path]:
    """Where sockets live whose own folder is too deep; a run that was killed may have left some."""
    temporary = Path(tempfile.gettempdir())
    return {folder for uid, _ in ACCOUNTS.values() for folder in temporary.glob(f"usage-{uid}-*")}
