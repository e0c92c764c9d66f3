"""The way back of what a rollback dropped: its files, all in one transaction, or none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from usage_pipeline.refusals import ATTENTION, REFUSED, USAGE, Refusal
from usage_pipeline.warehouse import rowfiles, statements, tables
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.migrations import staging, state
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.rowfiles import RowFile
from usage_pipeline.warehouse.tables import Table

_POLICY: Final = "usage.rollup_policy"
_LEDGER: Final = "usage.rollup_ledger"


@dataclass(frozen=True)
class Restored:
    """One table: how many rows the files have, and how many of them were not there before."""

    table: str
    rows: int
    written: int


def perform(warehouse: Warehouse, paths: Sequence[Path]) -> list[Restored]:
    """Read every file through, then write them; each table ends with exactly the rows that were saved."""
    files = [rowfiles.read(path) for path in paths]
    with warehouse.begin(Role.LOGIN) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        if not state.founded(connection):
            raise _no_table(files[0])
        tables.act_as(connection, Role.OWNER)
        statements.run(connection, "warehouse.sql", "refuse_hidden_rows")
        known = {str(table): table for table in tables.read(connection).values()}
        asked = _by_table(files, known)
        needed = [*asked, *_ledger_beside_policy(asked, known)]
        tables.lock(connection, needed)
        done = []
        with _opened(connection, needed):
            _empty_unused_policy(connection, asked, known)
            for table in _in_order(connection, asked):
                done.append(staging.restore(connection, table, asked[table]))
        for table in asked:
            _advance_counters(connection, table, asked[table])
    return [Restored(str(table), rows, written) for table, rows, written in done]


def _by_table(files: Sequence[RowFile], known: Mapping[str, Table]) -> dict[Table, list[RowFile]]:
    """The files of each table: its rows first, then what older and newer revisions knew more of them."""
    found: dict[Table, list[RowFile]] = {}
    for file in sorted(files, key=lambda each: (each.head.taken is not None, each.head.revision)):
        if file.head.table not in known:
            raise _no_table(file)
        found.setdefault(known[file.head.table], []).append(file)
    for table, given in found.items():
        _require_one_of_each(given)
        _require_columns(table, given)
    return found


def _require_one_of_each(files: Sequence[RowFile]) -> None:
    """Two files of the same thing are of two rollbacks, and only a person knows which is right."""
    whole = [name for file in files if file.head.taken is None for name in file.head.columns]
    taken = [(file.head.revision, name) for file in files for name in file.head.taken or ()]
    known = set(whole)
    is_twice = len(whole) > len(known) or len(taken) > len(set(taken))
    if is_twice or any(name in known for _, name in taken):
        raise Refusal(
            f"several files hold the same of {files[0].head.table}",
            why="each was saved by a rollback of its own",
            fix="give the one that is to stand: the time is in the name",
            exit_code=USAGE,
        )


def _require_columns(table: Table, files: Sequence[RowFile]) -> None:
    """What the files have and the table lacks, or the other way round, is of another version.

    What a step down made of a column stands in the file of that step as it was before.
    """
    given = {name for file in files for name in (*file.head.columns, *file.head.key)}
    newest = max((file.head.revision for file in files if file.head.taken is not None), default="")
    for file in files:
        unknown = sorted({*file.head.columns, *file.head.key} - set(table.stored))
        if unknown and file.head.revision >= newest:
            raise Refusal(
                f"{table} has no column `{unknown[0]}`",
                why=f"{file.path.name} was saved at revision {file.head.revision}",
                fix="$ migrate apply, with the version of the code that it was saved by",
                exit_code=REFUSED,
            )
    if files[0].head.taken is None and (missing := [name for name in table.stored if name not in given]):
        raise Refusal(
            f"no file has the column `{missing[0]}` of {table}",
            why=f"{files[0].path.name} was saved at revision {files[0].head.revision}",
            fix=f"give the file {table}.columns.… of the rollback before it too",
            exit_code=REFUSED,
        )


def _no_table(file: RowFile) -> Refusal:
    return Refusal(
        f"{file.head.table} does not exist",
        why=f"{file.path.name} holds rows of it, and no table is made of a file",
        fix="$ migrate apply",
        exit_code=ATTENTION,
    )


def _ledger_beside_policy(asked: Mapping[Table, object], known: Mapping[str, Table]) -> list[Table]:
    """The ledger says whether a policy is in use, and no run may write to it meanwhile."""
    if known.get(_POLICY) not in asked or known[_LEDGER] in asked:
        return []
    return [known[_LEDGER]]


def _empty_unused_policy(
    connection: Connection, asked: Mapping[Table, object], known: Mapping[str, Table]
) -> None:
    """The file replaces what `migrate apply` recorded: before the first period no number depends on it."""
    if known.get(_POLICY) in asked and not tables.count(connection, known[_LEDGER].identifier):
        statements.run_on(connection, "warehouse.sql", "empty_table", table=known[_POLICY].identifier)


@contextmanager
def _opened(connection: Connection, asked: Iterable[Table]) -> Iterator[None]:
    """The guards let the owner put back what they guarded; they stand again before the transaction ends."""
    silenced = {}
    for table in asked:
        tables.lift(connection, table)
        silenced[table] = tables.silence(connection, table)
    yield
    for table, firing in silenced.items():
        tables.unsilence(connection, table, firing)
        tables.force(connection, table)


def _in_order(connection: Connection, asked: Mapping[Table, object]) -> list[Table]:
    """What others refer to comes first."""
    by_oid = {table.oid: table for table in asked}
    graph: dict[int, set[int]] = {oid: set() for oid in by_oid}
    for row in statements.run(connection, "warehouse.sql", "references_between_tables"):
        if row.conrelid in graph and row.confrelid in graph:
            graph[row.conrelid].add(row.confrelid)
    return [by_oid[oid] for oid in TopologicalSorter(graph).static_order()]


def _advance_counters(connection: Connection, table: Table, files: Sequence[RowFile]) -> None:
    """The next id comes after those that were given, as if nothing had been undone."""
    for file in files:
        for column, value in file.head.counters.items():
            statements.run(
                connection, "warehouse.sql", "advance_counter",
                table_name=table.identifier.as_string(), column_name=column, value=value,
            )  # fmt: skip
