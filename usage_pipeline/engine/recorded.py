"""In a sealed period: whose rows may change, what is kept beyond the source, the record of each change."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import CTE, ColumnElement, FromClause, case, cast, func, insert, literal, select
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.engine import figures, rows
from usage_pipeline.engine.figures import ZERO
from usage_pipeline.engine.rows import AT
from usage_pipeline.families.family import Family, Grain, Kind

RESTATEMENTS: Final = sa.table(
    "restatements",
    sa.column("rollup", sa.Text),
    sa.column("period_start", rows.INSTANT),
    sa.column("key", pg.JSONB),
    sa.column("before", pg.JSONB),
    sa.column("after", pg.JSONB),
    sa.column("reason", sa.Text),
    sa.column("run_id", sa.Text),
    sa.column("restated_at", rows.INSTANT),
    schema="usage",
)
_IDS: Final = (Kind.IDS, Kind.UNION)


def passes(family: Family, computed: CTE, before: CTE) -> CTE:
    """The units of which the source has no less than is stored, by each measure of the guard."""
    new, old = _units(family, computed, "new"), _units(family, before, "old")
    return (
        select(new.c.unit)
        .select_from(new.outerjoin(old, new.c.unit == old.c.unit))
        .where(*(new.c[name] >= func.coalesce(old.c[name], ZERO) for name in family.guard))
        .cte("passes")
    )


def kept(
    family: Family,
    computed: CTE,
    before: CTE,
    is_written: Callable[[ColumnElement[Any]], list[ColumnElement[bool]]],
) -> list[ColumnElement[Any]]:
    """By unit, what is stored beyond the source, of each that was not written and differs from it."""
    new, old = _units(family, computed, "new"), _units(family, before, "old")
    compared = _compared(family)
    unit = func.coalesce(old.c.unit, new.c.unit)
    differences = [func.coalesce(old.c[name], ZERO) - func.coalesce(new.c[name], ZERO) for name in compared]
    found = (
        select(
            unit.label("unit"), *(each.label(name) for name, each in zip(compared, differences, strict=True))
        )
        .select_from(old.outerjoin(new, new.c.unit == old.c.unit, full=True))
        .where(sa.or_(*(each != ZERO for each in differences)), sa.not_(sa.and_(*is_written(unit))))
        .cte("kept_units")
    )
    sums = func.jsonb_build_object(*_pairs(family.guard, found))
    by_unit = func.jsonb_object_agg(found.c.unit, sums)
    return [
        select(cast(func.coalesce(func.sum(found.c[family.count]), ZERO), sa.BigInteger))
        .scalar_subquery()
        .label("kept_rows"),
        select(func.coalesce(by_unit, figures.of_nothing())).scalar_subquery().label("kept"),
    ]


def loss(family: Family, grain: Grain) -> sa.Select[Any]:
    """What a period would lose if its raw rows won: how many units hold more than their source, and what."""
    stored = family.table.alias("stored")
    is_asked = sa.or_(rows.only(family).is_(None), stored.c[family.unit] == rows.only(family))
    before = select(stored).where(rows.within(family, stored, grain), is_asked).cte("before")
    computed = rows.of_raw(family, grain, is_one=True).cte("computed")
    new, old = _units(family, computed, "new"), _units(family, before, "old")
    less = {name: old.c[name] - func.coalesce(new.c[name], ZERO) for name in family.guard}
    return (
        select(
            func.count().label("unit_count"),
            *(
                cast(func.coalesce(func.sum(less[each.column]), ZERO), sa.BigInteger).label(each.column)
                for each in family.kept
            ),
        )
        .select_from(old.outerjoin(new, new.c.unit == old.c.unit))
        .where(sa.or_(*(each > ZERO for each in less.values())))
    )


def restated(family: Family, grain: Grain, changed: CTE, before: CTE, computed: CTE) -> CTE:
    """Each change of a row, with its numbers before and after; the guards let pass only what is recorded."""
    identity = rows.identity(family, grain)
    old, new = before.alias("old_row"), computed.alias("new_row")

    def same(one: FromClause) -> ColumnElement[bool]:
        return sa.and_(*(one.c[name] == changed.c[name] for name in identity))

    recording = select(
        literal(grain.name, sa.Text),
        AT["window_start"],
        func.jsonb_build_object(*_pairs(identity, changed)),
        _numbers(family, grain, old, new),
        _numbers(family, grain, new, old),
        AT["reason"],
        AT["run_id"],
        func.usage_private.now(),
    )
    return (
        insert(RESTATEMENTS)
        .from_select(
            [each.name for each in RESTATEMENTS.c],
            recording.select_from(changed.outerjoin(old, same(old)).outerjoin(new, same(new))).order_by(
                *(changed.c[name] for name in identity)
            ),
        )
        .cte("restated")
    )


def _numbers(family: Family, grain: Grain, of: FromClause, other: FromClause) -> ColumnElement[Any]:
    """A row as JSON, NULL if there is none; of an array of ids only those that the other row lacks."""
    pairs: list[Any] = []
    for each in family.written:
        if each.kind is Kind.IDS and not grain.keeps_ids:
            continue
        value: ColumnElement[Any] = of.c[each.column]
        if each.kind in _IDS:
            mine, others = (select(func.unnest(row.c[each.column])).correlate(row) for row in (of, other))
            value = func.array(mine.except_(others).scalar_subquery())
        pairs += [literal(each.column, sa.Text), value]
    return case((of.c[family.key[0]].is_not(None), func.jsonb_build_object(*pairs)))


def _units(family: Family, of: CTE, name: str) -> FromClause:
    """The sums of each unit; where a unit is one row, its row."""
    compared = _compared(family)
    unit = of.c[family.unit].label("unit")
    if family.key == (family.unit,) and "period_start" not in of.c:
        return select(unit, *(of.c[column] for column in compared)).subquery(name)
    sums = (figures.added(family, of, column).label(column) for column in compared)
    return select(unit, *sums).group_by(of.c[family.unit]).subquery(name)


def _compared(family: Family) -> tuple[str, ...]:
    """What tells whether a unit is as its source says: the guard, and the states that are stored."""
    states = (each.column for each in family.states if each.column in family.table.c)
    return tuple(dict.fromkeys((*family.guard, *states)))


def _pairs(names: Iterable[str], of: FromClause) -> list[Any]:
    return [part for name in names for part in (literal(name, sa.Text), of.c[name])]
