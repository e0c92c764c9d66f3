"""Checks of a source: it is there, hides nothing, is searched by an index, and begins no earlier than we."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from usage_pipeline import refusals
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access, directory, indexes, report, session_totals
from usage_pipeline.sources.adapters import Adapter, Table
from usage_pipeline.warehouse import horizon, policy, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.findings import Check, Finding
from usage_pipeline.warehouse.roles import Role

_FAMILY: Final = "tokens"
_PATIENCE: Final = 60_000  # milliseconds; whoever looks after a database must not weigh on it


def source(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether the tables are there, with every column the adapter cannot do without."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        access.require_tables(connection, adapter)
    return Finding(True, f"{adapter.name} reads {', '.join(table.name for table in adapter.tables)}")


def rights(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether a row of the source could be hidden from our roles: it would look like an empty day."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        lacking = access.grants(connection, adapter)
    with warehouse.begin(Role.READER) as connection:
        closed = [each for each in access.of(connection, adapter) if each.obstacle]
    if lacking:
        more = f", and {len(lacking) - 1} more" if lacking[1:] else ""
        told = f"our roles cannot read every row; missing: {lacking[0].statement}{more}"
        return Finding(False, told, access.granting(lacking))
    if closed:
        told = "; ".join(f"{each.table_name}: {each.obstacle}" for each in closed)
        remedies = dict.fromkeys(refusals.as_fix(each.remedy) for each in closed)
        return Finding(False, told, "\n".join(remedies))
    return Finding(True, f"our roles read every row of {len(adapter.tables)} tables")


def names(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether users have labels; without any they show by id, and no number waits for one."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
    state = directory.read(warehouse, adapter)
    return Finding(state.obstacle is None, state.in_words, state.fix)


def leading_indexes(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether each search of a run begins with an index; without one every run reads the whole table."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        searched = list(_searched(connection, adapter))
        lacking = [each for each in searched if indexes.leading(connection, *each) is None]
        made = [text for each in lacking if (text := indexes.creation(connection, *each))]
    if lacking:
        told = ", ".join(f"{table.name} ({column})" for table, column in lacking)
        views = "it has to stand on the table behind the view"
        return Finding(False, f"none begins with {told}", "\n".join(f"{text};" for text in made) or views)
    return Finding(
        True, f"one begins with {', '.join(f'{table.name} ({column})' for table, column in searched)}"
    )


def older_answers(found: Settings, warehouse: Warehouse) -> Finding:
    """Answers that no partition holds; those before the horizon are gone or meant to go."""
    with warehouse.begin(Role.READER) as connection:
        statements.run(connection, "warehouse.sql", "limit_time", milliseconds=_PATIENCE)
        first_day, begins = policy.known(connection, _FAMILY).first_day, horizon.read(connection, _FAMILY)
        if begins is not None and begins >= first_day:
            return Finding(True, f"raw rows before {begins} are declared gone; the first day is {first_day}")
        count = report.answers_before(connection, first_day)
        oldest = report.oldest_day(connection) if count else None
    if count:
        told = f"{count:,} lie before the first day, {first_day}, and no partition holds them"
        return Finding(False, told, f"$ sources start {oldest}")
    return Finding(True, f"none lies before the first day, {first_day}")


def totals(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether the one column we may write can still be kept true, once somebody enabled it."""
    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        if adapter.session_totals is None:
            return Finding(True, "this source has no column for them")
        state = session_totals.read(connection, adapter.session_totals)
    column = f"{state.table_name}.{state.column_name}"
    if state.is_enabled != found.session_totals:
        here, there = ("on", "off") if found.session_totals else ("off", "on")
        return Finding(False, f"{here} in the settings, {there} in the database", session_totals.ENABLE)
    if not state.is_enabled:
        return Finding(True, f"off; {column} is not written")
    if refusal := state.obstacle or state.lack:
        return Finding(False, f"{column} is not kept true: {refusal.why}", refusal.fix)
    return Finding(True, f"on; {column} is kept true")


def _searched(connection: Connection, adapter: Adapter) -> Iterator[tuple[Table, str]]:
    """Every table with the column it is searched by."""
    for table in adapter.tables:
        if column := table.time_column or table.key_column:
            yield table, column
    kept = adapter.session_totals
    if kept is not None and session_totals.read(connection, kept).is_enabled:
        name, column = kept.searched
        yield from ((table, column) for table in adapter.tables if table.name == name)


CHECKS: Final = (
    Check("source", source),
    Check("rights", rights),
    Check("directory", names),
    Check("indexes", leading_indexes),
    Check("older answers", older_answers),
    Check("session totals", totals),
)
