"""A server as Supabase sets one up: its roles, its `auth`, and a `postgres` that is no superuser."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import URL

from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.servers import LOOPBACK, TcpServer
from usage_pipeline_tests.warehouse.test_poolers import folder_for_a_pooler, pooled

DATABASE: Final = "postgres"
OWNER: Final = "postgres"
PASSWORD: Final = "canary/pa55"  # noqa: S105 - the one to look for
VISITORS: Final = ("anon", "authenticated", "service_role")
_ENTRY: Final = f"local all all trust\nhost all all {LOOPBACK}/32 scram-sha-256\n"


@dataclass(frozen=True)
class Project:
    """One of them, reached as its owner is told to: over TCP, by a password."""

    server: TcpServer

    @property
    def url(self) -> str:
        """The direct one, as a person writes it."""
        return _written(self.server.url(DATABASE, login=OWNER).set(password=PASSWORD))

    @contextmanager
    def pooled(self, mode: str) -> Iterator[str]:
        """The URL of its pooler while that runs: Supabase's port 5432 is `session`, 6543 `transaction`."""
        with (
            folder_for_a_pooler() as folder,
            pooled(self.server, DATABASE, folder, mode, login=OWNER, password=PASSWORD) as url,
        ):
            yield _written(url)

    def connect(self, login: str = OWNER) -> psycopg.Connection:
        """By the socket, where nobody is asked for a password."""
        return psycopg.connect(
            host=str(self.server.sockets), port=self.server.port, user=login, dbname=DATABASE, autocommit=True
        )

    @contextmanager
    def request(self, role: str, user_id: UUID | None = None) -> Iterator[psycopg.Connection]:
        """A transaction as the API makes one: the role of a visitor, and claims that say who it is."""
        claims = Jsonb({"role": role, "sub": str(user_id) if user_id else None})
        with self.connect("authenticator") as connection, connection.transaction(force_rollback=True):
            connection.execute(_text("request.sql"), {"role": role, "claims": claims})
            yield connection


def made_of(server: Server) -> Project:
    """The project on a new server, with the application's tables under row-level security, empty."""
    assert isinstance(server, TcpServer)
    project = Project(server)
    with project.connect() as connection:
        connection.execute(b"create role mason superuser login")
    with project.connect("mason") as connection:  # nobody may rename whom he logged in as
        connection.execute(_text("roles.sql"))
    with project.connect("supabase_admin") as connection:
        connection.execute(b"drop role mason")
        connection.execute(_text("project.sql"))
        given = sql.SQL("alter role {} password {}").format(sql.Identifier(OWNER), PASSWORD)
        connection.execute(given)
        (server.data / "pg_hba.conf").write_text(_ENTRY, encoding="utf-8")
        connection.execute(b"select pg_reload_conf()")
    with project.connect() as connection:
        connection.execute(_application())
        connection.execute(_text("policies.sql"))
    return project


def _application() -> bytes:
    """The demo's tables; `auth` is there already, and is Supabase's."""
    text = files("usage_pipeline.demo").joinpath("sql", "application.sql").read_bytes()
    return text[text.index(b"create table public.") :]


def _text(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def _written(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
