"""Files of rows that a rollback took away: a line that says what they are, then the rows as text."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from usage_pipeline import refusals
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse.rowheads import Head

_LONGEST_HEAD: Final = 1 << 20
_BLOCK: Final = 1 << 18


@dataclass(frozen=True)
class RowFile:
    """One that was read through: its head tells the truth of its body."""

    path: Path
    head: Head

    def body(self) -> Iterator[bytes]:
        """The rows, block by block."""
        with self.path.open("rb") as file:
            file.readline(_LONGEST_HEAD)
            while block := file.read(_BLOCK):
                yield block


class Body:
    """Rows on their way to the disk, counted and digested as they pass."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "wb")
        self._digest = hashlib.sha256()
        self.rows = 0

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._digest.update(block)
        self.rows += block.count(b"\n")  # one within a value is written as \n

    def begin(self, head: Head) -> None:
        """Room for a head that knows everything."""
        self._file.write(b" " * len(head.line) + b"\n")

    def end(self, head: Head) -> None:
        """The head in front, and all of it on the disk."""
        known = replace(head, rows=self.rows, sha256=self._digest.hexdigest())
        self._file.seek(0)
        self._file.write(known.line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


@contextmanager
def writing(folder: Path, head: Head) -> Iterator[Body]:
    """A file of that name, for its owner alone; it is there when the body has ended well, and whole."""
    path = folder / head.file_name
    draft = path.with_suffix(".partial")
    with _told(path):
        body = Body(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            body.begin(head)
            yield body
            body.end(head)
            body.close()
            draft.rename(path)
            settle(folder)
        except BaseException:
            with suppress(OSError):  # what it still holds in memory finds no room
                body.close()
            for leftover in (draft, path):
                leftover.unlink(missing_ok=True)
            raise


def prepare(folder: Path) -> None:
    """Make the folder, for its owner alone, if there is none."""
    with _told(folder):
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in made:
            settle(each.parent)


def settle(folder: Path) -> None:
    """A name that is not on the disk is no file after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> RowFile:
    """Read one through; whatever was cut off or altered since it was written is refused."""
    with path.open("rb") as file:
        try:
            head = Head.read(file.readline(_LONGEST_HEAD))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Refusal(
                f"{path} does not begin as a file of rows that a rollback saved",
                why="its first line is altered, or it is another file",
                fix="give the files that `migrate rollback` named, as they were written",
                exit_code=REFUSED,
            ) from None
    found, rows, digest = RowFile(path, head), 0, hashlib.sha256()
    for block in found.body():
        rows += block.count(b"\n")
        digest.update(block)
    if (rows, digest.hexdigest()) != (head.rows, head.sha256):
        held = f"{rows:,} rows instead of {head.rows:,}" if rows != head.rows else "others than were saved"
        raise Refusal(
            f"{path} was cut off or altered",
            why=f"it holds {held}",
            fix="take it from a copy",
            exit_code=REFUSED,
        )
    return found


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system does not let us write, in our words."""
    try:
        yield
    except OSError as error:
        told = refusals.of_system(error, place=str(path), elsewhere="--into")
        raise Refusal(f"{told.what}, and nothing was dropped", why=told.why, fix=told.fix) from None
