"""The logs of a stack's processes: one file each, bounded, with the one before it beside it."""

import shutil
from pathlib import Path
from typing import IO, Final

MOST_BYTES: Final = 20_000_000


def opened(file: Path) -> IO[bytes]:
    """A new log for a process that starts; what the one before it wrote stays as `.1`.

    It is opened to append: a child writes at the end of the file also after `bound` has emptied it.
    """
    if file.exists():
        file.replace(_before(file))
    return file.open("ab")


def bound(file: Path) -> None:
    """Copy what a running process wrote to `.1` once it is too much, and empty its file."""
    if file.exists() and file.stat().st_size > MOST_BYTES:
        shutil.copyfile(file, _before(file))
        with file.open("r+b") as log:
            log.truncate()


def _before(file: Path) -> Path:
    return file.with_name(f"{file.name}.1")
