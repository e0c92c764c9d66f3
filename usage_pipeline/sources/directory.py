"""The directory: who the users are by name. No number waits for it; where it fails, users show by id."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from usage_pipeline import refusals
from usage_pipeline.refusals import Refusal
from usage_pipeline.sources import access
from usage_pipeline.sources.access import Access, Grant
from usage_pipeline.sources.adapters import Adapter, Table
from usage_pipeline.warehouse import functions, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import Unusable
from usage_pipeline.warehouse.roles import Role

_ROLES: Final = (Role.READER,)
"""Who shows names."""
_PATIENCE_MS: Final = 10_000
"""A report does not wait for a view that never ends."""
BY_ID: Final = "users show by id"


@dataclass(frozen=True)
class Directory:
    """What labels come from; `obstacle`: why there are none although the table exists, `fix` what helps."""

    name: str
    exists: bool
    label_columns: tuple[str, ...]
    user_count: int | None = None
    labelled_count: int | None = None
    obstacle: str | None = None
    fix: str | None = None

    @property
    def in_words(self) -> str:
        """One line for a person."""
        if not self.exists:
            return f"{self.name} does not exist: {BY_ID}"
        if self.obstacle:
            return f"{self.name}: {self.obstacle}; {BY_ID}"
        if not self.label_columns:
            return f"{self.name} has no id with a column that names a user: {BY_ID}"
        labelled = f"{self.labelled_count:,} of {self.user_count:,} users have a label"
        return f"{self.name}: {labelled}, from {', '.join(self.label_columns)}"


def grants(connection: Connection, adapter: Adapter) -> list[Grant]:
    """The statements our reader still needs to see every name; nothing is pending without them."""
    return access.grants_on(connection, [adapter.directory.table], _ROLES)


def give(warehouse: Warehouse, adapter: Adapter) -> list[str]:
    """Run those that this login may run; the others, and what the database refused."""
    with warehouse.begin(Role.LOGIN) as connection:
        wanted = grants(connection, adapter)
    return [each.statement for each in wanted if not (each.is_permitted and _runs(warehouse, each))]


def read(warehouse: Warehouse, adapter: Adapter) -> Directory:
    """The state of the directory, as our reader sees it now."""
    table = adapter.directory.table
    with warehouse.begin(Role.READER) as connection:
        found = access.columns_of(connection, [table])[table.name]
        closed = [each for each in access.of_tables(connection, [table], _ROLES) if each.obstacle]
        is_ours_old = bool(functions.outdated(connection, [adapter.directory.functions]))
    state = Directory(table.name, bool(found), _label_columns(table, found))
    if not state.label_columns:
        return state
    if is_ours_old:
        return replace(state, obstacle="migrations are pending", fix="$ migrate apply")
    counted = _counted(warehouse, state)
    if closed and not counted.labelled_count:  # a view of its owner's rights may show all, whatever it reads
        return replace(counted, obstacle=closed[0].obstacle, fix=_remedy(warehouse, adapter, closed[0]))
    return counted


def _label_columns(table: Table, found: Collection[str]) -> tuple[str, ...]:
    """The columns that can name a user, in the order in which they are tried; none without the id."""
    key, *names = [column.name for column in table.columns]
    return tuple(name for name in names if name in found) if key in found else ()


def _remedy(warehouse: Warehouse, adapter: Adapter, closed: Access) -> str:
    """The statements that let our reader see it, or what else does."""
    with warehouse.begin(Role.LOGIN) as connection:
        lacking = grants(connection, adapter)
    return access.granting(lacking) if lacking else refusals.as_fix(closed.remedy)


def _counted(warehouse: Warehouse, state: Directory) -> Directory:
    """With its users counted, or with the sentence of the database that cannot read them."""
    try:
        with warehouse.begin(Role.READER) as connection:
            statements.run(connection, "warehouse.sql", "limit_time", milliseconds=_PATIENCE_MS)
            row = statements.run(connection, "sources.sql", "labelled_users").one()
    except Unusable:
        raise
    except Refusal as refusal:
        said = refusal.why or refusal.what
        return replace(state, obstacle=f"reading it fails: {said}", fix=f"repair {state.name}")
    return replace(state, user_count=row.user_count, labelled_count=row.labelled_count)


def _runs(warehouse: Warehouse, grant: Grant) -> bool:
    try:
        with warehouse.begin(Role.LOGIN) as connection:
            statements.run_script(connection, grant.statement)
    except Unusable:
        raise
    except Refusal:
        return False
    return True
