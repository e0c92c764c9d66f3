"""The functions of the database that are made from the families: their ladder, their guard against losses."""

from collections.abc import Iterable, Sequence

from psycopg import sql

from usage_pipeline.engine import prove, rows
from usage_pipeline.families.family import Family
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.functions import FunctionFile

_ROOM = "engine.sql"
LOOK = FunctionFile(_ROOM, "look")


def ladder(families: Sequence[Family]) -> FunctionFile:
    """Which grain is made from which, for the statements that ask the database; a row for each asset."""
    grains = [
        (
            grain.name, family.name, grain.stored_as, rows.UNITS[grain.row_period],
            rows.UNITS[grain.run_period], grain.below, grain.pruned_with, grain.keeps_ids,
        )
        for family in families
        for grain in family.grains
    ]  # fmt: skip
    guards = [(family.name, family.count, prove.LEAST_ROWS, prove.LEAST_SHARE) for family in families]
    text = statements.named(_ROOM, "ladder", ladder=_values(grains), guards=_values(guards))
    return FunctionFile(_ROOM, "ladder", text.as_string())


def _values(found: Iterable[Sequence[object]]) -> sql.Composed:
    lines = [sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, line))) for line in found]
    return sql.SQL(",\n    ").join(lines)
