"""Whether each row is what the rows below it add up to.

Sums are their sum, least and greatest values theirs; distinct values are at least the most of any row and at
most the sum. What is in arrays is not compared: the checksum of a sealed period covers it.
"""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, func
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.engine import figures, rows
from usage_pipeline.families.family import Family, Grain, Kind, Measure
from usage_pipeline.rollups.check import Comparison, Row
from usage_pipeline.rollups.rollup import Rollup

_CLIMBS: Final[dict[Kind, Any]] = {
    Kind.SUM: func.sum,
    Kind.SUM_OR_NULL: func.sum,
    Kind.MIN: func.min,
    Kind.MAX: func.max,
    Kind.DISTINCT: func.sum,
}


def _periods() -> FromClause:
    """The periods that are compared, and up to when each was computed."""
    binds = [
        sa.bindparam(name, type_=pg.ARRAY(rows.INSTANT), required=True)
        for name in ("period_starts", "covered_untils")
    ]
    columns = [sa.column(name, rows.INSTANT) for name in ("starts", "covered_until")]
    return func.unnest(*binds).table_valued(*columns).render_derived(name="period")


def _compared(rollup: Rollup) -> sa.Select[Any]:
    family, below = rollup.family, rollup.family.below(rollup.level)
    assert below is not None
    upper, lower = _upper(family, rollup.level), _lower(family, below)
    names = ("starts", *family.key)
    same = sa.and_(*(upper.c[name] == lower.c[name] for name in names))
    joined = (
        sa.select(
            *(func.coalesce(upper.c[name], lower.c[name]).label(name) for name in names),
            *(upper.c[name].label(f"{name}_above") for name in family.guard),
            *(lower.c[name].label(f"{name}_below") for name in family.guard),
            sa.or_(*_differences(family, upper, lower)).label("differs"),
        )
        .select_from(upper.join(lower, same, full=True))
        .subquery("joined")
    )
    return sa.select(
        joined.c.starts.label("period_start"),
        func.count().filter(joined.c.differs).label("rows_that_differ"),
        *(
            figures.counted(family, joined, f"{name}_{side}").label(f"{name}_{side}")
            for side in ("above", "below")
            for name in family.guard
        ),
    ).group_by(joined.c.starts)


def _upper(family: Family, grain: Grain) -> FromClause:
    stored, period = family.table.alias("stored"), _periods()
    columns = [each.column for each in family.measures if each.kind in _CLIMBS]
    return (
        sa.select(period.c.starts, *(stored.c[name] for name in (*family.key, *columns)))
        .select_from(stored.join(period, stored.c.period_start == period.c.starts))
        .where(rows.within(family, stored, grain))
        .subquery("above")
    )


def _lower(family: Family, grain: Grain) -> FromClause:
    stored, period = family.table.alias("stored"), _periods()
    key = [period.c.starts, *(stored.c[name] for name in family.key)]
    made = [
        _CLIMBS[each.kind](stored.c[each.column]).label(each.column)
        for each in family.measures
        if each.kind in _CLIMBS
    ]
    most = [
        func.max(stored.c[each.column]).label(f"most_{each.column}")
        for each in family.measures
        if each.kind is Kind.DISTINCT
    ]
    start = stored.c.period_start
    return (
        sa.select(*key, *made, *most)
        .select_from(stored.join(period, sa.and_(start >= period.c.starts, start < period.c.covered_until)))
        .where(rows.within(family, stored, grain))
        .group_by(*key)
        .subquery("below")
    )


def _differences(family: Family, upper: FromClause, lower: FromClause) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for each in family.measures:
        if each.kind is Kind.DISTINCT:
            least, most = lower.c[f"most_{each.column}"], lower.c[each.column]
            found.append(upper.c[each.column].between(least, most).is_not(sa.true()))
        elif each.kind in _CLIMBS:
            found.append(upper.c[each.column].is_distinct_from(lower.c[each.column]))
    return found


def _judged(rollup: Rollup, period: Row, compared: Row) -> Row:
    guard = [rollup.family.measure(name) for name in rollup.family.guard]
    above, below = (
        {each: compared.get(f"{each.column}_{side}", 0) for each in guard} for side in ("above", "below")
    )
    differ = compared.get("rows_that_differ", 0)
    why = f"{differ:,} rows differ from those below: {_listed(above)}; below are {_listed(below)}"
    return {
        "period_start": period["period_start"],
        "verdict": "broken" if differ else "holds",
        "why": why if differ else None,
        "is_sealed": period["is_sealed"],
        **{each.named: amount for each, amount in above.items()},
        **{f"{each.named}_below": amount for each, amount in below.items()},
        "rows_that_differ": differ,
    }


def _listed(amounts: Mapping[Measure, int]) -> str:
    return ", ".join(f"{amount:,} {each.words}" for each, amount in amounts.items())


COMPARISON: Final = Comparison(_compared, _judged)
