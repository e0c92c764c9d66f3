"""One embedded server a worker, one migrated template, one cloned database a test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

for variable in (
    "USAGE_DATABASE_URL",
    "USAGE_TOKEN_SOURCE",
    "USAGE_PROGRAM",
    "DAGSTER_HOME",
    "DAGSTER_PG_URL",
):
    os.environ.pop(variable, None)  # a test knows nothing of the stack that stands beside it
os.environ.update(
    USAGE_HOME=str(Path(tempfile.gettempdir()) / "usage-tests-have-no-stack"), USAGE_START="2026-01-01"
)

from usage_pipeline.demo import loading
from usage_pipeline.rollups import functions
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline_tests.factories import Chat

TEMPLATE = "migrated"
UNSAFE_AND_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
DEBIAN_15 = Path("/usr/lib/postgresql/15")
_numbers = count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL 18, the embedded one."""
    yield from _served(embedded.of(_new_home(), options=UNSAFE_AND_FAST))


@pytest.fixture(scope="session")
def server_15() -> Iterator[Server]:
    """PostgreSQL 15 from Debian, the oldest we promise; says so where it is not installed."""
    if not (DEBIAN_15 / "bin" / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 in {DEBIAN_15}; apt-get install postgresql-15 brings it")
    yield from _served(embedded.of(_new_home(), programs=DEBIAN_15, options=UNSAFE_AND_FAST))


@pytest.fixture(params=["postgres_18", "postgres_15"])
def each_server(request: pytest.FixtureRequest) -> Server:
    """The test runs on both."""
    name = {"postgres_18": "server", "postgres_15": "server_15"}[request.param]
    found = request.getfixturevalue(name)
    assert isinstance(found, Server)
    return found


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database of its own with the application's tables and everything of ours, empty."""
    with cloned(server, TEMPLATE) as name:
        yield name


@pytest.fixture
def warehouse(server: Server, database: str) -> Iterator[Warehouse]:
    """The warehouse on this test's database."""
    found = Warehouse(server.url(database))
    yield found
    found.dispose()


@pytest.fixture
def chat(server: Server, database: str) -> Iterator[Chat]:
    """The application: inserts sessions and messages as the owner of its tables."""
    with server.connect(database, embedded.LOGIN) as connection:
        yield Chat(connection)


@pytest.fixture
def bare_database(server: Server) -> Iterator[str]:
    """A database with nothing in it."""
    with cloned(server, "template1") as name:
        yield name


@contextmanager
def cloned(server: Server, template: str) -> Iterator[str]:
    """A database made from another one, dropped at the end; also for tests that need several."""
    if template == TEMPLATE:
        ensure_template(server)
    name = f"test_{next(_numbers)}"
    with server.connect() as connection:
        embedded.create_database(connection, name, owner=embedded.LOGIN, template=template)
    yield name
    drop_database(server, name)


def ensure_template(server: Server) -> None:
    """The migrated template of this server, made once."""
    with server.connect() as connection:
        exists = statements.read("warehouse.sql", "database_exists").encode()
        if connection.execute(exists, {"name": TEMPLATE}).fetchone():
            return
        embedded.create_database(connection, TEMPLATE, owner=embedded.LOGIN)
    with server.connect(TEMPLATE, embedded.LOGIN) as connection:
        loading.create_application(connection)
    migrate(Warehouse(server.url(TEMPLATE)))


def migrate(warehouse: Warehouse) -> None:
    """Everything that `migrate apply` does."""
    engine.apply(warehouse)
    with warehouse.begin(Role.LOGIN) as connection:
        for grant in access.grants(connection, SUPABASE_CHAT):
            assert grant.is_permitted, grant.statement
            statements.run_script(connection, grant.statement)
    engine.install(warehouse, functions.wanted(SUPABASE_CHAT))
    warehouse.dispose()


def drop_database(server: Server, name: str) -> None:
    with server.connect() as connection:
        connection.execute(
            psycopg.sql.SQL("drop database {} with (force)").format(psycopg.sql.Identifier(name))
        )


def _new_home() -> Path:
    return Path(tempfile.mkdtemp(prefix="usage-test-"))


def _served(server: Server) -> Iterator[Server]:
    try:
        embedded.start(server)
        yield server
    finally:
        embedded.remove(server)
        shutil.rmtree(server.home, ignore_errors=True)
