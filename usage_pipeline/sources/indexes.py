"""The index that a search begins with: which one it is, and the statement that makes it."""

from sqlalchemy import Connection

from usage_pipeline.sources.adapters import Table
from usage_pipeline.warehouse import statements


def leading(connection: Connection, table: Table, column: str) -> str | None:
    """The index that begins with the column; None: a search by it reads the whole table."""
    found = statements.run(
        connection,
        "sources.sql",
        "leading_index",
        table_name=table.name,
        column_name=column,
        row_filter=table.row_filter,
    ).scalar_one_or_none()
    return None if found is None else str(found)


def creation(connection: Connection, table: Table, column: str) -> str | None:
    """The statement that makes it; None where none can stand: on a view, or without the column."""
    found = statements.run(
        connection, "sources.sql", "index_statement", table_name=table.name, column_name=column
    ).scalar_one_or_none()
    return None if found is None else str(found)
