"""Statements that are rendered once, and sent past SQLAlchemy."""

import psycopg
import pytest
import sqlalchemy as sa

from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import ConnectionLost
from usage_pipeline.warehouse.roles import Role

ADD = sa.text("insert into public.kept (number) values (:number) returning number + 1 as next")
PID = sa.text("select pg_backend_pid() as pid")


@pytest.fixture
def kept(superuser: psycopg.Connection) -> psycopg.Connection:
    """A table that everybody may write."""
    superuser.execute("create table public.kept (number integer); grant all on public.kept to public")
    return superuser


def numbers(kept: psycopg.Connection) -> list[int]:
    return [number for (number,) in kept.execute("select number from public.kept")]


def test_what_it_returns_is_a_row_by_name(warehouse: Warehouse, kept: psycopg.Connection) -> None:
    with warehouse.begin(Role.WRITER) as connection:
        assert statements.rows(connection, ADD, {"number": 4}) == [{"next": 5}]
    assert numbers(kept) == [4]


def test_it_belongs_to_a_transaction(warehouse: Warehouse, kept: psycopg.Connection) -> None:
    """SQLAlchemy ends only what it has begun, and it has seen no statement."""
    with warehouse.engine(Role.WRITER).connect() as connection:
        statements.rows(connection, ADD, {"number": 4})
        connection.rollback()
        statements.rows(connection, ADD, {"number": 5})
        connection.commit()
    assert numbers(kept) == [5]


def killed(warehouse: Warehouse, superuser: psycopg.Connection) -> None:
    """A transaction that loses its session between two statements."""
    with warehouse.begin(Role.WRITER) as connection:
        (row,) = statements.rows(connection, PID, {})
        superuser.execute("select pg_terminate_backend(%s, 5000)", [row["pid"]])
        statements.rows(connection, PID, {})


def test_a_session_that_was_lost_is_not_used_again(warehouse: Warehouse, kept: psycopg.Connection) -> None:
    """SQLAlchemy hears nothing of the error: the pool could hand out the dead session for ever."""
    with pytest.raises(ConnectionLost):
        killed(warehouse, kept)
    with warehouse.begin(Role.WRITER) as connection:
        assert statements.rows(connection, ADD, {"number": 4}) == [{"next": 5}]
