"""Connections: one engine a role, the role taken on connect so that no rollback can drop it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.types.string import TextLoader
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import embedded, failures, poolers, statements, urls
from usage_pipeline.warehouse.failures import Missing
from usage_pipeline.warehouse.migrations import state
from usage_pipeline.warehouse.poolers import Mode
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    from usage_pipeline.warehouse.presence import Presence

OLDEST_SERVER: Final = 15
_TEXTS: Final = (0, "bpchar", "name", "text", "varchar")  # 0: any type the driver does not know


_PATIENCE: Final = {Role.WRITER: "5min"}
"""How long a role waits for a lock, where not ten seconds: two runs that meet in a day take turns."""


class _AnyText(TextLoader):
    """Text of a database without an encoding may hold any bytes: one name must not hide the others."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


class Warehouse:
    """The database of the aggregates and its sources, as the roles that may touch it."""

    def __init__(
        self, url: URL, *, connections: int = 2, read_only: bool = False, patience_seconds: int = 10
    ) -> None:
        self._url = url
        self.connections = connections
        self._patience_seconds = patience_seconds  # in which a server must answer
        self._read_only = read_only  # every transaction says so to the server, which holds us to it
        self._engines: dict[Role, Engine] = {}
        self.presence: Presence | None = None  # of this process, once it works on a run
        self._pooler: Mode | None = None  # what it is has to be found out, by a second session

    def __repr__(self) -> str:
        return f"Warehouse({self.place})"

    @cached_property
    def place(self) -> str:
        """The database in words, without a secret."""
        return urls.in_words(self._url)

    @property
    def pooler(self) -> Mode | None:
        """The pooler that answered, if one did; known once a session was had."""
        return self._pooler

    def engine(self, role: Role) -> Engine:
        if role not in self._engines:
            self._engines[role] = self._create_engine(role)
        return self._engines[role]

    @contextmanager
    def begin(self, role: Role) -> Iterator[Connection]:
        """One transaction as one role; what the database refuses comes out without the row it refused."""
        with self._told(role), self.engine(role).begin() as connection:
            yield connection

    @contextmanager
    def session(self, role: Role) -> Iterator[Connection]:
        """A session that outlives its transactions, for what holds as long as it lives."""
        with self._told(role), self.engine(role).connect() as connection:
            try:
                yield connection
            finally:
                connection.invalidate()  # whatever it holds ends with it, not with the pool

    def dispose(self) -> None:
        if self.presence:
            self.presence.end()
            self.presence = None
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    @contextmanager
    def _told(self, role: Role) -> Iterator[None]:
        """What the database refuses, in our words; that migrations are pending is said only when they are."""
        try:
            with failures.told(self.place):
                yield
        except Missing as missing:
            raise self._lack(role) or missing from None

    def _lack(self, role: Role) -> Refusal | None:
        """Of a session that uses what migrations make; who makes it must hear what fails there."""
        if role in (Role.LOGIN, Role.OWNER):
            return None
        with suppress(Refusal, DBAPIError, psycopg.Error), self.engine(role).begin() as connection:
            return state.lack(connection)
        return None

    def _create_engine(self, role: Role) -> Engine:
        engine = sa.create_engine(
            self._url,
            pool_size=self.connections + 1,
            max_overflow=0,
            pool_pre_ping=False,
            hide_parameters=True,
        )

        @sa.event.listens_for(engine, "do_connect")
        def connect(dialect: Any, record: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
            return self._connect(role, arguments, named)

        @sa.event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            if self._pooler is Mode.TRANSACTION:
                self._take_role_for_now(statements.driver(connection), role)

        return engine

    def _connect(self, role: Role, arguments: list[Any], named: dict[str, Any]) -> psycopg.Connection:
        connection = self._log_in(arguments, named)
        try:
            if connection.info.server_version // 10_000 < OLDEST_SERVER:
                raise failures.too_old(connection.info.server_version // 10_000, OLDEST_SERVER, self.place)
            if not self._shares_sessions and not self._take_role(connection, role):
                with self._log_in(arguments, named) as another:
                    self._pooler = poolers.mode(connection, another)
                if not self._shares_sessions:
                    self._take_role(connection, role)
            if self._shares_sessions:
                self._require_reading(role)
                connection.prepare_threshold = None  # a prepared statement stays behind with the session
        except psycopg.errors.Error as error:
            connection.close()
            raise failures.role_refused(error, role, self.place) from None
        except Refusal:
            connection.close()
            raise
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            for kind in _TEXTS:
                connection.adapters.register_loader(kind, _AnyText)
        connection.autocommit = False
        connection.read_only = self._read_only or self._shares_sessions or None
        return connection

    @property
    def _shares_sessions(self) -> bool:
        return self._pooler in (Mode.TRANSACTION, Mode.STATEMENT)

    def _require_reading(self, role: Role) -> None:
        """Through a pooler by transaction one can read; whatever writes holds locks that outlive one."""
        only_reads = self._read_only or role is Role.READER
        if self._pooler is Mode.STATEMENT or not only_reads:
            raise failures.shared_session(self.place, reads=self._pooler is Mode.TRANSACTION)

    def _log_in(self, arguments: list[Any], named: dict[str, Any]) -> psycopg.Connection:
        named = {"connect_timeout": self._patience_seconds, "application_name": "usage_pipeline", **named}
        try:
            return psycopg.connect(*arguments, **named, autocommit=True)
        except psycopg.Error as error:
            raise failures.unreachable(urls.first_line(error, self._url), self.place) from None
        except TypeError:
            raise Refusal("USAGE_DATABASE_URL cannot be used", why="its options are not known") from None

    def _take_role(self, connection: psycopg.Connection, role: Role) -> bool:
        """False, and nothing is done, where a pooler answers that was not looked at yet."""
        told = connection.info.backend_pid if self._pooler is None else None
        return _settle(connection, role, session=told, for_transaction=False)

    def _take_role_for_now(self, connection: psycopg.Connection, role: Role) -> None:
        """In a session that the next transaction may not have: the role ends with this one."""
        try:
            _settle(connection, role, session=None, for_transaction=True)
        except psycopg.Error as error:
            raise failures.role_refused(error, role, self.place) from None


def open_warehouse(settings: Settings, *, read_only: bool = False, patience_seconds: int = 10) -> Warehouse:
    """The warehouse these settings name; nothing is connected yet."""
    if settings.database_url is None:
        url = embedded.of(settings.home).url(embedded.DATABASE)
    else:
        url = urls.read(settings.database_url)
    return Warehouse(
        url, connections=settings.connections, read_only=read_only, patience_seconds=patience_seconds
    )


def _settle(
    connection: psycopg.Connection, role: Role, *, session: int | None, for_transaction: bool
) -> bool:
    """Whether it is that session of the server, which now is the role."""
    binds = {
        "role": role.value, "session": session, "for_transaction": for_transaction,
        "lock_timeout": _PATIENCE.get(role, "10s"),
    }  # fmt: skip
    text = statements.read("warehouse.sql", "take_role").encode()
    return connection.execute(text, binds).fetchone() is not None


def require_alive(connection: Connection) -> None:
    """Fails, as the driver does, if the session is gone; what it holds is gone with it."""
    statements.run(connection, "warehouse.sql", "session_lives")
    connection.commit()


def server_version(connection: Connection) -> str:
    """The server's version as a person says it."""
    return ".".join(map(str, connection.dialect.server_version_info or ()))
