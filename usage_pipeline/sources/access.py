"""What our roles may read of a source: asserted before every run, because a hidden row makes no noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from usage_pipeline import refusals
from usage_pipeline.refusals import Refusal
from usage_pipeline.sources.adapters import ADAPTERS, Adapter, Column, Table
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.roles import Role

READING_ROLES: Final = (Role.WRITER, Role.READER)
FUNCTIONS: Final = FunctionFile("sources.sql", "source_access")
"""The questions to the catalogue, as functions: the database asks them itself before it reads raw rows."""


@dataclass(frozen=True)
class Access:
    """What one role may read of one table; `obstacle`: why not everything, `remedy`: what removes it."""

    table_name: str
    role: str
    has_row_security: bool
    obstacle: str | None
    remedy: str


@dataclass(frozen=True)
class Grant:
    """A statement that gives our roles what they lack; `is_permitted`: this login may run it."""

    statement: str
    is_permitted: bool


def active(connection: Connection, chosen: str | None) -> Adapter:
    """The adapter of tokens: the one that was chosen, else the one whose tables are here."""
    if chosen is not None:
        if chosen not in ADAPTERS:
            known = ", ".join(ADAPTERS)
            raise Refusal(
                f"there is no adapter `{chosen}`", why=f"known are: {known}", fix="correct USAGE_TOKEN_SOURCE"
            )
        return ADAPTERS[chosen]
    for adapter in ADAPTERS.values():
        if any(columns(connection, adapter).values()):
            return adapter
    wanted = "; ".join(f"{each.name}: {', '.join(t.name for t in each.tables)}" for each in ADAPTERS.values())
    raise Refusal(
        "no source of tokens is in this database",
        why=f"none of the tables an adapter reads exists ({wanted})",
        fix="point USAGE_DATABASE_URL at the application's database",
    )


def of(connection: Connection, adapter: Adapter, roles: Sequence[Role] = READING_ROLES) -> list[Access]:
    """What our roles may read of every table the adapter names."""
    return of_tables(connection, adapter.tables, roles)


def of_tables(connection: Connection, tables: Sequence[Table], roles: Sequence[Role]) -> list[Access]:
    """What these roles may read of these tables."""
    rows = statements.run(
        connection,
        "sources.sql",
        "access_of_tables",
        tables=[table.name for table in tables],
        roles=[role.value for role in roles],
    )
    return [Access(**row) for row in rows.mappings()]


def columns(connection: Connection, adapter: Adapter) -> dict[str, dict[str, str]]:
    """The columns that really exist, by table: name to type."""
    return columns_of(connection, adapter.tables)


def columns_of(connection: Connection, tables: Sequence[Table]) -> dict[str, dict[str, str]]:
    """The same of these tables."""
    found: dict[str, dict[str, str]] = {table.name: {} for table in tables}
    rows = statements.run(connection, "sources.sql", "table_columns", tables=list(found))
    for row in rows.mappings():
        found[str(row["table_name"])][str(row["column_name"])] = str(row["column_type"])
    return found


def missing_columns(table: Table, found: dict[str, str]) -> list[Column]:
    """The columns an adapter cannot do without and this table lacks."""
    return [column for column in table.columns if column.default is None and column.name not in found]


def grants(connection: Connection, adapter: Adapter) -> list[Grant]:
    """The statements our roles still need to read the source whole."""
    return grants_on(connection, adapter.tables, READING_ROLES)


def grants_on(connection: Connection, tables: Sequence[Table], roles: Sequence[Role]) -> list[Grant]:
    """The statements these roles still need to read these tables whole."""
    rows = statements.run(
        connection,
        "sources.sql",
        "access_statements",
        tables=[table.name for table in tables],
        roles=[role.value for role in roles],
    )
    return [Grant(str(row["statement"]), bool(row["is_permitted"])) for row in rows.mappings()]


def granting(lacking: Sequence[Grant]) -> str:
    """Our verb for what this login may grant, the statements for what only the owner of a table may."""
    ours = ["$ migrate apply"] if any(grant.is_permitted for grant in lacking) else []
    return "\n".join([*ours, *(f"{grant.statement};" for grant in lacking if not grant.is_permitted)])


def require_tables(connection: Connection, adapter: Adapter) -> None:
    """Refuse by name what the adapter needs and the application does not have."""
    found = columns(connection, adapter)
    for table in adapter.tables:
        if not found[table.name]:
            raise Refusal(
                f"the source table {table.name} does not exist",
                why=f"the adapter `{adapter.name}` reads it",
                fix="create it, or choose another adapter with USAGE_TOKEN_SOURCE",
            )
        for column in table.columns:
            kind = found[table.name].get(column.name)
            if kind is not None and column.types and kind.partition("(")[0].strip() not in column.types:
                raise Refusal(
                    f"the source column {table.name}.{column.name} is of type {kind}",
                    why=f"the adapter `{adapter.name}` reads {' or '.join(column.types)}",
                    fix="choose another adapter with USAGE_TOKEN_SOURCE, or convert the column",
                )
        for column in missing_columns(table, found[table.name]):
            raise Refusal(
                f"the source table {table.name} has no column `{column.name}`",
                why=f"the adapter `{adapter.name}` reads it: {column.meaning}",
                fix="add the column, or choose another adapter with USAGE_TOKEN_SOURCE",
            )


def require_readable(connection: Connection, adapter: Adapter, role: Role) -> None:
    """Refuse to read a source that hides rows from this role: it would look like an empty day."""
    for access in of(connection, adapter, [role]):
        if access.obstacle:
            raise Refusal(
                f"the source table {access.table_name} cannot be read whole",
                why=access.obstacle,
                fix=refusals.as_fix(access.remedy),
            )
