"""Who works on a run: the process behind it, told by tags, so that one that is gone is known to be.

Only its own machine sees a process, and a container that is started anew is another machine; so a process
also holds a lock in the database, which is seen from everywhere.
"""

import hashlib
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from usage_pipeline.warehouse import presence, processes
from usage_pipeline.warehouse.connections import Warehouse

_IDENTITY: Final = Path("/etc/machine-id")
TAG: Final = "usage/process"
"""One tag for all of it: each would be a line of every run on the page."""
_LOCK: Final = ", lock "


def tags(run_id: str, lock: str | None = None) -> dict[str, str]:
    """This process: its number, its machine, when it started, as numbers are used again, and its lock."""
    number = os.getpid()
    held = f"{_LOCK}{lock}" if lock else ""
    return {TAG: f"{_of(run_id, str(number))}{processes.started(number)}{held}"}


def tells_of(run_id: str, given: Mapping[str, str]) -> bool:
    """Whether it is said of this run: one that Dagster tries again gets the tags of the one before."""
    return f" of {run_id} since " in given.get(TAG, "")


def is_gone(run_id: str, given: Mapping[str, str], warehouse: Warehouse) -> bool:
    """Whether the process of this run is gone, as its machine sees it, else by its lock."""
    seen = is_gone_from_here(run_id, given)
    return has_let_go(run_id, given, warehouse) if seen is None else seen


def is_gone_from_here(run_id: str, given: Mapping[str, str]) -> bool | None:
    """Whether this machine sees that it is gone; None of another machine's, and of none: nothing is known."""
    told = given.get(TAG, "").partition(_LOCK)[0]
    number = told.partition(" ")[0]
    if not number.isdigit() or not told.startswith(_of(run_id, number)):
        return None
    started = processes.started(int(number))
    return None if started is None else told != f"{_of(run_id, number)}{started}"


def has_let_go(run_id: str, given: Mapping[str, str], warehouse: Warehouse) -> bool:
    """Whether the process of this run held a lock in this database, and does no longer."""
    lock = given.get(TAG, "").partition(_LOCK)[2]
    return tells_of(run_id, given) and presence.is_held(warehouse, lock) is False


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
