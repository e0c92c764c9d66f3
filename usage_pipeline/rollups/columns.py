"""A column as the catalogue shows it: what it means, what counts in it, and what it is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg

from usage_pipeline.periods.calendar import Grain

_PERIODS: Final = {Grain.DAILY: "day", Grain.WEEKLY: "week", Grain.MONTHLY: "month", Grain.YEARLY: "year"}


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
        return f"{self.meaning}\n\n{self.extent.format(period=_PERIODS[grain])}"

    def made(self, below: str | None) -> tuple[str, list[tuple[str, str]]]:
        """Its rule, and each column it reads with its table: of the asset below, else of the source."""
        if below:
            return self.derived.rule, [(below, each) for each in self.derived.sources]
        read = (each.split(".") for each in self.raw.sources)
        return self.raw.rule, [(table, column) for table, column in read]


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
