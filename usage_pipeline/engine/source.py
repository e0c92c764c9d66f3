"""What the source says of a window: a count of its own, so that it can disagree with the rollup."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, cast, func, select

from usage_pipeline.engine import figures as sums
from usage_pipeline.engine import rows
from usage_pipeline.engine.rows import AT, INSTANT
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.periods import calendar


def figures(family: Family, grain: Grain, *, is_raw: bool) -> list[ColumnElement[Any]]:
    """`source_rows`, and of a day `hourly_rows`: hour of the day → count."""
    below = family.below(grain)
    if not is_raw and below is not None:
        stored = family.table.alias("lower")
        found = select(sums.counted(family, stored, family.count))
        return [found.where(rows.within_parts(family, stored, below)).scalar_subquery().label("source_rows")]
    hours = _hours(family).cte("hours")
    total = select(
        cast(func.coalesce(func.sum(hours.c.source_rows), sums.ZERO), sa.BigInteger)
    ).scalar_subquery()
    by_hour = select(func.jsonb_object_agg(hours.c.hour, hours.c.source_rows)).scalar_subquery()
    is_day = grain.run_period is calendar.Grain.DAILY
    return [total.label("source_rows"), *([by_hour.label("hourly_rows")] if is_day else [])]


def _hours(family: Family) -> sa.Select[Any]:
    """A second call of the source's function: no JSON is read for it."""
    function = getattr(func.usage, family.contract)
    event = function(AT["window_start"], AT["covered_until"]).table_valued(sa.column("occurred_at", INSTANT))
    event = event.alias("event")
    start = func.date_bin(
        cast(sa.literal_column("'1 hour'"), sa.Interval), event.c.occurred_at, AT["window_start"]
    )
    counted = (
        select(start.label("starts"), func.count().label("source_rows")).select_from(event).group_by("starts")
    )
    counts = counted.subquery("counts")
    hour = cast(
        func.extract("epoch", counts.c.starts - AT["window_start"]) / sa.literal_column("3600"), sa.Integer
    )
    return select(hour.label("hour"), counts.c.source_rows)
