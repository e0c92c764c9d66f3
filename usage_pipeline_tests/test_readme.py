"""Every command that the README shows is run, on a demo of its own."""

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from usage_pipeline import settings
from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.stack import ROOT, Checkout

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS: Final = [line for block in BLOCKS for line in block.splitlines() if line]
BY_CI: Final = ("python3 dev.py demo", "python3 dev.py test")
"""The two commands of the door: CI runs them as they stand, the first with --once."""
OWN_DATABASE: Final = next(each for each in BLOCKS if "USAGE_DATABASE_URL=" in each).splitlines()
"""These need a database that is not the demo's."""


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A demo that is three days old, started again today; whoever needs its server starts it."""
    folder = Path(tempfile.mkdtemp(prefix="usage-readme-"))
    copied = stack.copy(folder)
    for done in (copied.demo_days_ago(3), copied.usage_pipeline("demo", "--once")):
        assert done.code == 0, done.said
    server = embedded.of(copied.demo_home)
    assert not server.answers()
    yield copied
    left_running = server.answers()
    embedded.remove(server)
    shutil.rmtree(folder, ignore_errors=True)
    assert not left_running


def runnable() -> list[str]:
    return [each for each in COMMANDS if each not in BY_CI and each not in OWN_DATABASE]


def expected_code(command: str) -> int:
    """`sources` finds the refused values that the demo plants."""
    return 3 if re.search(r"dev\.py sources($| --all)", command) else 0


@pytest.mark.stack
def test_commands_and_python_of_the_readme(checkout: Checkout) -> None:
    """One test for all: they share the demo."""
    for command in runnable():
        done = checkout.run(words_of(command))
        assert done.code == expected_code(command), f"{command}\n{done.out}\n{done.said}"
        assert "Traceback" not in done.said
    pasted_python(checkout)


def pasted_python(checkout: Checkout) -> None:
    """What is shown to be pasted must run."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        done = checkout.run([sys.executable, "-c", f"{block}\nprint(list(frame.columns))"])
        assert done.code == 0, done.said
        assert "total_tokens" in done.out


@pytest.mark.stack
def test_own_database_of_the_readme(server: Server) -> None:
    """In the order in which they stand: `up` goes on while `status` asks."""
    with cloned(server, "template1") as name, stack.checked_out("usage-readme-own-") as own:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
        given = {"USAGE_DATABASE_URL": f"postgresql://{embedded.LOGIN}@/{name}?host={server.sockets}"}
        for command in OWN_DATABASE[1:]:
            if command.endswith(" up"):
                up = own.start("up", "--no-open", **given)
                up.standing()
                continue
            done = own.run(words_of(command), **given)
            while "was not heard of yet" in done.out:  # the daemon says so itself after some seconds
                done = own.run(words_of(command), **given)
            assert done.code == 0, f"{command}\n{done.out}\n{done.said}"
        assert up.end() == 0
        assert own.processes() == {}


def words_of(command: str) -> list[str]:
    """The command with this environment's programs, and its days moved to days the demo has."""
    today = datetime.now(UTC).date()
    recent = f"{today - timedelta(days=7)}...{today}"
    words = shlex.split(re.sub(r"[0-9-]{10}\.\.\.[0-9-]{10}", recent, command))
    if words[:2] == ["python3", "dev.py"]:
        return [sys.executable, "-m", "usage_pipeline", *words[2:]]
    return [str(Path(sys.executable).parent / Path(words[0]).name), *words[1:]]


def test_the_door_is_what_ci_runs() -> None:
    """The README claims only what CI ran."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python3 dev.py test" in script
    assert "python3 dev.py demo --once" in script
    assert set(BY_CI) < set(COMMANDS)


def test_every_setting_of_the_readme_exists() -> None:
    """A variable that nobody reads is worse than none."""
    named = set(re.findall(r"^\| `USAGE_([A-Z_]+)`", README, re.MULTILINE)) - {"HOME"}
    assert {name.lower() for name in named} == set(settings.STORED)


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
