"""Dumps of a filled database, and servers without our roles to restore them on."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from usage_pipeline.periods.calendar import windows
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, tokens_of
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs
from usage_pipeline_tests.warehouse import filled
from usage_pipeline_tests.warehouse.test_migrations import CATALOGUE, Catalogue

SUPERUSER: Final = "postgres"
NO_ROLES: Final = ("--no-owner", "--no-privileges")
ROWS: Final = (
    "select xmin::text, stored::text from usage.user_token_usage stored"
    " order by period_type, period_start, user_id"
)
SEALS: Final = (
    "select rollup, period_start, state, checksum, totals, below, kept, stored_rows, sealed_at"
    " from usage.rollup_ledger order by rollup, period_start"
)
READ_CLOCK: Final = "grant select on usage_private.test_clock to public"
FOREIGN_CLOSED: Final = "update usage.restatements set transaction_id = '0'"


def program(server: Server, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's own programs, of the version of this server."""
    path = server.programs / "bin" / name
    return subprocess.run([path, *words], capture_output=True, text=True, check=False)


def address(server: Server, database: str, login: str = embedded.LOGIN) -> str:
    return server.url(database, login=login).set(drivername="postgresql").render_as_string()


def dumped(server: Server, database: str, file: Path, *words: str) -> Path:
    """The whole database, as a superuser dumps it."""
    url = address(server, database, SUPERUSER)
    done = program(server, "pg_dump", "--format=custom", f"--file={file}", *words, url)
    assert done.returncode == 0, done.stderr
    return file


@contextmanager
def filled_source(server: Server) -> Iterator[str]:
    """A database with sealed, restated and open periods of every grain."""
    with cloned(server, TEMPLATE) as name:
        warehouse = Warehouse(server.url(name))
        with server.connect(name, embedded.LOGIN) as session:
            filled.fill(Chat(session), warehouse)
        run_everything(warehouse)
        yield name


@dataclass(frozen=True)
class Target:
    """An empty database on a server that may lack our roles, and the verbs on it."""

    server: Server
    database: str
    verbs: Verbs
    folder: Path

    def restore(self, file: Path, *words: str, login: str) -> subprocess.CompletedProcess[str]:
        return program(
            self.server,
            "pg_restore",
            f"--dbname={address(self.server, self.database, login)}",
            *words,
            str(file),
        )

    def __call__(self, *words: str) -> Done:
        given = {
            "USAGE_DATABASE_URL": address(self.server, self.database),
            "USAGE_HOME": str(self.folder / "home"),
            "USAGE_START": str(filled.START), "USAGE_TOKENS_GRACE_DAYS": str(filled.GRACE_DAYS),
            "USAGE_CONNECTIONS": "1",
        }  # fmt: skip
        return self.verbs(*words, **given)

    def as_superuser(self, text: str) -> None:
        with self.server.connect(self.database) as master:
            master.execute(text.encode())

    def rerun_everything(self) -> None:
        """Every partition of every grain, by the product's own run."""
        run_everything(Warehouse(self.server.url(self.database)))


def run_everything(warehouse: Warehouse) -> None:
    for grain in filled.GRAINS:
        for each in windows(grain, filled.START, filled.NOW.date()):
            tokens_of(grain).compute(warehouse, each, "again")
    warehouse.dispose()


def rows(server: Server, database: str, text: str) -> list[tuple[Any, ...]]:
    with server.connect(database) as master:
        return master.execute(text.encode()).fetchall()


def contents(server: Server, database: str) -> filled.Contents:
    """Every row; a restatement's transaction is one of the server that it happened on."""
    with server.connect(database) as master, master.transaction(force_rollback=True):
        master.execute(b"set local session_replication_role = replica")
        master.execute(FOREIGN_CLOSED.encode())
        return filled.contents(master)


def catalogue(server: Server, database: str) -> Catalogue:
    """Everything of ours with its owner and its rights; memberships are of the server."""
    with server.connect(database) as master:
        found: Sequence[tuple[str, str, str]] = master.execute(CATALOGUE).fetchall()
    return {
        (kind, name): text
        for kind, name, text in found
        if kind not in ("role", "member") and "test_clock" not in name
    }


def drop_roles(server: Server) -> None:
    """Our roles, once no database needs them."""
    with server.connect() as connection:
        for role in ("usage_owner", "usage_writer", "usage_retention", "usage_reader"):
            connection.execute(psycopg.sql.SQL("drop role if exists {}").format(psycopg.sql.Identifier(role)))
