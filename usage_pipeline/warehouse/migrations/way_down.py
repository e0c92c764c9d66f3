"""What a way down takes with it: found by going it, looking at the catalogue, and coming back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection

from usage_pipeline.refusals import REFUSED, USAGE, Refusal
from usage_pipeline.warehouse import statements, tables
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.migrations import engine, state
from usage_pipeline.warehouse.migrations.state import State
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.tables import Table

BASE = "base"


@dataclass(frozen=True)
class Loss:
    """What goes of one table: these columns of it, or all of it (None)."""

    table: Table
    columns: tuple[str, ...] | None
    rows: int = 0

    @property
    def what(self) -> str:
        if self.columns is None:
            return str(self.table)
        return f"{', '.join(self.columns)} of {self.table}"


@dataclass(frozen=True)
class WayDown:
    """From where it leads to where, past which revisions, newest first; and what goes on the way."""

    current: str
    target: str
    revisions: tuple[str, ...]
    losses: tuple[Loss, ...]
    rights_lost: tuple[str, ...]
    rights_left: tuple[str, ...]

    @property
    def filled(self) -> tuple[Loss, ...]:
        """What goes and holds rows."""
        return tuple(loss for loss in self.losses if loss.rows)

    def goes_beyond(self, seen: Self) -> bool:
        """Whether it leads elsewhere than what was seen, or takes rows of what had none."""
        known = {loss.what for loss in seen.filled}
        return (self.current, self.target) != (seen.current, seen.target) or any(
            loss.what not in known for loss in self.filled
        )


def look(connection: Connection, wanted: Sequence[FunctionFile], to: str | None) -> WayDown | None:
    """What stands in the way down to a revision, None if there is no way to go.

    It takes every table of ours until the transaction ends, so that what it counts stays, and leaves it the
    owner's. The steps themselves are asked what they drop: a list would forget what the next one adds.
    """
    statements.run(connection, "warehouse.sql", "lock_migrations")
    if not state.founded(connection):
        return None
    tables.act_as(connection, Role.OWNER)
    statements.run(connection, "warehouse.sql", "refuse_hidden_rows")
    found = state.read(connection, ())
    target = resolve(found, to)
    if target == found.current:
        return None
    if before := tables.read(connection):
        tables.lock(connection, before.values())
        before = tables.read(connection)  # as it stands since nobody else writes
    rights = rights_on_theirs(connection)
    with connection.begin_nested() as attempt:
        engine.undo(connection, wanted, target)
        after, rights_left = tables.read(connection), rights_on_theirs(connection)
        attempt.rollback()
    return WayDown(
        found.current or BASE,
        target,
        tuple(name for name in reversed(found.revisions) if _is_between(name, target, found.current)),
        counted(connection, before, tuple(lost(before, after))),
        tuple(right for right in rights if right not in rights_left),
        rights_left if target == BASE else (),
    )


def resolve(found: State, to: str | None) -> str:
    """The number of the revision that stays: the one that was asked for, else the one below."""
    applied = [state.number(name) for name in found.revisions if name not in found.pending]
    if to is None:
        return applied[-2] if len(applied) > 1 else BASE
    if to == BASE:
        return BASE
    for name in found.revisions:
        if to in (name, state.number(name)):
            if name in found.pending:
                raise Refusal(
                    f"{name} has not run", why=f"the database stands at {found.current or BASE}",
                    fix="$ migrate apply goes up", exit_code=USAGE,
                )  # fmt: skip
            return state.number(name)
    raise Refusal(
        f"there is no revision `{to}`", why=f"known are: {BASE}, {', '.join(found.revisions)}",
        fix="correct --to", exit_code=USAGE,
    )  # fmt: skip


def lost(before: Mapping[int, Table], after: Mapping[int, Table]) -> Iterator[Loss]:
    """The tables that are gone, and the columns that are gone, or hold another type, of those that stay."""
    for oid, table in before.items():
        if oid not in after:
            yield Loss(table, None)
            continue
        kept = {(column.number, column.type) for column in after[oid].columns}
        gone = tuple(
            column.name
            for column in table.columns
            if (column.number, column.type) not in kept and not column.is_generated
        )
        if gone:
            yield Loss(table, gone)


def counted(connection: Connection, before: Mapping[int, Table], losses: Sequence[Loss]) -> tuple[Loss, ...]:
    """The same with the rows of each, seen as the owner that no policy binds; also that nobody works."""
    with connection.begin_nested() as attempt:
        for table in before.values():
            tables.lift(connection, table)
        if any(str(table) == "usage.backfills" for table in before.values()):
            _require_no_backfill(connection)
        found = tuple(
            Loss(loss.table, loss.columns, tables.count(connection, loss.table.identifier)) for loss in losses
        )
        attempt.rollback()
    return found


def rights_on_theirs(connection: Connection) -> tuple[str, ...]:
    """What our roles hold on the application's tables, in words."""
    return tuple(statements.run(connection, "warehouse.sql", "rights_on_theirs").scalars())


def _require_no_backfill(connection: Connection) -> None:
    """Between two periods a backfill holds no table: the next one would find none."""
    found = statements.run(connection, "warehouse.sql", "held_backfills").scalars().all()
    if found:
        raise Refusal(
            f"backfill {found[0]} is running",
            why="a rollback would take the tables away under it",
            fix="wait for it or stop it, then run it again; $ backfill --list shows how far it is",
            exit_code=REFUSED,
        )


def _is_between(name: str, target: str, current: str | None) -> bool:
    return (target == BASE or state.number(name) > target) and state.number(name) <= (current or "")
