"""Who works on a run: the process behind it, told by tags, so that one that is gone is known to be."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from usage_pipeline.warehouse import processes

TAG: Final = "usage/process"
"""One tag for all of it: each would be a line of every run on the page."""


def tags(run_id: str) -> dict[str, str]:
    """This process: its number, its machine, and when it started, because numbers are used again."""
    number = os.getpid()
    return {TAG: f"{_of(run_id, str(number))}{processes.started(number)}"}


def tells_of(run_id: str, given: Mapping[str, str]) -> bool:
    """Whether it is said of this run: one that Dagster tries again gets the tags of the one before."""
    return f" of {run_id} since " in given.get(TAG, "")


def is_gone(run_id: str, given: Mapping[str, str]) -> bool:
    """Whether the process of this run is gone; of another machine's, or of none, nothing is known."""
    told = given.get(TAG, "")
    number = told.partition(" ")[0]
    if not number.isdigit() or not told.startswith(_of(run_id, number)):
        return False
    return told != f"{_of(run_id, number)}{processes.started(int(number))}"


def _of(run_id: str, number: str) -> str:
    return f"{number} on {_machine()} of {run_id} since "


def _machine() -> str:
    """Two containers may share a name, and each counts its processes from one."""
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()
