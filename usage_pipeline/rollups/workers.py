"""Who works on a run: the process behind it, told by tags, so that one that is gone is known to be.

Only its own machine sees a process, and a container that is started anew is another machine: so a run that no
backfill's record vouches for holds a lock in the database too, which is seen from everywhere.
"""

import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from usage_pipeline.warehouse import processes, statements
from usage_pipeline.warehouse.connections import Role, Warehouse

_IDENTITY: Final = Path("/etc/machine-id")
TAG: Final = "usage/process"
"""One tag for all of it: each would be a line of every run on the page."""
_HELD: Final = ", by a lock in the database"


def tags(run_id: str, *, is_held: bool = False) -> dict[str, str]:
    """This process: its number, its machine, and when it started, because numbers are used again."""
    number = os.getpid()
    return {TAG: f"{_of(run_id, str(number))}{processes.started(number)}{_HELD if is_held else ''}"}


def tells_of(run_id: str, given: Mapping[str, str]) -> bool:
    """Whether it is said of this run: one that Dagster tries again gets the tags of the one before."""
    return f" of {run_id} since " in given.get(TAG, "")


@contextmanager
def held(warehouse: Warehouse, run_id: str) -> Iterator[None]:
    """For as long as the body works, every machine can see that somebody does."""
    with warehouse.session(Role.WRITER) as connection:
        statements.run(connection, "warehouse.sql", "hold", lock_key=_lock_key(run_id))
        connection.commit()
        yield


def is_gone(run_id: str, given: Mapping[str, str], warehouse: Warehouse) -> bool:
    """Whether the process of this run is gone: as its machine sees it, else by its lock in the database."""
    told = given.get(TAG, "")
    seen = _is_gone_from_here(run_id, told.removesuffix(_HELD))
    if seen is None and tells_of(run_id, given) and told.endswith(_HELD):
        return not _is_held(warehouse, run_id)
    return bool(seen)


def _is_gone_from_here(run_id: str, told: str) -> bool | None:
    """None of another machine's, and of none: nothing is known."""
    number = told.partition(" ")[0]
    if not number.isdigit() or not told.startswith(_of(run_id, number)):
        return None
    started = processes.started(int(number))
    return None if started is None else told != f"{_of(run_id, number)}{started}"


def _is_held(warehouse: Warehouse, run_id: str) -> bool:
    with warehouse.begin(Role.READER) as connection:
        found = statements.run(connection, "warehouse.sql", "is_held", lock_key=_lock_key(run_id))
        return bool(found.scalar_one())


def _lock_key(run_id: str) -> int:
    """A positive number of 62 bits, as those of the backfills are."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8]) >> 2


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
