"""One table's files on their way into it: laid out beside it, compared, then stored."""

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg import sql
from sqlalchemy import Connection

from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse import statements, tables
from usage_pipeline.warehouse.rowfiles import RowFile
from usage_pipeline.warehouse.statements import driver
from usage_pipeline.warehouse.tables import Table

_ROWS: Final = sql.Identifier("usage_private", "restored_rows")
_COLUMNS: Final = sql.Identifier("usage_private", "restored_columns")


def restore(connection: Connection, table: Table, files: Sequence[RowFile]) -> tuple[Table, int, int]:
    """Its rows, or the columns that its rows lack; how many there are, and how many were written."""
    if files[0].head.taken is not None:
        for file in files:
            rows = _give_back(connection, table, table.identifier, file)
        return table, rows, rows
    whole = files[0]
    _fill(connection, _ROWS, table, dict.fromkeys((*table.stored, *whole.head.columns)), whole)
    for file in files[1:]:
        _give_back(connection, table, _ROWS, file)
    written = _store(connection, table, whole)
    statements.run_on(connection, "warehouse.sql", "drop_stage", stage=_ROWS)
    return table, whole.head.rows, written


def _fill(
    connection: Connection,
    stage: sql.Identifier,
    table: Table,
    columns: Iterable[str],
    file: RowFile,
) -> None:
    """A stage of these columns, with what the file has of them; what the table lacks is text."""
    staged = (
        sql.Identifier(name)
        if name in table.stored
        else sql.SQL("cast(null as text) as {}").format(sql.Identifier(name))
        for name in columns
    )
    statements.run_on(
        connection, "warehouse.sql", "create_stage",
        stage=stage, table=table.identifier, columns=sql.SQL(", ").join(staged),
    )  # fmt: skip
    text = statements.named("warehouse.sql", "copy_rows_in", table=stage, columns=_listed(file.head.columns))
    with driver(connection).cursor() as cursor, cursor.copy(text) as rows:
        for block in file.body():
            rows.write(block)
    if (found := tables.count(connection, stage)) != file.head.rows:
        raise Refusal(
            f"{file.path} was not restored",
            why=f"{found:,} of its {file.head.rows:,} rows were read", fix="take it from a copy",
        )  # fmt: skip


def _give_back(connection: Connection, table: Table, into: sql.Identifier, file: RowFile) -> int:
    """The columns that were taken, where each row stands as it stood then; how many rows."""
    head = file.head
    _fill(connection, _COLUMNS, table, head.columns, file)
    taken = head.taken or ()
    stayed = [name for name in head.columns if name not in taken and name in table.stored]
    given = statements.run_on(
        connection, "warehouse.sql", "give_columns_back", into=into, stage=_COLUMNS,
        taken=_listed(taken), staged_taken=_listed(taken, "staged"),
        key=_listed(head.key, "standing"), staged_key=_listed(head.key, "staged"),
        stayed=_listed(stayed, "standing"), staged_stayed=_listed(stayed, "staged"),
    ).rowcount  # fmt: skip
    standing = tables.count(connection, into)
    if not given == standing == head.rows:
        raise Refusal(
            f"{', '.join(taken)} of {table} cannot be given back",
            why=f"of the {head.rows:,} rows of {file.path.name} {given:,} stand as they stood, in a table of"
            f" {standing:,}: it was written to since",
            fix="compute what changed again instead: $ backfill --help",
            exit_code=REFUSED,
        )
    statements.run_on(connection, "warehouse.sql", "drop_stage", stage=_COLUMNS)
    return given


def _store(connection: Connection, table: Table, whole: RowFile) -> int:
    """What is staged, into a table that has nothing else; how many rows it lacked."""
    columns = _listed(table.stored)
    strangers = statements.run_on(
        connection, "warehouse.sql", "count_strangers",
        table=table.identifier, stage=_ROWS, columns=columns,
    ).scalar_one()  # fmt: skip
    if strangers:
        raise Refusal(
            f"{table} is not empty",
            why=f"{strangers:,} of its rows {'is' if strangers == 1 else 'are'} not in {whole.path.name}",
            fix="leave that file out if what stands there is right, else empty the table first",
            exit_code=REFUSED,
        )
    if table.is_partitioned:
        statements.run_on(connection, "warehouse.sql", "ensure_staged_partitions", stage=_ROWS)
    written = statements.run_on(
        connection, "warehouse.sql", "insert_staged", table=table.identifier, stage=_ROWS, columns=columns
    ).rowcount
    if (found := tables.count(connection, table.identifier)) != whole.head.rows:
        raise Refusal(
            f"{table} was not restored",
            why=f"it would hold {found:,} rows, and {whole.path.name} has {whole.head.rows:,}",
            fix="run it again",
        )
    return written


def _listed(columns: Iterable[str], of: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*([of] if of else []), name) for name in columns)
