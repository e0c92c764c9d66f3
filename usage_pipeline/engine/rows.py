"""The rows that a period should have, composed from a family's table: of raw rows, or of the rows below."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, bindparam, cast, func
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.families.family import Family, Grain, Kind, Measure

INSTANT: Final = sa.TIMESTAMP(timezone=True)
_TYPES: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    "window_start": INSTANT,
    "window_end": INSTANT,
    "covered_until": INSTANT,
    "period_starts": pg.ARRAY(INSTANT),
    "reason": sa.Text(),
    "run_id": sa.Text(),
}
AT: Final = {name: bindparam(name, type_=kind, required=True) for name, kind in _TYPES.items()}
"""What one run binds; the statement itself is composed once."""


def only(family: Family) -> ColumnElement[Any]:
    """The unit that a run of one unit is about."""
    return bindparam("only", type_=family.table.c[family.unit].type, required=True)


def is_finer(grain: Grain) -> bool:
    """A run writes rows of several periods."""
    return grain.row_period is not grain.run_period


def identity(family: Family, grain: Grain) -> tuple[str, ...]:
    """What tells the rows of one run apart."""
    return ("period_start", *family.key) if is_finer(grain) else family.key


def within(family: Family, at: FromClause, grain: Grain) -> ColumnElement[bool]:
    """The rows of the window, of a stored grain."""
    return sa.and_(
        at.c[family.grain_column] == grain.stored_as,
        at.c.period_start >= AT["window_start"],
        at.c.period_start < AT["window_end"],
    )


def within_parts(family: Family, at: FromClause, below: Grain) -> ColumnElement[bool]:
    """The rows below that are read: those of the periods that are named."""
    start = at.c.period_start
    run_start = func.date_trunc(below.run_period.unit, start, "UTC") if is_finer(below) else start
    return sa.and_(within(family, at, below), run_start == func.any(AT["period_starts"]))


def of_raw(family: Family, grain: Grain, *, is_one: bool) -> Select[Any]:
    """The family's own function, each column in the type of the table.

    A number that the table would round differs from what is stored, on every run.
    """
    raw = _raw_function(family, grain, is_one=is_one)
    start = [raw.c.period_start] if is_finer(grain) else []
    keys = [cast(raw.c[name], family.table.c[name].type).label(name) for name in family.key]
    measures = [_raw_measure(family, grain, raw, each).label(each.column) for each in family.written]
    return sa.select(*start, *keys, *measures, *(raw.c[name] for name in unstored(family)))


def unstored(family: Family) -> tuple[str, ...]:
    """The columns of states that only the rollup's own function counts."""
    return tuple(each.column for each in family.states if each.column not in family.table.c)


def of_periods(family: Family, grain: Grain, below: Grain) -> Select[Any]:
    """The rows below, added up by key. Distinct values are counted from their ids, never added."""
    stored = family.table.alias("stored")
    part = _unnested(family, stored, below)
    plain = sa.select(
        *(part.c[name] for name in family.key),
        *(_climbed(family, grain, part, each).label(each.column) for each in family.written if _climbs(each)),
    ).group_by(*(part.c[name] for name in family.key))
    for each in family.written:
        if each.kind is Kind.HISTOGRAM:
            plain = _with_histogram(family, stored, below, plain, each)
    rows = plain.subquery("climbed")
    return sa.select(*(rows.c[name] for name in (*family.key, *(each.column for each in family.written))))


def _raw_function(family: Family, grain: Grain, *, is_one: bool) -> FromClause:
    table = family.table
    columns = [
        *([sa.column("period_start", INSTANT)] if is_finer(grain) else []),
        *(sa.column(name, table.c[name].type) for name in family.key),
        *(
            sa.column(each.column, table.c[each.column].type)
            for each in family.written
            if each.kind is not Kind.DISTINCT
        ),
        *(sa.column(name, sa.BigInteger) for name in unstored(family)),
    ]
    unit = only(family) if is_one else cast(sa.null(), table.c[family.unit].type)
    function = getattr(func.usage_private, f"{family.name}_of_window")
    found: FromClause = (
        function(AT["window_start"], AT["covered_until"], unit).table_valued(*columns).alias("raw")
    )
    return found


def _raw_measure(family: Family, grain: Grain, raw: FromClause, measure: Measure) -> ColumnElement[Any]:
    kind = family.table.c[measure.column].type
    if measure.kind is Kind.DISTINCT:
        return cast(func.cardinality(raw.c[str(measure.of)]), kind)
    if measure.kind is Kind.IDS and not grain.keeps_ids:
        return cast(sa.null(), kind)
    return cast(raw.c[measure.column], kind)


_ARRAYS: Final = (Kind.IDS, Kind.UNION)


def _climbs(measure: Measure) -> bool:
    return measure.kind not in (Kind.HISTOGRAM, Kind.COUNTS)


def _unnested(family: Family, stored: FromClause, below: Grain) -> FromClause:
    """Arrays are unnested in the select list, side by side: one sort for all, and no store for each row.

    A row's numbers are repeated on each of its lines, so only the first one adds them.
    """
    arrays = [each.column for each in family.written if each.kind in _ARRAYS]
    others = [
        each.column for each in family.written if _climbs(each) and each.kind not in (*_ARRAYS, Kind.DISTINCT)
    ]
    is_first = func.unnest(pg.array([sa.true()])) if arrays else sa.true()
    return (
        sa.select(
            *(stored.c[name] for name in (*family.key, *others)),
            is_first.label("is_first"),
            *(func.unnest(stored.c[name]).label(name) for name in arrays),
        )
        .where(within_parts(family, stored, below))
        .subquery("part")
    )


def _climbed(family: Family, grain: Grain, part: FromClause, measure: Measure) -> ColumnElement[Any]:
    kind = family.table.c[measure.column].type
    if measure.kind is Kind.DISTINCT:
        return func.count(part.c[str(measure.of)].distinct())
    column = part.c[measure.column]
    match measure.kind:
        case Kind.SUM | Kind.SUM_OR_NULL:
            return cast(func.sum(column).filter(part.c.is_first), kind)
        case Kind.MIN:
            return func.min(column)
        case Kind.MAX:
            return func.max(column)
        case Kind.IDS if not grain.keeps_ids:
            return cast(sa.null(), kind)
    return func.coalesce(func.array_agg(column.distinct()).filter(column.is_not(None)), empty(kind))


def empty(kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
    """An array of this type without elements."""
    return cast(pg.array([]), kind)


def _with_histogram(
    family: Family, stored: FromClause, below: Grain, plain: Select[Any], measure: Measure
) -> Select[Any]:
    """Two arrays, buckets and their counts: added up bucket by bucket."""
    counts = str(measure.of)
    columns = family.table.c
    pair = (
        func.unnest(stored.c[measure.column], stored.c[counts])
        .table_valued("bucket", "amount")
        .render_derived(name="pair")
        .lateral("pair")
    )
    keys = [stored.c[name] for name in family.key]
    buckets = (
        sa.select(*keys, pair.c.bucket, cast(func.sum(pair.c.amount), sa.BigInteger).label("amount"))
        .select_from(stored.join(pair, sa.true()))
        .where(within_parts(family, stored, below))
        .group_by(*keys, pair.c.bucket)
        .subquery("buckets")
    )
    merged = (
        sa.select(
            *(buckets.c[name] for name in family.key),
            func.array_agg(pg.aggregate_order_by(buckets.c.bucket, buckets.c.bucket)).label(measure.column),
            func.array_agg(pg.aggregate_order_by(buckets.c.amount, buckets.c.bucket)).label(counts),
        )
        .group_by(*(buckets.c[name] for name in family.key))
        .subquery("merged")
    )
    rows = plain.subquery("plain")
    same = sa.and_(*(rows.c[name] == merged.c[name] for name in family.key))
    return sa.select(
        *rows.c,
        *(
            cast(func.coalesce(merged.c[name], empty(columns[name].type)), columns[name].type).label(name)
            for name in (measure.column, counts)
        ),
    ).select_from(rows.outerjoin(merged, same))
