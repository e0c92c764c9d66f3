"""The lock of a process: free before nobody is told of it, held until it ends, and never mistaken."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from usage_pipeline.warehouse import presence
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.cli.own_stack import until

IDLE = "select state from pg_stat_activity join pg_locks using (pid) where locktype = 'advisory'"
NOWHERE = Warehouse(sa.make_url("postgresql+psycopg://nobody@127.0.0.1:1/nowhere"))


@pytest.fixture
def another(server: Server, database: str) -> Iterator[Warehouse]:
    """What another machine has of the same database."""
    found = Warehouse(server.url(database))
    yield found
    found.dispose()


def terminate(superuser: psycopg.Connection, name: str) -> None:
    """End the session that holds this lock."""
    gone = superuser.execute(
        "select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory'"
        " and (classid::bigint << 32) | objid::bigint = %s",
        [int(name.partition(" ")[0])],
    ).fetchall()
    assert gone == [(True,)]


def test_it_is_held_until_the_process_lets_go(warehouse: Warehouse, another: Warehouse) -> None:
    """One for all that a process does, on a session that no transaction keeps."""
    held = presence.name(warehouse)
    assert held
    assert presence.name(warehouse) == held
    other = presence.name(another)
    assert other not in (None, held)
    assert presence.is_held(another, held) is True
    with another.begin(Role.LOGIN) as connection:
        states = connection.exec_driver_sql(IDLE).scalars().all()
    assert states == ["idle", "idle"], "a transaction that stays open is ended by the server"
    warehouse.dispose()
    until(lambda: presence.is_held(another, held) is False, 10)  # the server sees the end of a session later


def test_it_takes_no_place_of_those_that_compute(server: Server, database: str) -> None:
    """The pool holds as many as compute at once and one more."""
    narrow = Warehouse(server.url(database), connections=1)
    assert presence.name(narrow)
    with narrow.begin(Role.WRITER), narrow.begin(Role.WRITER):
        assert presence.name(narrow)
    narrow.dispose()


def test_one_that_was_lost_is_taken_again(
    warehouse: Warehouse, another: Warehouse, superuser: psycopg.Connection
) -> None:
    """Else the next run would name a lock that nobody holds, and be taken for gone."""
    lost = presence.name(warehouse)
    assert lost
    terminate(superuser, lost)
    assert presence.is_held(another, lost) is False
    held = presence.name(warehouse)
    assert held
    assert held != lost
    assert presence.is_held(another, held) is True


def test_one_that_was_lost_is_no_hindrance(
    warehouse: Warehouse, superuser: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    lost = presence.name(warehouse)
    assert lost
    terminate(superuser, lost)
    warehouse.dispose()
    with warehouse.begin(Role.WRITER) as connection:
        assert connection.exec_driver_sql("select 1").scalar_one() == 1
    assert caplog.records == []


def test_of_another_database_nothing_is_known(warehouse: Warehouse) -> None:
    """The same number is free there, and the process works."""
    held = presence.name(warehouse)
    assert held
    number, _, place = held.partition(" in database ")
    assert presence.is_held(warehouse, f"{number} in database {int(place) + 1}") is None


@pytest.mark.parametrize(
    "name", ["", "5", "a in database 5", "5 in database 5; drop", f"{'9' * 20} in database 5"]
)
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    assert presence.is_held(NOWHERE, name) is None


def test_without_a_session_the_work_goes_on(server: Server, database: str) -> None:
    """A login that may have no more: nobody else knows then whether it works, as nobody ever did."""
    with server.connect(database) as connection:
        connection.execute("create role narrow login connection limit 1 in role usage_writer, usage_reader")
        limited = Warehouse(server.url(database, login="narrow"))
        try:
            with limited.begin(Role.READER):
                assert presence.name(limited) is None
        finally:
            limited.dispose()
            connection.execute("drop role narrow")
