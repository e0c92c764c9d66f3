"""A disk that is really full, where the machine lets us make one."""

import shutil
import subprocess
import sys

import pytest

from usage_pipeline_tests.stack import ROOT

PRIVATE = ("unshare", "--mount")


@pytest.mark.stack
def test_a_full_disk_is_told_and_loses_nothing() -> None:
    """Half a day that was stored, or a server that never starts again, would be found much later."""
    if not may_mount():
        pytest.skip("only root may mount a small disk that nobody else sees")
    command = [*PRIVATE, sys.executable, "-m", "usage_pipeline_tests.cli.full_disk"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("No space left on device") == 5
    assert "5 days computed from 4,000 messages" in done.stdout


def may_mount() -> bool:
    if not shutil.which(PRIVATE[0]):
        return False
    return subprocess.run([*PRIVATE, "true"], capture_output=True, check=False).returncode == 0
