"""One server a worker, of the kind that was asked for; one migrated template, one cloned database a test."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path

import psycopg
import pytest

for variable in (
    "USAGE_DATABASE_URL",
    "USAGE_TOKEN_SOURCE",
    "USAGE_TOKENS_GRACE_DAYS",
    "USAGE_PROGRAM",
    "DAGSTER_HOME",
    "DAGSTER_PG_URL",
):
    os.environ.pop(variable, None)  # a test knows nothing of the stack that stands beside it
START = date(2026, 1, 1)
GRACE_DAYS = 3650  # what a test computes stays open, unless it is about sealing
os.environ.update(
    USAGE_HOME=str(Path(tempfile.gettempdir()) / f"usage-tests-have-no-stack-{os.getpid()}"),
    USAGE_START=START.isoformat(),
)

from usage_pipeline.demo import loading
from usage_pipeline.rollups import functions
from usage_pipeline.sources import access, directory
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import servers
from usage_pipeline_tests.factories import Chat, read_test_clock, set_policy
from usage_pipeline_tests.servers import USUAL, Kind
from usage_pipeline_tests.verbs import Verbs

TEMPLATE = "migrated"
_numbers = count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every test of SQL runs on the one server these choose."""
    parser.addoption(
        "--postgres", choices=list(servers.PROGRAMS), default=USUAL.version, help="the server's version"
    )
    parser.addoption("--over", choices=servers.WAYS, default=USUAL.way, help="the way to it")


def pytest_configure(config: pytest.Config) -> None:
    """A version that is not here is an error: skipping all that was asked for would look like success."""
    lack = _kind(config).lack()
    if lack:
        raise pytest.UsageError(lack)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that uses the chosen kind of server is a test of SQL, whoever forgets to say so."""
    runs_there = server_kind.__name__ in getattr(item, "fixturenames", ())
    if runs_there and not (item.get_closest_marker("stack") or item.get_closest_marker("once")):
        item.add_marker(pytest.mark.sql)


def _kind(config: pytest.Config) -> Kind:
    return Kind(config.getoption("--postgres"), config.getoption("--over"))


@pytest.fixture(scope="session")
def server_kind(pytestconfig: pytest.Config) -> Kind:
    """Which PostgreSQL, and which way in: for a test that needs a server of its own."""
    return _kind(pytestconfig)


@pytest.fixture(scope="session")
def server(server_kind: Kind) -> Iterator[Server]:
    """The server of this worker."""
    with server_kind.started() as found:
        yield found


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database of its own with the application's tables and everything of ours, empty."""
    with cloned(server, TEMPLATE) as name:
        yield name


@pytest.fixture
def superuser(server: Server, database: str) -> Iterator[psycopg.Connection]:
    """Somebody whom no trigger stops, on this test's database."""
    with server.connect(database) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection


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
def verbs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    """What a person types, in this process."""
    return Verbs(monkeypatch, capsys)


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


@contextmanager
def filled(server: Server, fill: Callable[[Chat, Warehouse], object]) -> Iterator[str]:
    """A database with what a function puts into it once, for many tests to clone."""
    with cloned(server, TEMPLATE) as name:
        warehouse = Warehouse(server.url(name))
        with server.connect(name, embedded.LOGIN) as connection:
            fill(Chat(connection), warehouse)
        warehouse.dispose()
        yield name


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
    with server.connect(TEMPLATE) as connection:
        read_test_clock(connection)


def migrate(warehouse: Warehouse, first_day: date = START, grace_days: int = GRACE_DAYS) -> None:
    """Everything that `migrate apply` does."""
    engine.apply(warehouse)
    with warehouse.begin(Role.LOGIN) as connection:
        for grant in access.grants(connection, SUPABASE_CHAT):
            assert grant.is_permitted, grant.statement
            statements.run_script(connection, grant.statement)
    assert directory.give(warehouse, SUPABASE_CHAT) == []
    engine.install(warehouse, functions.wanted(SUPABASE_CHAT))
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=first_day, grace_days=grace_days)
    warehouse.dispose()


def drop_database(server: Server, name: str) -> None:
    with server.connect() as connection:
        connection.execute(
            psycopg.sql.SQL("drop database {} with (force)").format(psycopg.sql.Identifier(name))
        )
