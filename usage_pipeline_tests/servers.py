"""The servers the tests run on: each PostgreSQL we promise, through each way in."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import URL

from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server

UNSAFE_AND_FAST: Final = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
PROGRAMS: Final = {"18": None, "15": Path("/usr/lib/postgresql/15")}
"""Where each version stands; the embedded one comes with the wheel."""
WAYS: Final = ("socket", "tcp")
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class TcpServer(Server):
    """A server that also listens on the loopback address, and is only ever reached there."""

    port: int = 0

    def url(self, database: str, *, login: str = embedded.LOGIN, driver: str = "psycopg") -> URL:
        return URL.create(
            f"postgresql+{driver}", username=login, host=LOOPBACK, port=self.port, database=database
        )

    def connect(self, database: str = "postgres", login: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(host=LOOPBACK, port=self.port, user=login, dbname=database, autocommit=True)


@dataclass(frozen=True)
class Kind:
    """Which PostgreSQL, and which way in."""

    version: str
    way: str

    def lack(self) -> str | None:
        """Why this machine cannot start one."""
        programs = PROGRAMS[self.version]
        if programs is None or (programs / "bin" / "postgres").exists():
            return None
        return f"there is no PostgreSQL in {programs}: apt-get install postgresql-{self.version} brings it"

    @contextmanager
    def started(self, *options: str) -> Iterator[Server]:
        """A new server of this kind while the body runs; nothing of it stays."""
        home = Path(tempfile.mkdtemp(prefix="usage-test-"))
        server = embedded.of(home, programs=PROGRAMS[self.version], options=(*UNSAFE_AND_FAST, *options))
        if self.way == "tcp":
            server = over_tcp(server)
        try:
            embedded.start(server)
            yield server
        finally:
            embedded.remove(server)
            shutil.rmtree(home, ignore_errors=True)


USUAL: Final = Kind("18", "socket")
"""What the tests run on unless another is asked for."""


def over_tcp(server: Server) -> TcpServer:
    """The same server through a port of the loopback address."""
    port = free_port()
    listening = ("-c", f"listen_addresses={LOOPBACK}", "-c", f"port={port}")
    return TcpServer(**{**vars(server), "options": (*server.options, *listening)}, port=port)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port
