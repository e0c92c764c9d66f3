"""Who works on a run: the process behind it, told by tags, so that one that is gone is known to be."""

import hashlib
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from usage_pipeline.warehouse import processes

_IDENTITY: Final = Path("/etc/machine-id")
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
    started = processes.started(int(number))
    return started is not None and told != f"{_of(run_id, number)}{started}"


def _of(run_id: str, number: str) -> str:
    return f"{number} on {_machine()} of {run_id} since "


def _machine() -> str:
    """Two machines may share a name, and two containers of one, which count from one each."""
    told = [socket.gethostname()]
    with suppress(OSError):
        told.append(hashlib.sha256(_IDENTITY.read_bytes()).hexdigest()[:8])  # it is nobody else's to know
    with suppress(OSError):
        told.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(told)
