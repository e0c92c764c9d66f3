"""The way of a statement to the database: from its `.sql` file, or composed once and rendered once."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import Connection, CursorResult

_NO_BINDS: Final = {"no_parameters": True}


@cache
def read(room: str, name: str) -> str:
    """The text of `usage_pipeline/<room>/<name>.sql`; `room` is dotted, as in `rollups.sql`."""
    return files(f"usage_pipeline.{room}").joinpath(f"{name}.sql").read_text(encoding="utf-8")


@cache
def prepared(room: str, name: str) -> sa.TextClause:
    """One file with its named binds."""
    return sa.text(read(room, name))


def run(connection: Connection, room: str, name: str, **binds: object) -> CursorResult[Any]:
    """Execute one file with its named binds."""
    return connection.execute(prepared(room, name), binds)


def run_on(
    connection: Connection,
    room: str,
    name: str,
    *,
    binds: Mapping[str, Any] | None = None,
    **names: sql.Composable,
) -> CursorResult[Any]:
    """Execute one file whose `{places}` are filled with these; its binds, if it has any, are `%(name)s`."""
    text = named(room, name, **names).as_string()
    if binds:
        return connection.exec_driver_sql(text, dict(binds))
    return connection.exec_driver_sql(text, execution_options=_NO_BINDS)


def named(room: str, name: str, **names: sql.Composable) -> sql.Composed:
    """One file with its `{places}` filled with identifiers."""
    return sql.SQL(read(room, name)).format(**names)


def rows(connection: Connection, statement: sa.Executable, binds: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a statement that its caller keeps returns: rendered once, and sent as the server reads it.

    SQLAlchemy and the driver would read its text again each time: for 20 kB a millisecond.
    """
    if not connection.in_transaction():
        connection.begin()  # SQLAlchemy does so before each statement that it knows of
    text, names, constants = rendered(statement)
    values = {**constants, **binds}
    with psycopg.RawCursor(driver(connection), row_factory=dict_row) as cursor:
        cursor.execute(text, [values[name] for name in names])
        return cursor.fetchall() if cursor.description else []


@cache
def rendered(statement: Any) -> tuple[bytes, tuple[str, ...], dict[str, Any]]:
    """The text, the bind of each place in it, and the values that are part of the statement."""
    dialect: Any = sa.make_url("postgresql+psycopg://").get_dialect()
    compiled = statement.compile(dialect=dialect(paramstyle="numeric_dollar"))
    constants = {key: bind.value for key, bind in compiled.binds.items() if not bind.required}
    return str(compiled).encode(), tuple(compiled.positiontup or ()), constants


def driver(connection: Connection) -> psycopg.Connection:
    """The driver's own session below this transaction."""
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found


def run_script(connection: Connection, text: str) -> None:
    """Execute the text of a file as it stands: several statements, no binds, `%` and `:` untouched."""
    connection.exec_driver_sql(text, execution_options=_NO_BINDS)


def printed(room: str, name: str, **binds: object) -> str:
    """One file with its binds as literals, for a person to read and run; we never execute it."""
    return re.sub(
        r"(?<!:):([a-z_]+)", lambda found: sql.Literal(binds[found[1]]).as_string(), read(room, name)
    )
