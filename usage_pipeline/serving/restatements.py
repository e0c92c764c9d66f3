"""What was restated, and what a sealed period keeps that its source no longer has."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.serving import people
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Chosen:
    """Which of them are asked for; None stands for all."""

    rollup: str | None = None
    user_id: UUID | None = None
    first: date | None = None
    last: date | None = None

    def binds(self) -> dict[str, object]:
        return {
            "rollup": self.rollup,
            "user_id": self.user_id,
            "window_start": window(Grain.DAILY, self.first).start if self.first else None,
            "window_end": window(Grain.DAILY, self.last).end if self.last else None,
        }


@dataclass(frozen=True)
class Restatement:
    """One row of a period as it was and as it is since; None: there was none, or it is gone."""

    rollup: str
    period: str
    period_start: datetime
    user_id: UUID
    label: str | None
    messages_before: int | None
    messages_after: int | None
    tokens_before: int | None
    tokens_after: int | None
    reason: str
    restated_at: datetime
    run_id: str | None


@dataclass(frozen=True)
class Kept:
    """What one user keeps of a period beyond its source, when it was last looked at."""

    rollup: str
    period: str
    period_start: datetime
    user_id: UUID
    label: str | None
    messages: int
    tokens: int
    looked_at: datetime


Line = TypeVar("Line", Restatement, Kept)


def restatements(connection: Connection, chosen: Chosen, most: int | None) -> tuple[list[Restatement], int]:
    """The newest first, no more than `most`; and how many there are."""
    rows = statements.run(connection, "serving.sql", "restatements", most=most, **chosen.binds())
    return _lines(connection, Restatement, rows.mappings().all())


def kept(connection: Connection, chosen: Chosen, most: int | None) -> tuple[list[Kept], int]:
    """The newest period first, no more than `most`; and how many there are."""
    rows = statements.run(connection, "serving.sql", "kept", most=most, **chosen.binds())
    return _lines(connection, Kept, rows.mappings().all())


def _lines(connection: Connection, kind: type[Line], rows: Sequence[Any]) -> tuple[list[Line], int]:
    known = people.labels(connection, [row["user_id"] for row in rows])
    named = [{**row, "label": known.get(row["user_id"])} for row in rows]
    lines = [kind(**{each.name: row[each.name] for each in fields(kind)}) for row in named]
    return lines, rows[0]["all_count"] if rows else 0
