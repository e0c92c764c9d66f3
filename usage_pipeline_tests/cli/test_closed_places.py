"""Folders, files and outputs that do not take what is written: one line each, and nothing half-written."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from usage_pipeline import settings
from usage_pipeline.cli import stack
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import binaries
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.cli.test_poor_databases import fill, url_of
from usage_pipeline_tests.verbs import Verbs

pytestmark = pytest.mark.command


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can enter and only its owner can write to."""
    with tempfile.TemporaryDirectory(prefix="usage-closed-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def as_somebody() -> Iterator[None]:
    """Under an account that is not root: root may do everything."""
    if os.geteuid() != 0:
        yield
        return
    account = binaries.unprivileged_account()
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_a_home_one_may_not_write_to(verbs: Verbs, folder: Path) -> None:
    folder.chmod(0o555)
    with as_somebody():
        if not os.access(sys.prefix, os.R_OK | os.X_OK, effective_ids=True):
            pytest.skip(f"{sys.prefix} is closed to other accounts, and so is the server in it")
        done = verbs("migrate", "apply", USAGE_HOME=str(folder / "home"))
    refused(done, 1, str(folder / "home"), "closed to this account", "Permission denied", "USAGE_HOME")
    assert list(folder.iterdir()) == []


def test_settings_one_may_not_read(verbs: Verbs, folder: Path) -> None:
    """Going on without them would write to another database than the one they name."""
    file = folder / "settings.toml"
    file.write_text('connections = "1"\n', encoding="utf-8")
    file.chmod(0)
    with as_somebody():
        done = verbs("usage", "tokens", USAGE_HOME=str(folder))
    refused(done, 1, str(file), "cannot be read", "Permission denied")


def test_a_home_one_may_not_look_into(verbs: Verbs, folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home").chmod(0)
    with as_somebody():
        done = verbs("usage", "tokens", USAGE_HOME=str(folder / "home"))
    (folder / "home").chmod(0o700)
    refused(done, 1, str(folder / "home"), "closed to this account", "Permission denied")


@pytest.mark.parametrize("words", [("usage", "tokens"), ("migrate", "apply"), ("demo", "--once")])
@pytest.mark.parametrize("below", ["", "demo"])
def test_a_home_that_is_a_file(verbs: Verbs, folder: Path, words: tuple[str, ...], below: str) -> None:
    file = folder / ".usage"
    file.write_text("mine", encoding="utf-8")
    refused(verbs(*words, USAGE_HOME=str(file / below)), 1, f"{file} is no folder", "USAGE_HOME")
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("verb", ["sources", "usage tokens --json --from 2026-03-04 --to 2026-03-04"])
def test_an_output_that_is_full(server: Server, database: str, verb: str) -> None:
    """What is cut off in the middle must not look like success, nor like a bug."""
    fill(server, database)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "usage_pipeline", *verb.split()],
            env={**os.environ, "USAGE_DATABASE_URL": url_of(server, database)},
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["no room is left for the output: No space left on device. Fix: make room, then run it again"],
    )


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ("postgresql://dagster:word@host/dagster", "postgresql+psycopg2://dagster:word@host/dagster"),
        ("postgres://dagster@host/dagster", "postgresql+psycopg2://dagster@host/dagster"),
        ("postgresql+psycopg://d@/dagster?host=/run", "postgresql+psycopg2://d@/dagster?host=%2Frun"),
        ("postgresql+psycopg2://d@host/dagster", "postgresql+psycopg2://d@host/dagster"),
    ],
)
def test_dagster_gets_its_own_driver(folder: Path, given: str, handed_on: str) -> None:
    """A bare URL means psycopg 3 there, and Dagster's event log then fails on its first event."""
    found = settings.load({"USAGE_HOME": str(folder), "DAGSTER_PG_URL": given})
    assert stack.variables(found)["DAGSTER_PG_URL"] == handed_on


@pytest.mark.parametrize("text", ["pa55word", "mysql://d:pa55word@host/d", "postgresql://d:pa55@word@host/d"])
def test_a_storage_that_makes_no_sense_is_never_repeated(folder: Path, text: str) -> None:
    found = settings.load({"USAGE_HOME": str(folder), "DAGSTER_PG_URL": text})
    with pytest.raises(Refusal, match="DAGSTER_PG_URL cannot be used") as caught:
        stack.variables(found)
    assert caught.value.exit_code == USAGE
    assert "pa55" not in str(caught.value)
