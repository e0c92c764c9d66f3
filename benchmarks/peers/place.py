"""Where a peer works, how it is set, and the two ways it can let us down."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Place:
    """The database with the application's tables, the days to compute, and a folder to write into."""

    host: str
    """A socket's folder, or an address."""
    database: str
    user: str
    folder: Path
    """Scratch, outside the tracked files: environments, copies of the projects, caches, logs."""
    first: date
    last: date
    """The last day, inclusive."""
    port: int = 5432

    def run(self, statements: Path) -> None:
        """A file of statements as it stands, each in a transaction of its own."""
        with psycopg.connect(
            host=self.host, port=self.port, dbname=self.database, user=self.user, autocommit=True
        ) as connection:
            connection.execute(statements.read_bytes())


@dataclass(frozen=True)
class Variant:
    """A setting that a tool leaves to its user."""

    name: str
    days_in_a_batch: int
    batches_at_once: int


class Unavailable(Exception):  # noqa: N818 - a row of the table, not a fault of ours
    """What cannot be installed and why, in one line."""


class Failed(Exception):  # noqa: N818 - a row of the table, not a fault of ours
    """The command that a tool broke off, and its last lines."""
