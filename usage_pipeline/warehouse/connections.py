"""Connections: one engine a role, the role taken on connect so that no rollback can drop it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from usage_pipeline.refusals import ATTENTION, USAGE, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import embedded, statements

OLDEST_SERVER: Final = 15


class Role(StrEnum):
    """Who a session is; `LOGIN` stays what it logged in as."""

    LOGIN = "none"
    OWNER = "usage_owner"
    WRITER = "usage_writer"
    READER = "usage_reader"
    RETENTION = "usage_retention"


class ConnectionLost(Refusal):
    """The database is not there, or no longer; whatever is asked next will fail as well."""


class Warehouse:
    """The database of the aggregates and its sources, as the roles that may touch it."""

    def __init__(self, url: URL, *, connections: int = 2) -> None:
        self._url = url
        self.connections = connections
        self._engines: dict[Role, Engine] = {}
        self.progress: Callable[[Any], None] = _nobody_watches

    def __repr__(self) -> str:
        return f"Warehouse({self.place})"

    @cached_property
    def place(self) -> str:
        """The database in words, without a secret."""
        host = self._url.host or self._url.query.get("host") or "the local socket"
        return f"{self._url.database or 'its default database'} at {host}"

    def engine(self, role: Role) -> Engine:
        if role not in self._engines:
            self._engines[role] = self._create_engine(role)
        return self._engines[role]

    @contextmanager
    def begin(self, role: Role) -> Iterator[Connection]:
        """One transaction as one role; what the database refuses comes out without the row it refused."""
        try:
            with self.engine(role).begin() as connection:
                yield connection
        except DBAPIError as error:
            raise _plainly(error, self.place) from None

    def dispose(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _create_engine(self, role: Role) -> Engine:
        engine = sa.create_engine(
            self._url, pool_size=self.connections, max_overflow=0, pool_pre_ping=False, hide_parameters=True
        )

        @sa.event.listens_for(engine, "do_connect")
        def connect(dialect: Any, record: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
            return self._connect(role, arguments, named)

        return engine

    def _connect(self, role: Role, arguments: list[Any], named: dict[str, Any]) -> psycopg.Connection:
        named = {"connect_timeout": 10, "application_name": "usage_pipeline", **named}
        try:
            connection = psycopg.connect(*arguments, **named, autocommit=True)
        except psycopg.Error as error:
            raise _unreachable(error, self.place, self._url.password) from None
        except TypeError:
            raise Refusal("USAGE_DATABASE_URL cannot be used", why="its options are not known") from None
        try:
            _require_version(connection, self.place)
            connection.execute(statements.read("warehouse.sql", "take_role").encode(), {"role": role.value})
        except psycopg.errors.Error as error:
            connection.close()
            raise _role_refused(error, role) from None
        except Refusal:
            connection.close()
            raise
        connection.autocommit = False
        return connection


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse these settings name; nothing is connected yet."""
    if settings.database_url is None:
        url = embedded.of(settings.home).url(embedded.DATABASE)
    else:
        url = parse(settings.database_url)
    return Warehouse(url, connections=settings.connections)


def parse(text: str) -> URL:
    """A URL as a person writes it, for our driver; never repeated in an error, it may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    known = url is not None and url.get_backend_name() in ("postgresql", "postgres")
    if url is None or not known or "@" in (url.host or ""):  # the rest of a password with an @ in it
        raise Refusal(
            "USAGE_DATABASE_URL cannot be used",
            why="it must look like postgresql://user:password@host:5432/database"
            " (a special character in the password is written %XX)",
            fix="correct USAGE_DATABASE_URL",
            exit_code=USAGE,
        )
    return url.set(drivername="postgresql+psycopg")


def server_version(connection: Connection) -> str:
    """The server's version as a person says it."""
    return ".".join(map(str, connection.dialect.server_version_info or ()))


def _nobody_watches(outcome: Any) -> None:
    """Progress goes nowhere unless a command shows it."""


def _require_version(connection: psycopg.Connection, place: str) -> None:
    major = connection.info.server_version // 10_000
    if major < OLDEST_SERVER:
        raise Refusal(
            f"PostgreSQL {major} ({place}) is too old",
            why=f"version {OLDEST_SERVER} or newer is needed",
            fix="point USAGE_DATABASE_URL at a newer server",
        )


def _unreachable(error: psycopg.Error, place: str, password: object) -> Refusal:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for secret in {str(password)} if password else set():
        reason = reason.replace(secret, "***")
    return ConnectionLost(
        f"the database {place} cannot be reached",
        why=reason,
        fix="check that it runs and USAGE_DATABASE_URL, or unset that to use the embedded server",
    )


def _role_refused(error: psycopg.Error, role: Role) -> Refusal:
    if error.sqlstate == "22023":
        return _pending(f"the role {role} does not exist")
    if error.sqlstate == "42501":
        return Refusal(
            f"this login may not act as {role}",
            why="the role was made by another login",
            fix=f"as its maker or a superuser run: grant {role} to the login of USAGE_DATABASE_URL",
        )
    return Refusal("the session could not be set up", why=_primary(error))


def _plainly(error: DBAPIError, place: str) -> Refusal:
    original = error.orig
    if not isinstance(original, psycopg.Error):
        return Refusal(f"the database {place} failed", why=type(original).__name__)
    if original.sqlstate in (None, "57P01", "57P02"):
        return ConnectionLost(
            f"the connection to {place} was lost", why="nothing of this step was stored", fix="run it again"
        )
    if original.sqlstate == "55P03":
        return Refusal(
            "a lock was not had in time",
            why="another run of the same period, a migration or the application's own DDL holds it",
            fix="run it again",
        )
    if original.sqlstate in ("3F000", "42P01", "42883"):
        return _pending(_primary(original))
    fix = "$ migrate sql prints what a login with the right may run" if original.sqlstate == "42501" else ""
    return Refusal(f"the database refused ({original.sqlstate})", why=_primary(original), fix=fix)


def _pending(why: str) -> Refusal:
    return Refusal("migrations are pending", why=why, fix="$ migrate apply", exit_code=ATTENTION)


def _primary(error: psycopg.Error) -> str:
    """The server's first sentence; its DETAIL may carry a row and stays behind."""
    return error.diag.message_primary or type(error).__name__
