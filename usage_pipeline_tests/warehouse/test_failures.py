"""What a server in trouble is called, and whether it is worth asking it for the next day."""

import os
import signal
import time
from contextlib import suppress
from typing import TypeAlias

import psycopg
import pytest
from sqlalchemy import Connection

from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import embedded, postmaster
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.failures import Missing, Pending, Unusable
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.servers import Kind

Superuser: TypeAlias = psycopg.Connection
FAIL = """
do $$
begin
  raise exception 'so it is' using errcode = current_setting('test.code'), detail = 'a row';
end
$$
"""


def fail(connection: Connection, code: str) -> None:
    """The server itself raises it."""
    connection.exec_driver_sql("select set_config('test.code', %s, true)", (code,))
    connection.exec_driver_sql(FAIL)


@pytest.mark.parametrize(
    ("code", "what", "is_final"),
    [
        ("53100", "the disk of the server of {place} is full", True),
        ("53200", "the server of {place} is out of memory", True),
        ("53300", "the database {place} has no connection left", True),
        ("25006", "the database {place} is read-only", True),
        ("57P02", "the connection to {place} was lost", True),
        ("40P01", "two transactions waited for each other, and this one gave way", False),
        ("55P03", "a lock was not had in time", False),
        ("22P05", "the database {place} cannot hold a character that was asked for", False),
    ],
)
def test_every_kind_of_failure_has_its_sentence(
    warehouse: Warehouse, code: str, what: str, is_final: bool
) -> None:
    """A range of 400 days must not ask a full disk 400 times, nor give up over one lock."""
    with pytest.raises(Refusal) as caught, warehouse.begin(Role.WRITER) as connection:
        fail(connection, code)
    assert caught.value.what == what.format(place=warehouse.place)
    assert caught.value.fix
    assert isinstance(caught.value, Unusable) == is_final
    assert "a row" not in str(caught.value)


CODES = ("3F000", "42P01", "42703", "42883", "42804")
"""A schema, a table, a column, a function that does not exist; one of another type."""


@pytest.mark.parametrize("code", CODES)
def test_what_is_missing_is_not_called_pending(warehouse: Warehouse, code: str) -> None:
    """`migrate apply` brings nobody a column of the application's back."""
    with pytest.raises(Missing) as caught, warehouse.begin(Role.WRITER) as connection:
        fail(connection, code)
    assert caught.value.what == f"the database refused ({code})"
    assert caught.value.why == "so it is"


@pytest.mark.parametrize("code", CODES)
def test_what_a_migration_makes_is_pending(warehouse: Warehouse, superuser: Superuser, code: str) -> None:
    """A revision that has not run is why, whatever the database says of it."""
    superuser.execute("update usage_private.schema_version set version_num = '0004'")
    with pytest.raises(Pending) as caught, warehouse.begin(Role.READER) as connection:
        fail(connection, code)
    assert caught.value.line("usage-pipeline") == (
        "migrations are pending: not applied yet: 0005_families. Fix: usage-pipeline migrate apply"
    )


def test_a_database_of_a_newer_code_says_so(warehouse: Warehouse, superuser: Superuser) -> None:
    superuser.execute("update usage_private.schema_version set version_num = '9999'")
    with pytest.raises(Refusal, match="revision 9999"), warehouse.begin(Role.READER) as connection:
        fail(connection, "42P01")


def test_a_database_that_takes_no_more_connections(server: Server, database: str) -> None:
    name = psycopg.sql.Identifier(database)
    with server.connect() as connection:
        connection.execute(psycopg.sql.SQL("alter database {} connection limit 0").format(name))
    found = refusal(server, database)
    assert found.what.endswith("has no connection left")
    assert "too many connections" in found.why
    assert "USAGE_CONNECTIONS" in found.fix


def test_a_server_that_is_about_to_stop(server_kind: Kind) -> None:
    with server_kind.started() as server, server.connect():
        pid = postmaster.pid_of(server.data)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)  # it waits for the session that is open
        deadline = time.monotonic() + 10
        with suppress(psycopg.OperationalError):
            while time.monotonic() < deadline:
                server.connect().close()
        found = refusal(server, embedded.DATABASE)
    assert found.what.endswith("takes nobody in now")
    assert "shutting down" in found.why
    assert isinstance(found, Unusable)


def refusal(server: Server, database: str) -> Refusal:
    warehouse = Warehouse(server.url(database))
    with pytest.raises(Refusal) as caught, warehouse.begin(Role.LOGIN):
        pass
    warehouse.dispose()
    return caught.value
