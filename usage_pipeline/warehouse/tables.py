"""Tables of ours as the catalogue knows them, and what their owner does to them within one transaction."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import DBAPIError

from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.roles import Role

PATIENCE = 10.0
"""Seconds in which tables that others use must come free."""
_LOOKS_APART: Final = 0.1
_FIRES: Final = {"O": "enable", "A": "enable always", "R": "enable replica"}


@dataclass(frozen=True)
class Column:
    """`number` stays when a column is renamed; a `type` that differs holds other values."""

    number: int
    name: str
    type: str
    is_generated: bool


@dataclass(frozen=True)
class Table:
    """One that holds rows: itself, not its partitions. `counters` are the last values of its sequences."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    counters: Mapping[str, int] = field(hash=False)
    is_forced: bool
    is_partitioned: bool

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns whose values are given, not generated from others."""
        return tuple(column.name for column in self.columns if not column.is_generated)


def act_as(connection: Connection, role: Role) -> None:
    """Become one of our roles for the rest of this transaction; the login's own session stays what it is."""
    statements.run(connection, "warehouse.sql", "act_as", role=role.value)


def read(connection: Connection) -> dict[int, Table]:
    """All of ours that stand, by what they stay known by when they are renamed."""
    rows = statements.run(connection, "warehouse.sql", "tables_of_ours").mappings()
    return {row["oid"]: _table(row) for row in rows}


def lock(connection: Connection, tables: Iterable[Table]) -> None:
    """Take them all at once, or none while anybody works with one: a run that goes on never waits for us."""
    names = sql.SQL(", ").join(table.identifier for table in tables)
    deadline = time.monotonic() + PATIENCE
    while True:
        attempt = connection.begin_nested()
        try:
            statements.run_on(connection, "warehouse.sql", "lock_tables", tables=names)
        except DBAPIError as error:
            attempt.rollback()
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOKS_APART)
        else:
            attempt.commit()
            return


def lift(connection: Connection, table: Table) -> None:
    """Let the owner see and write the rows of its own table."""
    if table.is_forced:
        statements.run_on(connection, "warehouse.sql", "lift_row_security", table=table.identifier)


def force(connection: Connection, table: Table) -> None:
    """Bind the owner to the policies again, if it was bound."""
    if table.is_forced:
        statements.run_on(connection, "warehouse.sql", "force_row_security", table=table.identifier)


def count(connection: Connection, table: sql.Identifier) -> int:
    """How many rows stand in it."""
    found = statements.run_on(connection, "warehouse.sql", "count_rows", table=table)
    return int(found.scalar_one())


def silence(connection: Connection, table: Table) -> dict[str, str]:
    """Switch off the triggers that fire; their names, with when each does."""
    rows = statements.run(connection, "warehouse.sql", "triggers_of_table", table_oid=table.oid)
    firing = {str(row.name): str(row.fires) for row in rows}
    for name in firing:
        _switch(connection, table, name, "disable")
    return firing


def unsilence(connection: Connection, table: Table, firing: Mapping[str, str]) -> None:
    """Let them fire as before."""
    for name, fires in firing.items():
        _switch(connection, table, name, _FIRES[fires])


def _table(row: RowMapping) -> Table:
    columns = tuple(Column(**each) for each in row["columns"])
    return Table(**{**row, "columns": columns, "key": tuple(row["key"])})


def _switch(connection: Connection, table: Table, trigger: str, switch: str) -> None:
    statements.run_on(
        connection, "warehouse.sql", "switch_trigger",
        table=table.identifier, trigger=sql.Identifier(trigger), switch=sql.SQL(switch),
    )  # fmt: skip
