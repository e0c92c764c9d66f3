"""Statements live in files: the only way from a `.sql` file to the database."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import Connection, CursorResult

_NO_BINDS: Final = {"no_parameters": True}


@cache
def read(room: str, name: str) -> str:
    """The text of `usage_pipeline/<room>/<name>.sql`; `room` is dotted, as in `rollups.sql`."""
    return files(f"usage_pipeline.{room}").joinpath(f"{name}.sql").read_text(encoding="utf-8")


@cache
def _prepared(room: str, name: str) -> sa.TextClause:
    return sa.text(read(room, name))


def run(connection: Connection, room: str, name: str, **binds: object) -> CursorResult[Any]:
    """Execute one file with its named binds."""
    return connection.execute(_prepared(room, name), binds)


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


def run_script(connection: Connection, text: str) -> None:
    """Execute the text of a file as it stands: several statements, no binds, `%` and `:` untouched."""
    connection.exec_driver_sql(text, execution_options=_NO_BINDS)


def printed(room: str, name: str, **binds: object) -> str:
    """One file with its binds as literals, for a person to read and run; we never execute it."""
    return re.sub(
        r"(?<!:):([a-z_]+)", lambda found: sql.Literal(binds[found[1]]).as_string(), read(room, name)
    )
