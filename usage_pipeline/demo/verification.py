"""Is what is stored what plain Python computes? The first difference in words, or None."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.demo import oracle
from usage_pipeline.demo.oracle import Counts, Day
from usage_pipeline.demo.story import Story
from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.warehouse import statements


def difference(connection: Connection, story: Story, *, now: datetime) -> str | None:
    """Compare every stored row and every ledger row of the story's days, the late batch computed too."""
    bounds = {
        "window_start": window(Grain.DAILY, story.first_day).start,
        "window_end": window(Grain.DAILY, story.last_day).end,
    }
    days, counts = oracle.tokens_daily_and_counts(story.all_messages, story.sessions, now=now)
    return _first_difference(days, stored_days(connection, bounds)) or _first_difference(
        counts, recorded_days(connection, bounds)
    )


def stored_days(connection: Connection, bounds: Mapping[str, datetime]) -> dict[tuple[date, UUID], Day]:
    """The stored rows as the oracle would write them."""
    rows = statements.run(connection, "demo.sql", "stored_days", **bounds).mappings()
    return {
        (row["period_start"].date(), row["user_id"]): Day(
            **{
                **{name: row[name] for name in Day.__slots__},
                "agent_ids": tuple(row["agent_ids"]),
                "conversation_ids": tuple(row["conversation_ids"]),
            }
        )
        for row in rows
    }


def recorded_days(connection: Connection, bounds: Mapping[str, datetime]) -> dict[date, Counts]:
    """The ledger's counts as the oracle would write them."""
    rows = statements.run(connection, "demo.sql", "recorded_days", **bounds).mappings()
    return {
        row["period_start"].date(): Counts(
            **{name: row[name] for name in Counts.__slots__ if name != "reported_rows"},
            reported_rows=row["source_rows"]
            - row["total_only_rows"]
            - row["unmetered_rows"]
            - row["refused_rows"],
        )
        for row in rows
    }


def _first_difference(expected: Mapping[Any, object], found: Mapping[Any, object]) -> str | None:
    for key in sorted({*expected, *found}, key=str):
        if expected.get(key) != found.get(key):
            return f"{key}: expected {expected.get(key)}, stored {found.get(key)}"
    return None
