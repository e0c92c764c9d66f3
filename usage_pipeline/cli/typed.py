"""Runs that a person typed: a file stays locked for as long as their process lives, whatever ends it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def marked(home: Path) -> Iterator[str]:
    """The mark that the run carries while the body works."""
    import fcntl

    folder = home / "typed"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid4()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield f"{socket.gethostname()} {path}"
        finally:
            path.unlink(missing_ok=True)


def is_orphaned(mark: str) -> bool:
    """Whether the process behind this mark is gone; of another machine's nothing is known."""
    host, _, place = mark.partition(" ")
    return host == socket.gethostname() and Path(place).parent.is_dir() and not _is_locked(Path(place))


def some_left(home: Path) -> bool:
    """Whether a process that marked a run here was killed since somebody looked."""
    return any(not _is_locked(path) for path in (home / "typed").glob("*.lock"))


def forget(home: Path) -> None:
    """The marks of those that are gone, once their runs are known to be."""
    for path in (home / "typed").glob("*.lock"):
        if not _is_locked(path):
            path.unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    import fcntl

    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
