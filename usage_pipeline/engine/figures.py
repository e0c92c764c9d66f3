"""The figures of a set of rows: how many, their sums, their states, a checksum that equal sets share."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, cast, func
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.engine import rows
from usage_pipeline.families.family import Family, Grain, Kind

ZERO: Final[ColumnElement[Any]] = sa.literal_column("0")


def whole(family: Family, of: FromClause) -> list[ColumnElement[bool]]:
    """A subtotal holds what the rows beside it hold: only the subtotals are added up."""
    return [of.c[name] == value for name, value in family.subtotal.items()]


def added(
    family: Family, of: FromClause, column: str, *conditions: ColumnElement[bool]
) -> ColumnElement[Any]:
    """The sum of a column over the rows, each thing once."""
    found = func.sum(of.c[column])
    chosen = [*whole(family, of), *conditions]
    return found.filter(*chosen) if chosen else found


def counted(family: Family, of: FromClause, column: str) -> ColumnElement[int]:
    """The same as a number of its own; 0 where there is no row."""
    return cast(func.coalesce(added(family, of, column), ZERO), sa.BigInteger)


def totals(family: Family, of: FromClause) -> ColumnElement[Any]:
    """Column → sum; a measure that may be NULL has no sum where no row has a value."""
    pairs: list[Any] = []
    for each in family.written:
        if each.column in family.summed:
            total = added(family, of, each.column)
            if isinstance(family.table.c[each.column].type, sa.Numeric):
                total = cast(total, sa.Text)  # money is never a float, and a number in JSON is read as one
            pairs += [
                _name(each.column),
                total if each.kind is Kind.SUM_OR_NULL else func.coalesce(total, ZERO),
            ]
    return func.jsonb_build_object(*pairs)


def states(family: Family, of: FromClause) -> ColumnElement[Any]:
    """State → count of source rows, and how many belong to no known unit."""
    pairs: list[Any] = []
    if family.nobody:
        nobody = [of.c[name] == value for name, value in family.nobody.items()]
        pairs += [_name("unattributed"), func.coalesce(added(family, of, family.count, *nobody), ZERO)]
    for each in family.states:
        if each.column in of.c:
            pairs += [_name(each.name), func.coalesce(added(family, of, each.column), ZERO)]
    return func.jsonb_build_object(*pairs)


def checksum(family: Family, grain: Grain, of: FromClause) -> ColumnElement[str]:
    """Each row hashed whole, and the hashes added: the order does not matter, and no row becomes text."""
    columns = (*rows.identity(family, grain), *(each.column for each in family.written))
    hashed = func.hash_record_extended(func.row(*(of.c[name] for name in columns)), cast(ZERO, sa.BigInteger))
    version = sa.literal(f"{family.checksum_version}:", sa.Text)
    return version.concat(cast(func.coalesce(func.sum(hashed), ZERO), sa.Text))


def stored(family: Family, grain: Grain, of: FromClause) -> list[ColumnElement[Any]]:
    """The figures that the ledger keeps of the rows of a period."""
    return [
        func.count().label("stored_rows"),
        totals(family, of).label("totals"),
        states(family, of).label("states"),
        checksum(family, grain, of).label("checksum"),
    ]


def of_nothing() -> ColumnElement[Any]:
    """An empty JSON object."""
    return cast(sa.literal_column("'{}'"), pg.JSONB)


def _name(text: str) -> ColumnElement[str]:
    return sa.literal(text, sa.Text)
