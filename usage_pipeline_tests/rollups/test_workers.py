"""Which process works on a run: one that works is never taken for gone, one that is gone always is."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from usage_pipeline.rollups import workers
from usage_pipeline.warehouse import processes

TELLING = (
    "import json, sys; from usage_pipeline.rollups import workers; print(json.dumps(workers.tags('a run')))"
)


def test_whoever_works_is_not_gone() -> None:
    assert not workers.is_gone("a run", workers.tags("a run"))


def test_whoever_was_killed_is_gone() -> None:
    """Also while nobody has asked how it ended: its number is still there."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{TELLING}; sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = dict(json.loads(process.stdout.readline()))
        assert not workers.is_gone("a run", told)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert workers.is_gone("a run", told)
    assert workers.is_gone("a run", told)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (" of a run since ", " of the run before since "),
        (f" on {socket.gethostname()} ", " on another machine "),
        (f"{os.getpid()} on ", "no number on "),
        (f"{os.getpid()} on ", " on "),
    ],
    ids=["another run", "another machine", "no number", "no process"],
)
def test_of_others_nothing_is_known(said: str, instead: str) -> None:
    """A second try gets the tags of the run before; machines and containers share one Dagster."""
    (told,) = workers.tags("a run").values()
    gone = f"{told.partition(' since ')[0]} since long ago"
    assert workers.is_gone("a run", {workers.TAG: gone})
    assert said in gone
    assert not workers.is_gone("a run", {workers.TAG: gone.replace(said, instead)})


def test_who_cannot_look_takes_nobody_for_gone() -> None:
    """A process that may open no more files sees none of /proc: it would fail every run that works."""
    script = (
        "import resource; from usage_pipeline.rollups import workers; told = workers.tags('a run');"
        " resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)); print(workers.is_gone('a run', told))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_whose_process_it_is() -> None:
    assert workers.tells_of("a run", workers.tags("a run"))
    assert not workers.tells_of("another run", workers.tags("a run"))
    assert not workers.tells_of("a run", {})


def test_a_run_without_tags_is_left_alone() -> None:
    assert not workers.is_gone("a run", {})


def test_a_number_that_is_used_again_is_not_taken_for_the_old_one() -> None:
    """Brothers differ by when they started, and by nothing else that is told of them."""
    with subprocess.Popen(["sleep", "60"]) as first:
        time.sleep(0.1)
        with subprocess.Popen(["sleep", "60"]) as second:
            told = {processes.started(first.pid), processes.started(second.pid)}
            second.kill()
        first.kill()
    assert len(told) == 2
    assert "" not in told
