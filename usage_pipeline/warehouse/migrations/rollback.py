"""The way down, gone: what it drops stands in files before it is dropped, in one transaction."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql
from sqlalchemy import Connection

from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse import rowfiles, statements, tables
from usage_pipeline.warehouse.connections import Warehouse, server_version
from usage_pipeline.warehouse.failures import ConnectionLost
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.migrations import engine, way_down
from usage_pipeline.warehouse.migrations.way_down import Loss, WayDown
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.rowfiles import Body
from usage_pipeline.warehouse.rowheads import Head
from usage_pipeline.warehouse.statements import driver


@dataclass(frozen=True)
class RolledBack:
    """What was undone, and the files that hold what was dropped."""

    way: WayDown
    files: tuple[Path, ...]


def plan(warehouse: Warehouse, wanted: Sequence[FunctionFile], to: str | None) -> WayDown | None:
    """What would be undone and lost; nothing is changed."""
    with warehouse.begin(Role.LOGIN) as connection:
        return way_down.look(connection, wanted, to)


def perform(
    warehouse: Warehouse, wanted: Sequence[FunctionFile], to: str | None, folder: Path, agreed: WayDown
) -> RolledBack:
    """Save, then undo, all or nothing; the files stay where nobody knows whether the end was reached.

    It looks again: nothing was held while somebody read what was planned, and thought it over.
    """
    files: list[Path] = []
    try:
        with warehouse.begin(Role.LOGIN) as connection:
            way = way_down.look(connection, wanted, to)
            if way is None or way.goes_beyond(agreed):
                raise _not_as_agreed()
            with _removed_unless_done(files):
                for loss in way.filled:
                    files.append(_save(connection, loss, way.current, folder))
                before = tables.read(connection)
                engine.undo(connection, wanted, way.target)
                _require_saved(way, list(way_down.lost(before, tables.read(connection))))
    except ConnectionLost as lost:
        raise _in_doubt(lost, files) from None
    return RolledBack(way, tuple(files))


def not_agreed(way: WayDown, into: Path | None = None) -> Refusal:
    """Names what would go, and the command that lets it."""
    what = "; ".join(f"{loss.what} ({loss.rows:,} row{'' if loss.rows == 1 else 's'})" for loss in way.filled)
    folder = "" if into is None else f" --into {shlex.quote(str(into))}"
    return Refusal(
        f"nothing was rolled back: it would drop {what}",
        why="nobody is there to be asked",
        fix=f"$ migrate rollback --to {way.target}{folder} --yes (it saves them in files first)",
        exit_code=REFUSED,
    )


def _not_as_agreed() -> Refusal:
    return Refusal(
        "nothing was rolled back",
        why="somebody else migrated meanwhile, or a table that was empty holds rows now",
        fix="run it again, to see what would go",
        exit_code=REFUSED,
    )


def _save(connection: Connection, loss: Loss, revision: str, folder: Path) -> Path:
    """The rows of one table in a file, whole also where only columns go: they tell what stayed."""
    table = loss.table
    if loss.columns is not None and not table.key:
        raise Refusal(
            f"{table} has no key", why=f"without one {loss.what} could not be given back",
            fix="copy them elsewhere and empty the table first", exit_code=REFUSED,
        )  # fmt: skip
    head = Head(
        str(table), revision, loss.columns, table.stored, table.key, table.counters,
        server_version(connection), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )  # fmt: skip
    rowfiles.prepare(folder)
    tables.lift(connection, table)
    with rowfiles.writing(folder, head) as body:
        _copy(connection, loss, body)
        if body.rows != loss.rows:
            raise Refusal(
                f"{table} was not saved, and nothing was dropped",
                why=f"it has {loss.rows:,} rows, of which {body.rows:,} could be read",
                fix="see what policies stand on it, then run it again",
                exit_code=REFUSED,
            )
    tables.force(connection, table)
    return folder / head.file_name


def _copy(connection: Connection, loss: Loss, body: Body) -> None:
    """Row by row, so that a large table needs no memory."""
    columns = sql.SQL(", ").join(map(sql.Identifier, loss.table.stored))
    text = statements.named("warehouse.sql", "copy_rows_out", table=loss.table.identifier, columns=columns)
    with driver(connection).cursor() as cursor, cursor.copy(text) as rows:
        for row in rows:
            body.write(bytes(row))


def _require_saved(way: WayDown, gone: Sequence[Loss]) -> None:
    """What went is what was foreseen: a step that drops now this and now that saved something else."""
    foreseen = {(loss.table.oid, loss.columns) for loss in way.losses}
    for loss in gone:
        if (loss.table.oid, loss.columns) not in foreseen:
            raise Refusal(f"nothing was rolled back: {loss.what} would have gone unsaved", fix="run it again")


@contextmanager
def _removed_unless_done(files: list[Path]) -> Iterator[None]:
    """Files of what was not dropped would look like files of what was."""
    try:
        yield
    except BaseException:
        while files:
            files.pop().unlink(missing_ok=True)
        raise


def _in_doubt(lost: ConnectionLost, files: Sequence[Path]) -> Refusal:
    """Lost with everything done but the commit, which may have been heard."""
    if not files:
        return lost
    return Refusal(
        "the connection was lost in the last moment, and the rollback is done or is not",
        why=f"the rows are in {files[0].parent} either way",
        fix="$ migrate status says where the database stands",
    )
