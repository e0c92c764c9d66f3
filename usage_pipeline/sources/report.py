"""What can be said about a source without computing a day: tables, rights, states, refusals, strays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from usage_pipeline.periods import calendar
from usage_pipeline.sources import access, indexes, session_totals
from usage_pipeline.sources.adapters import Adapter, Table
from usage_pipeline.sources.directory import Directory
from usage_pipeline.warehouse import statements

SHOWN: Final = 20
ALL: Final = 1_000_000


@dataclass(frozen=True)
class TableReport:
    """One table: the columns found, missing and defaulted, what hinders our roles, and its index."""

    name: str
    found: Mapping[str, str]
    missing: tuple[str, ...]
    defaulted: Mapping[str, str]
    obstacles: tuple[str, ...]
    has_row_security: bool
    index: str | None
    wants_index: str | None


@dataclass(frozen=True)
class Refusal:
    """One answer whose tokens make no sense."""

    event_id: str
    occurred_at: str
    field: str
    reason: str
    value: str | None


@dataclass(frozen=True)
class Stray:
    """One answer that belongs to no day; its instant as text, Python knows no infinity."""

    event_id: str
    occurred_at: str | None
    reason: str


@dataclass(frozen=True)
class SessionTotals:
    """Whether the application's own totals are kept true; what hinders that once it is enabled."""

    table_name: str
    column_name: str
    is_enabled: bool
    obstacle: str | None


@dataclass(frozen=True)
class Report:
    """`states` is None where the source cannot be read at all."""

    adapter: str
    tables: tuple[TableReport, ...]
    states: Mapping[str, int] | None
    refusals: tuple[Refusal, ...]
    refusals_since: str
    shows_all: bool
    strays: tuple[Stray, ...]
    stray_count: int
    session_totals: SessionTotals | None = None
    directory: Directory | None = None

    @property
    def needs_attention(self) -> bool:
        blocked = any(table.missing or table.obstacles for table in self.tables)
        hindered = self.session_totals is not None and self.session_totals.obstacle is not None
        unnamed = self.directory is not None and self.directory.obstacle is not None
        unread = self.states is None or bool(self.refusals) or self.stray_count > 0
        return blocked or hindered or unnamed or unread


def make(
    connection: Connection, chosen: str | None, *, since: date | None, directory: Directory | None = None
) -> Report:
    """The report; refusals of the last week, or since a day, all of them."""
    adapter = access.active(connection, chosen)
    tables = _tables(connection, adapter)
    switch = _session_totals(connection, adapter)
    if any(table.missing or table.obstacles for table in tables):
        return Report(adapter.name, tables, None, (), "", since is not None, (), 0, switch, directory)
    binds = {"since": since, "most": SHOWN if since is None else ALL}
    states = statements.run(connection, "sources.sql", "states_of_week").all()
    refusals = statements.run(connection, "sources.sql", "refusals", **binds).mappings().all()
    strays = statements.run(connection, "sources.sql", "strays", most=SHOWN).mappings().all()
    return Report(
        adapter.name,
        tables,
        {str(state): int(str(count)) for state, count in states},
        tuple(Refusal(**row) for row in refusals),
        "" if since is None else since.isoformat(),
        since is not None,
        tuple(Stray(row["event_id"], row["occurred_at"], row["reason"]) for row in strays),
        int(strays[0]["stray_count"]) if strays else 0,
        switch,
        directory,
    )


def oldest_day(connection: Connection) -> date | None:
    """The UTC day of the oldest answer that belongs to a period."""
    oldest = statements.run(connection, "sources.sql", "oldest_answer").scalar_one()
    return oldest.date() if isinstance(oldest, datetime) else None


def answers_before(connection: Connection, day: date) -> int:
    """How many answers lie before this day."""
    found = statements.run(
        connection, "sources.sql", "answers_before", window_end=calendar.midnight(day)
    ).scalar_one()
    return int(str(found))


def _session_totals(connection: Connection, adapter: Adapter) -> SessionTotals | None:
    if adapter.session_totals is None:
        return None
    state = session_totals.read(connection, adapter.session_totals)
    hindrance = (state.obstacle or state.lack) if state.is_enabled else None
    return SessionTotals(
        state.table_name, state.column_name, state.is_enabled, hindrance.why if hindrance else None
    )


def _tables(connection: Connection, adapter: Adapter) -> tuple[TableReport, ...]:
    found = access.columns(connection, adapter)
    rights = access.of(connection, adapter)
    return tuple(
        TableReport(
            table.name,
            {
                column.name: found[table.name][column.name]
                for column in table.columns
                if column.name in found[table.name]
            },
            tuple(column.name for column in access.missing_columns(table, found[table.name])),
            {c.name: c.default for c in table.columns if c.default and c.name not in found[table.name]},
            tuple(each.obstacle for each in rights if each.table_name == table.name and each.obstacle),
            any(each.has_row_security for each in rights if each.table_name == table.name),
            *_index(connection, table),
        )
        for table in adapter.tables
    )


def _index(connection: Connection, table: Table) -> tuple[str | None, str | None]:
    """The index that begins with the column we search by, and the column that has none."""
    column = table.time_column or table.key_column
    if column is None:
        return None, None
    name = indexes.leading(connection, table, column)
    return (name, None) if name else (None, column)
