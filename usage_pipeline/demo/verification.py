"""Is what is stored what plain Python computes? The first difference in words, or None."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping

from usage_pipeline.demo import oracle
from usage_pipeline.demo.oracle import Computed, Counts, Period
from usage_pipeline.demo.story import Story
from usage_pipeline.periods.calendar import Grain, Window, window
from usage_pipeline.warehouse import statements


def difference(
    connection: Connection, story: Story, *, now: datetime, grains: Collection[Grain] = oracle.GRAINS
) -> str | None:
    """Compare every stored row and every ledger row of the story's periods, the late batch computed too."""
    computed = oracle.everything(story.all_messages, story.sessions, now=now, grains=grains)
    for grain in sorted(grains, key=oracle.GRAINS.index):  # the finer one is the cause
        found = _difference_of_grain(connection, story, grain, computed[grain])
        if found is not None:
            return found
    return None


def stored_periods(connection: Connection, grain: Grain, bounds: Window) -> dict[tuple[date, UUID], Period]:
    """The rows stored of one grain as the oracle would write them."""
    rows = statements.run(
        connection, "demo.sql", "stored_periods",
        period_type=grain, window_start=bounds.start, window_end=bounds.end,
    ).mappings()  # fmt: skip
    return {(row["period_start"].date(), row["user_id"]): _period(row) for row in rows}


def recorded_periods(connection: Connection, grain: Grain, bounds: Window) -> dict[date, Counts]:
    """The ledger's counts of one grain as the oracle would write them."""
    rows = statements.run(
        connection, "demo.sql", "recorded_periods",
        rollup=_rollup(grain), window_start=bounds.start, window_end=bounds.end,
    ).mappings()  # fmt: skip
    return {row["period_start"].date(): _counts(row) for row in rows}


def _difference_of_grain(
    connection: Connection, story: Story, grain: Grain, computed: Computed
) -> str | None:
    """The window is made of whole periods: the story may begin and end within one."""
    bounds = Window(window(grain, story.first_day).start, window(grain, story.last_day).end)
    found = _first_difference(
        computed.periods, stored_periods(connection, grain, bounds)
    ) or _first_difference(computed.counts, recorded_periods(connection, grain, bounds))
    return f"{_rollup(grain)} {found}" if found else None


def _rollup(grain: Grain) -> str:
    return f"tokens_{grain}"


def _period(row: RowMapping) -> Period:
    conversation_ids = row["conversation_ids"]
    return Period(
        **{
            **{name: row[name] for name in Period.__slots__},
            "agent_ids": tuple(row["agent_ids"]),
            "conversation_ids": None if conversation_ids is None else tuple(conversation_ids),
        }
    )


def _counts(row: RowMapping) -> Counts:
    return Counts(
        **{name: row[name] for name in Counts.__slots__ if name != "reported_rows"},
        reported_rows=row["source_rows"]
        - row["total_only_rows"]
        - row["unmetered_rows"]
        - row["refused_rows"],
    )


def _first_difference(expected: Mapping[Any, object], found: Mapping[Any, object]) -> str | None:
    for key in sorted({*expected, *found}, key=str):
        if expected.get(key) != found.get(key):
            return f"{key}: expected {expected.get(key)}, stored {found.get(key)}"
    return None
