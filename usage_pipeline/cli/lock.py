"""The lock of a stack: one runs in a folder, and whoever asks is told who it is and where its page is."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from usage_pipeline.refusals import REFUSED, Refusal

FILE: Final = "stack.lock"
_PATIENCE: Final = 0.5  # somebody who only looks holds it for an instant


@dataclass(frozen=True)
class Holder:
    """Who runs a stack: the process, the verb it was started with, since when, and where its page is."""

    pid: int
    verb: str
    since: datetime
    address: str | None = None

    def __str__(self) -> str:
        page = f"its page is {self.address}" if self.address else "it has no page yet"
        return f"process {self.pid} holds it since {self.since:%Y-%m-%d %H:%M} UTC, {page}"


@dataclass
class Lock:
    """The lock while it is ours."""

    file: IO[str]
    holder: Holder

    def tell(self, address: str) -> None:
        """Where our page is, for whoever asks."""
        self.holder = replace(self.holder, address=address)
        self.write()

    def write(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        json.dump(asdict(self.holder), self.file, default=datetime.isoformat)
        self.file.flush()


@contextmanager
def alone(home: Path, verb: str) -> Iterator[Lock]:
    """One stack a folder: the second says who runs. The kernel lets go of the lock whatever ends us."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / FILE).open("a+", encoding="utf-8") as file:
        if not _take(file):
            raise _runs_already(home, _read(file))
        lock = Lock(file, Holder(os.getpid(), verb, datetime.now(UTC)))
        lock.write()
        yield lock


def holder(home: Path) -> Holder | None:
    """Who runs the stack of this folder; None if nobody does. What a killed one wrote counts for nothing."""
    import fcntl

    with suppress(FileNotFoundError, NotADirectoryError), (home / FILE).open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file) or Holder(0, "unknown", datetime.now(UTC))
    return None


def _take(file: IO[str]) -> bool:
    import fcntl

    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _read(file: IO[str]) -> Holder | None:
    file.seek(0)
    with suppress(ValueError, KeyError, TypeError):
        found = json.load(file)
        return Holder(**found | {"since": datetime.fromisoformat(found["since"])})
    return None


def _runs_already(home: Path, by: Holder | None) -> Refusal:
    return Refusal(
        f"`{by.verb if by else 'stack'}` of {home} runs already",
        why=str(by or "it is just starting"),
        fix="use its page, or end it with Ctrl-C",
        exit_code=REFUSED,
    )
