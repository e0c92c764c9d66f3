"""Keeps the application's own sum of a conversation true: sum, write what is free, in small batches."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Row

from usage_pipeline.periods.calendar import Window
from usage_pipeline.sources import session_totals
from usage_pipeline.sources.adapters import SessionTotals
from usage_pipeline.sources.session_totals import State
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import LockHeld
from usage_pipeline.warehouse.roles import Role

CODE_VERSION: Final = "1"
_ADAPTERS: Final = "sources.adapters"
_BATCH: Final = 200
_PATIENCE_MS: Final = 500
"""Shorter than PostgreSQL waits before it looks for a deadlock: we give way, not the application."""
PAUSES: Final = (0.2, 1.0, 5.0, 20.0)
"""How long to wait, in seconds, before each new attempt at the rows that the application held."""


@dataclass
class Kept:
    """What became of the conversations: the rows written of each, those beyond the column, those held."""

    written: Counter[UUID] = field(default_factory=Counter)
    too_large: set[UUID] = field(default_factory=set)
    held: set[UUID] = field(default_factory=set)


def touched(warehouse: Warehouse, totals: SessionTotals, whole: Window) -> dict[datetime, list[UUID]]:
    """The conversations that a window touched, by day."""
    with warehouse.begin(Role.WRITER) as connection:
        rows = statements.run(
            connection, _ADAPTERS, totals.touched, window_start=whole.start, window_end=whole.end
        )
        return {row.day_start: row.conversation_ids for row in rows}


def keep(warehouse: Warehouse, totals: SessionTotals, state: State, conversation_ids: Sequence[UUID]) -> Kept:
    """Make the totals of these conversations true; what the application holds is tried again at the end."""
    kept = Kept()
    _attempt(warehouse, totals, state, conversation_ids, kept)
    for pause in PAUSES:
        if not kept.held:
            break
        time.sleep(pause)
        again, kept.held = sorted(kept.held), set()
        _attempt(warehouse, totals, state, again, kept)
    return kept


def _attempt(
    warehouse: Warehouse, totals: SessionTotals, state: State, conversation_ids: Sequence[UUID], kept: Kept
) -> None:
    for batch in _batches(conversation_ids):
        try:
            with warehouse.begin(Role.WRITER) as connection:
                untrue = _untrue(connection, totals, batch)
                fitting = [row for row in untrue if row.total_tokens <= state.largest]
                written = _write(connection, totals, fitting) if fitting else set()
        except LockHeld:
            kept.held.update(batch)
            continue
        kept.written.update(row.conversation_id for row in fitting if row.id in written)
        kept.held.update(row.conversation_id for row in fitting if row.id not in written)
        kept.too_large.update(row.conversation_id for row in untrue if row.total_tokens > state.largest)


def _untrue(
    connection: Connection, totals: SessionTotals, batch: Sequence[UUID]
) -> Sequence[Row[tuple[UUID]]]:
    """The sessions whose number is not true; nothing of the application's is locked to find them."""
    statements.run(connection, "rollups.sql", "lock_session_totals")
    statements.run(connection, "warehouse.sql", "limit_waiting", milliseconds=_PATIENCE_MS)
    return statements.run(connection, _ADAPTERS, totals.untrue, conversation_ids=list(batch)).all()


def _write(connection: Connection, totals: SessionTotals, rows: Sequence[Row[tuple[UUID]]]) -> set[UUID]:
    """Write what is free, then look at the table's triggers: from now to the commit none can be added."""
    written = statements.run(
        connection, _ADAPTERS, totals.write,
        session_ids=[row.id for row in rows], totals=[row.total_tokens for row in rows],
    ).scalars()  # fmt: skip
    ids = set(written)
    session_totals.require(connection, totals)
    return ids


def _batches(conversation_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for first in range(0, len(conversation_ids), _BATCH):
        yield conversation_ids[first : first + _BATCH]
