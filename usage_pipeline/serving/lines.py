"""Tokens as a person asks for them: by user or by period, added up from stored rows."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.serving import periods
from usage_pipeline.serving.people import label_of, labels
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Line:
    """One line of a usage table; what it is not split by is None."""

    period: date | None
    user_id: UUID | None
    label: str
    messages: int
    conversations: int | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    unmetered_messages: int
    refused_messages: int
    last_activity: datetime | None


_COUNTS: Final = [each.name for each in fields(Line) if each.name not in ("period", "user_id", "label")]


def by_user(
    connection: Connection,
    first: date,
    last: date,
    *,
    grain: Grain = Grain.DAILY,
    most: int | None = None,
) -> list[Line]:
    """One line per user with usage, the biggest first, what belongs to nobody last.

    Days are added up; of a coarser grain each period has its lines, the newest first. Of more than `most`
    users, the others share one line: their conversations are not counted.
    """
    each = grain is not Grain.DAILY
    rows = rows_of_range(connection, first, last, grain=grain, by_user=True, by_period=each, most=most)
    known = labels(connection, [row["user_id"] for row in rows])
    lines = [_line(row, _label(row, known), is_of_period=each) for row in rows]
    return sorted(lines, key=lambda line: line.period or first, reverse=True)


def _label(row: Mapping[str, Any], known: Mapping[UUID, str]) -> str:
    if row["is_rest"]:
        return f"and {row['users']:,} more user{'' if row['users'] == 1 else 's'}"
    return label_of(row["user_id"], known.get(row["user_id"]))


def by_period(
    connection: Connection, user_id: UUID, first: date, last: date, *, grain: Grain = Grain.DAILY
) -> list[Line]:
    """One line per period in which this user has usage, the oldest first."""
    rows = rows_of_range(
        connection, first, last, grain=grain, by_user=False, by_period=True, only_user=user_id
    )
    return [_line(row, periods.label(grain, row["period"]), is_of_period=True) for row in rows]


def conversation_count(
    connection: Connection, user_id: UUID | None, first: date, last: date, *, grain: Grain = Grain.DAILY
) -> int | None:
    """Distinct conversations of a whole range, to which lines do not add up; None where it is not known."""
    rows = rows_of_range(
        connection, first, last, grain=grain, by_user=False, by_period=False, only_user=user_id
    )
    return rows[0]["conversations"] if rows else 0


def rows_of_range(
    connection: Connection,
    first: date,
    last: date,
    *,
    by_user: bool,
    by_period: bool,
    grain: Grain = Grain.DAILY,
    only_user: UUID | None = None,
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Stored periods added up, by user, by period, by both or by neither."""
    binds = periods.bounds(grain, first, last)
    found = statements.run(
        connection, "serving.sql", "tokens_of_range",
        period_type=grain.value, only_user=only_user, by_user=by_user, by_period=by_period, most=most,
        **binds,
    )  # fmt: skip
    rows = [dict(row) for row in found.mappings()]
    unknown = any(row["conversations"] is None and row["period"] for row in rows)
    if only_user is not None or by_user or not unknown:
        return rows
    shared = statements.run(
        connection, "serving.sql", "conversations_of_periods", rollup=periods.asset(grain), **binds
    )
    known = {row.period_start: row.conversations for row in shared}
    return [row | {"conversations": known.get(row["period"], row["conversations"])} for row in rows]


def _line(row: Mapping[str, Any], label: str, *, is_of_period: bool) -> Line:
    period = row["period"].date() if is_of_period else None
    return Line(period, row["user_id"], label, **{name: row[name] for name in _COUNTS})
