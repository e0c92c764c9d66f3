"""Functions that follow their files: created by `migrate apply`, told apart by the hash in their comment."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from usage_pipeline.warehouse import statements

_CREATION = re.compile(r"(?im)^create or replace function (?P<name>[a-z_.]+)")


@dataclass(frozen=True)
class FunctionFile:
    """One text that creates functions, of the file `room` and `name` as in `statements.read`.

    What is made from data has its text in `made`; the file is then the frame that it is set into.
    """

    room: str
    name: str
    made: str = ""

    @property
    def text(self) -> str:
        return self.made or statements.read(self.room, self.name)

    @property
    def mark(self) -> str:
        return f"usage_pipeline {self.room}.{self.name} {hashlib.sha256(self.text.encode()).hexdigest()[:16]}"

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions it creates."""
        return tuple(found["name"] for found in _CREATION.finditer(self.text))


def install(connection: Connection, files: Sequence[FunctionFile]) -> tuple[str, ...]:
    """Create what differs from its file; the names of the files that ran. The caller acts as the owner."""
    stale = outdated(connection, files)
    for file in files:
        if file.name in stale:
            statements.run(connection, "warehouse.sql", "drop_functions", names=list(file.functions))
            statements.run_script(connection, file.text)
            statements.run(
                connection, "warehouse.sql", "adopt_functions", names=list(file.functions), mark=file.mark
            )
    return stale


def script(files: Sequence[FunctionFile]) -> str:
    """What `install` would run where none of them stands yet, for a person to read."""
    return "\n".join(f"{file.text}\n{_adoption(file)};\n" for file in files)


def remove(connection: Connection, files: Sequence[FunctionFile]) -> None:
    """Drop the functions of these files. The caller acts as the owner."""
    names = [name for file in files for name in file.functions]
    statements.run(connection, "warehouse.sql", "drop_functions", names=names)


def outdated(connection: Connection, files: Sequence[FunctionFile]) -> tuple[str, ...]:
    """The files whose functions are missing or were made from another text."""
    marks = {
        str(name): str(mark) for name, mark in statements.run(connection, "warehouse.sql", "function_marks")
    }
    return tuple(file.name for file in files if any(marks.get(name) != file.mark for name in file.functions))


def _adoption(file: FunctionFile) -> str:
    return statements.printed(
        "warehouse.sql", "adopt_functions", names=list(file.functions), mark=file.mark
    ).rstrip()
