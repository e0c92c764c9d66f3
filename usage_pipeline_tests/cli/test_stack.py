"""What a stack leaves behind: logs that are bounded, and a status that says how to start it again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from usage_pipeline import settings
from usage_pipeline.cli import logs
from usage_pipeline_tests.cli.own_stack import until
from usage_pipeline_tests.verbs import Verbs

WRITER = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"


def test_a_start_keeps_the_log_before_it(tmp_path: Path) -> None:
    file = tmp_path / "daemon.log"
    for text in (b"first", b"second", b"third"):
        with logs.opened(file) as log:
            log.write(text)
    assert file.read_bytes() == b"third"
    assert (tmp_path / "daemon.log.1").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_log_of_a_running_process_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that went on at its old place would leave a file of zeros, as large as before."""
    monkeypatch.setattr(logs, "MOST_BYTES", 100)
    file = tmp_path / "daemon.log"
    with logs.opened(file) as log:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=log.fileno(), text=True
        )
    assert writer.stdin
    with writer.stdin as pipe:
        for word in ("a" * 90, "b" * 90, "c"):
            pipe.write(f"{word}\n")
            pipe.flush()
            until(lambda: file.read_text().endswith(f"{word}\n"))  # noqa: B023 - looked at before the next word
            logs.bound(file)
    assert writer.wait(10) == 0
    assert file.read_text() == "c\n"
    assert (tmp_path / "daemon.log.1").read_text() == f"{'a' * 90}\n{'b' * 90}\n"


@pytest.mark.parametrize(("marker", "verb"), [(settings.DEMO_MARKER, "demo"), ("other.file", "up")])
def test_status_names_what_starts_the_stack(verbs: Verbs, tmp_path: Path, marker: str, verb: str) -> None:
    """Of a stopped demo it named `up`, which refuses the demo's folder."""
    (tmp_path / marker).write_text("20\n")
    home = str(tmp_path)
    done = verbs("status", USAGE_HOME=home, USAGE_AUTOMATION="on")
    assert done.code == 3
    assert f"does not run in {home}: usage-pipeline {verb}\n" in done.out
    assert f"on, once the stack runs: usage-pipeline {verb}; then" in done.out
    facts = json.loads(verbs("status", "--json", USAGE_HOME=home).out)["data"]
    assert facts["stack"]["start"] == f"usage-pipeline {verb}"
