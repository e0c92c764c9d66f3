"""The one statement that makes the stored rows of a run's window what they are computed from.

It is composed once for each shape, with the values of a run as binds, and writes only rows that differ.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Select,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.engine import figures, recorded, rows, source
from usage_pipeline.engine.rows import AT
from usage_pipeline.families.family import Family, Grain

_START: Final[ColumnElement[Any]] = AT["window_start"]
_END: Final[ColumnElement[Any]] = AT["window_end"]


@dataclass(frozen=True)
class Shape:
    """What of a plan decides which statement it is."""

    is_raw: bool
    is_recorded: bool = False
    keeps: bool = False
    reads_one: bool = False
    writes_one: bool = False

    @property
    def reads_before(self) -> bool:
        return self.is_recorded or self.writes_one

    @property
    def is_whole(self) -> bool:
        """Afterwards the rows are those that were computed, all of them."""
        return not (self.keeps or self.writes_one)


@dataclass(frozen=True)
class _Composer:
    """The parts of one statement; each is a named subquery of it."""

    family: Family
    grain: Grain
    shape: Shape
    computed: CTE
    before: CTE

    @cached_property
    def passes(self) -> CTE:
        return recorded.passes(self.family, self.computed, self.before)

    @property
    def table(self) -> sa.Table:
        return self.family.table

    @property
    def identity(self) -> tuple[str, ...]:
        return rows.identity(self.family, self.grain)

    @property
    def columns(self) -> list[str]:
        return [each.column for each in self.family.written]

    def within(self, at: FromClause) -> ColumnElement[bool]:
        return rows.within(self.family, at, self.grain)

    def same(self, one: FromClause, other: FromClause) -> ColumnElement[bool]:
        return sa.and_(*(one.c[name] == other.c[name] for name in self.identity))

    def is_written(self, unit: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """The conditions of a write: a unit is restated or kept whole, its finer rows with it."""
        chosen: list[ColumnElement[bool]] = []
        if self.shape.writes_one:
            chosen.append(unit == rows.only(self.family))
        if self.shape.keeps:
            chosen.append(select(self.passes.c.unit).where(self.passes.c.unit == unit).exists())
        return chosen

    def unit(self, of: FromClause) -> ColumnElement[Any]:
        return of.c[self.family.unit]

    def stored(self, of: FromClause) -> list[ColumnElement[Any]]:
        """All that the ledger's figures are made from."""
        return [of.c[name] for name in (*self.identity, *self.columns)]

    def vanished(self) -> CTE:
        table = self.table
        gone = ~select(self.computed.c[self.family.unit]).where(self.same(self.computed, table)).exists()
        return (
            delete(table)
            .where(self.within(table), *self.is_written(self.unit(table)), gone)
            .returning(*(table.c[name] for name in self.identity))
            .cte("deleted")
        )

    def moved(self) -> CTE:
        table, computed = self.table, self.computed
        values = {name: computed.c[name] for name in self.columns}
        differs = sa.tuple_(*(table.c[name] for name in self.columns)).is_distinct_from(
            sa.tuple_(*values.values())
        )
        return (
            update(table)
            .values(values | {"updated_at": func.now()})
            .where(
                self.within(table),
                self.same(table, computed),
                *self.is_written(self.unit(table)),
                differs,
            )
            .returning(*self.stored(table))
            .cte("updated")
        )

    def added(self) -> CTE:
        table, computed = self.table, self.computed
        stored = table.alias("stored")
        is_new = (
            ~select(stored.c.period_start).where(self.within(stored), self.same(stored, computed)).exists()
        )
        values = self._new_row()
        return (
            insert(table)
            .from_select(
                list(values),
                select(*values.values())
                .where(*self.is_written(self.unit(computed)), is_new)
                .order_by(*(computed.c[name] for name in self.identity)),
                include_defaults=False,
            )
            .returning(*self.stored(table))
            .cte("inserted")
        )

    def _new_row(self) -> dict[str, ColumnElement[Any]]:
        computed, starts, ends = self.computed, _START, _END
        if rows.is_finer(self.grain):
            length = literal(f"1 {self.grain.row_period.unit}", sa.Text)
            starts = computed.c.period_start
            ends = starts + cast(length, sa.Interval)
        values: dict[str, ColumnElement[Any]] = {
            self.family.grain_column: literal(self.grain.stored_as, sa.Text),
            "period_start": starts,
            "period_end": ends,
            **{name: computed.c[name] for name in (*self.family.key, *self.columns)},
        }
        if "id" in self.table.c:
            values["id"] = self._id(starts)
        return values

    def _id(self, starts: ColumnElement[Any]) -> ColumnElement[Any]:
        """Made of the key: a row computed again has the same id, and a random one costs much."""
        first, *others = (self.computed.c[name] for name in self.family.key)
        period = func.concat(literal(self.grain.stored_as, sa.Text), func.extract("epoch", starts), first)
        return cast(func.md5(func.concat_ws("/", period, *others) if others else period), pg.UUID)

    def after(self, added: CTE, moved: CTE, changed: CTE) -> CTE:
        """The rows that are stored then, without reading them again: as they were written, and the others."""
        others = self.before if self.shape.reads_before else self.computed
        is_changed = select(changed.c[self.family.unit]).where(self.same(changed, others)).exists()
        return sa.union_all(
            select(*self.stored(added)),
            select(*self.stored(moved)),
            select(*self.stored(others)).where(~is_changed),
        ).cte("after")


@cache
def replace(family: Family, grain: Grain, shape: Shape) -> Select[Any]:
    """Computed rows against stored ones; one row says what was read, written, and is stored then."""
    composer = _composer(family, grain, shape)
    added, moved, vanished = composer.added(), composer.moved(), composer.vanished()
    keys = [select(*(each.c[name] for name in composer.identity)) for each in (added, moved, vanished)]
    changed = sa.union_all(*keys).cte("changed")
    after = composer.after(added, moved, changed)
    found = select(
        *(_count(each).label(each.name) for each in (added, moved, vanished)),
        *source.figures(family, grain, is_raw=shape.is_raw),
        *_of_computed(composer),
        *(_of_before(composer) if shape.reads_before else ()),
        *(_kept(composer) if shape.is_recorded and shape.is_raw and not shape.is_whole else ()),
        *figures.stored(family, grain, after),
    ).select_from(after)
    if shape.is_recorded:
        found = found.add_cte(recorded.restated(family, grain, changed, composer.before, composer.computed))
    return found


def _kept(composer: _Composer) -> list[ColumnElement[Any]]:
    return recorded.kept(composer.family, composer.computed, composer.before, composer.is_written)


def _composer(family: Family, grain: Grain, shape: Shape) -> _Composer:
    below = family.below(grain)
    if shape.is_raw or below is None:
        computing = rows.of_raw(family, grain, is_one=shape.reads_one)
    else:
        computing = rows.of_periods(family, grain, below)
    computed = computing.cte("computed").prefix_with("materialized")
    before = stored_rows(family, grain).cte("before").prefix_with("materialized")
    return _Composer(family, grain, shape, computed, before)


def stored_rows(family: Family, grain: Grain) -> Select[Any]:
    """The rows of the window as they are."""
    stored = family.table.alias("stored")
    columns = [*rows.identity(family, grain), *(each.column for each in family.written)]
    return select(*(stored.c[name] for name in columns)).where(rows.within(family, stored, grain))


def stored(family: Family, grain: Grain) -> Select[Any]:
    """How many rows of a period are stored, and their checksum; nothing if the rollup is another."""
    kept = stored_rows(family, grain).subquery("stored")
    rollup = sa.bindparam("rollup", type_=sa.Text, required=True)
    is_meant = rollup == literal(grain.name, sa.Text)
    return select(func.count(), figures.checksum(family, grain, kept)).select_from(kept).having(is_meant)


@cache
def unchanged(family: Family, grain: Grain) -> Select[Any]:
    """The figures of a period that stays as it is; nothing is written."""
    stored = stored_rows(family, grain).subquery("stored")
    return select(
        *figures.stored(family, grain, stored),
        figures.checksum(family, grain, stored).label("checksum_before"),
        figures.totals(family, stored).label("totals_before"),
        func.count().label("rows_before"),
    ).select_from(stored)


def _count(of: FromClause) -> ColumnElement[int]:
    return select(func.count()).select_from(of).scalar_subquery()


def _of_computed(composer: _Composer) -> list[ColumnElement[Any]]:
    family, computed = composer.family, composer.computed
    return [
        select(figures.counted(family, computed, family.count)).scalar_subquery().label("computed_rows"),
        select(figures.states(family, computed)).scalar_subquery().label("computed_states"),
    ]


def _of_before(composer: _Composer) -> list[ColumnElement[Any]]:
    family, before = composer.family, composer.before
    return [
        select(figures.checksum(family, composer.grain, before)).scalar_subquery().label("checksum_before"),
        select(figures.totals(family, before)).scalar_subquery().label("totals_before"),
        _count(before).label("rows_before"),
    ]
