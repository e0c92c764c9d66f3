"""Who works on a run: the process behind it, told by tags, so that one that is gone is known to be."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from usage_pipeline.warehouse import processes

MACHINE_TAG: Final = "usage/machine"
PROCESS_TAG: Final = "usage/process"
STARTED_TAG: Final = "usage/process_started"
RUN_TAG: Final = "usage/process_of"
"""A run that Dagster tries again gets the tags of the one before, whose process they tell of."""


def tags(run_id: str) -> dict[str, str]:
    """This process: its machine, its number, and when it started, because numbers are used again."""
    number = os.getpid()
    return {
        RUN_TAG: run_id,
        MACHINE_TAG: _machine(),
        PROCESS_TAG: str(number),
        STARTED_TAG: processes.started(number),
    }


def is_gone(run_id: str, given: Mapping[str, str]) -> bool:
    """Whether the process of this run is gone; of another machine's, or of none, nothing is known."""
    number = given.get(PROCESS_TAG, "")
    if given.get(RUN_TAG) != run_id or given.get(MACHINE_TAG) != _machine() or not number.isdigit():
        return False
    return processes.started(int(number)) != given.get(STARTED_TAG)


def _machine() -> str:
    """Two containers may share a name, and each counts its processes from one."""
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()
