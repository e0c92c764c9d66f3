"""A column as the catalogue shows it: what it means, what counts in it, and what it is made from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.dialects import registry

from usage_pipeline.families.family import Family, Key, Kind, Measure
from usage_pipeline.periods.calendar import Grain

_CLIMBS: Final = {Kind.SUM: "sum", Kind.SUM_OR_NULL: "sum", Kind.MIN: "min", Kind.MAX: "max"}
_STORED: Final = {"weekly": "weekly (ISO, from Monday)"}
_UNCHANGED: Final = "A run that finds nothing new writes nothing, and leaves it."


@dataclass(frozen=True)
class Made:
    """How a value comes about: the rule, and the columns that it reads."""

    rule: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """`meaning` is also the comment in the database; `extent` is what counts and what does not.

    `raw` says how a row read from the source is made, of `table.column`; `derived` how one that is made from
    the rows below, of their columns. {period} in the extent is the word of the grain.
    """

    name: str
    type: str
    meaning: str
    raw: Made
    derived: Made
    extent: str

    def described(self, grain: Grain) -> str:
        """The meaning, then what it includes and excludes on a row of this grain."""
        return f"{self.meaning}\n\n{self.extent.format(period=grain.unit)}"

    def made(self, below: str | None) -> tuple[str, list[tuple[str, str]]]:
        """Its rule, and each column it reads with its table: of the asset below, else of the source."""
        if below:
            return self.derived.rule, [(below, each) for each in self.derived.sources]
        read = (each.split(".") for each in self.raw.sources)
        return self.raw.rule, [(table, column) for table, column in read]


def of(family: Family) -> tuple[Column, ...]:
    """The columns of a family's table, in its order; the meanings are also its comments in the database."""
    described = {
        **_of_every_family(family),
        **{each.column: _of_key(each) for each in family.keys},
        **{each.column: _of_measure(family, each) for each in family.measures},
    }
    return tuple(replace(described[each.name], type=_type(each.type)) for each in family.table.c)


def _of_every_family(family: Family) -> dict[str, Column]:
    stored = [_STORED.get(each.stored_as, each.stored_as) for each in family.grains]
    key = ", ".join((family.grain_column, "period_start", *family.key))
    clock, first = Made("the database's clock"), Made("made when first stored")
    columns = (
        Column(
            family.grain_column, "", f"{', '.join(stored[:-1])} or {stored[-1]}; UTC.",
            Made("the asset's grain"), Made("the asset's grain"),
            "All grains share one table: a sum over it that does not name one counts everything in each.",
        ),
        Column(
            "period_start", "", "First instant of the period.",
            Made("floor of the instant", (family.instant,)), Made("floor", ("period_start",)),
            "Includes what was written at this very instant. Every {period} begins at midnight UTC.",
        ),
        Column(
            "period_end", "", "First instant after the period.",
            Made("period_start + one period", (family.instant,)),
            Made("period_start + one period", ("period_start",)),
            "Excludes what was written at this very instant: it belongs to the next {period}.",
        ),
        Column(
            "id", "", f"A name for the row; the key is ({key}).", first, first,
            "The same for the same key, however often the {period} is computed.",
        ),
        Column("created_at", "", "When the row was first stored.", clock, clock, _UNCHANGED),
        Column("updated_at", "", "When a value of the row last changed.", clock, clock, _UNCHANGED),
    )  # fmt: skip
    return {each.name: each for each in columns}


def _of_key(key: Key) -> Column:
    made = Made(key.raw, key.sources)
    return Column(key.column, "", key.meaning, made, Made("as it is", (key.column,)), _extent(key))


def _of_measure(family: Family, measure: Measure) -> Column:
    raw = Made(measure.raw, measure.sources)
    return Column(measure.column, "", measure.meaning, raw, _climbs(family, measure), _extent(measure))


def _climbs(family: Family, measure: Measure) -> Made:
    """How a row that is made from the rows below has it."""
    read = (measure.of or measure.column,)
    if measure.kind is Kind.IDS:
        keeping = " and ".join(
            each.run_period.unit + "s" for each in family.grains if each.below and each.keeps_ids
        )
        return Made(f"distinct, on {keeping} alone", read)
    return Made(_CLIMBS.get(measure.kind, "distinct"), read)


def _extent(of: Key | Measure) -> str:
    parts = (("Includes", of.includes), ("Excludes", of.excludes))
    return " ".join(f"{word} {text}." for word, text in parts if text)


def _type(kind: sa.types.TypeEngine[Any]) -> str:
    """As PostgreSQL names it."""
    return str(kind.compile(dialect=registry.load("postgresql")())).lower()


def schema(columns: Sequence[Column], key: str, grain: Grain) -> dg.TableSchema:
    """The columns as Dagster's page lists them on an asset of this grain, with the table's key."""
    return dg.TableSchema(
        columns=[dg.TableColumn(each.name, each.type, description=each.described(grain)) for each in columns],
        constraints=dg.TableConstraints(other=[f"primary key ({key})"]),
    )


def mapping(columns: Sequence[Column], main: str, below: str | None) -> dg.TableMetadataValue:
    """From which column each comes and how: a table, because the page draws no lineage of columns.

    In few letters: a third column, or a longer word, would be cut off by the page.
    """
    main = below or main
    records = [
        dg.TableRecord({"column": each.name, f"made from {main}": _origin(each, main, below)})
        for each in columns
    ]
    return dg.MetadataValue.table(records)


def _origin(column: Column, main: str, below: str | None) -> str:
    rule, read = column.made(below)
    sources = ", ".join(name if table == main else f"{table}.{name}" for table, name in read)
    return f"{rule} ← {sources}" if sources else rule


def lineage(columns: Sequence[Column], below: str | None) -> dg.TableColumnLineage:
    """The same for programs that ask Dagster's API."""
    found = {each.name: each.made(below)[1] for each in columns}
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(dg.AssetKey(table), column) for table, column in read]
            for name, read in found.items()
            if read
        }
    )
