"""The functions of the database that a run needs: those that are made from the families, and the others."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import registry

from usage_pipeline.engine import prove, render
from usage_pipeline.engine.replace import Shape, replace, stored
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.functions import FunctionFile

_ROOM: Final = "engine.sql"


def made(families: Sequence[Family]) -> tuple[FunctionFile, ...]:
    """Those that a run needs, in the order in which they are created."""
    return (
        *(of_window(family) for family in families),
        ladder(families),
        FunctionFile(_ROOM, "is_gone"),
        FunctionFile(_ROOM, "look"),
        FunctionFile(_ROOM, "stored_of_period", _stored(families)),
        FunctionFile(_ROOM, "statement_of_period", "\n".join(_writes(families))),
        FunctionFile(_ROOM, "run_one"),
    )


def of_window(family: Family) -> FunctionFile:
    """The one text of its rollup: whatever reads its raw rows selects from it."""
    return FunctionFile(_ROOM, f"{family.name}_of_window", family.window)


def ladder(families: Sequence[Family]) -> FunctionFile:
    """Which grain is made from which, for the statements that ask the database."""
    grains = [
        (
            grain.name, family.name, grain.stored_as, grain.row_period.unit, grain.run_period.unit,
            grain.below, grain.pruned_with, grain.keeps_ids,
        )
        for family in families
        for grain in family.grains
    ]  # fmt: skip
    known = [
        (
            family.name, family.contract, family.words.unit, family.words.event, family.words.events,
            family.count, list(family.added), prove.LEAST_ROWS, prove.LEAST_SHARE,
        )
        for family in families
    ]  # fmt: skip
    return FunctionFile(_ROOM, "ladder", _framed("ladder", ladder=_values(grains), families=_values(known)))


def _stored(families: Sequence[Family]) -> str:
    """What is stored of one period, of whatever family: its rows and their checksum."""
    every = sa.union_all(*(stored(family, grain) for family in families for grain in family.grains))
    return _framed("stored_of_period", statement=_literal(render.printed(every, in_function=True)))


def _writes(families: Sequence[Family]) -> Iterator[str]:
    """A function for each statement that `run_one` executes."""
    for family in families:
        for grain in family.grains:
            one = Shape(is_raw=True, reads_one=True, writes_one=True)
            yield _function(family, grain, f"one_of_{grain.name}", one)
            if grain.below:
                yield _function(family, grain, f"{grain.name}_from_below", Shape(is_raw=False))


def _function(family: Family, grain: Grain, name: str, shape: Shape) -> str:
    kind: sa.types.TypeEngine[Any] = family.table.c[family.unit].type
    return _framed(
        "statement_of_period",
        function=_literal(name),
        unit=_literal(kind.compile(dialect=registry.load("postgresql")())),
        statement=_literal(render.printed(replace(family, grain, shape), in_function=True)),
    )


def _framed(file: str, **parts: sql.Composable) -> str:
    return statements.named(_ROOM, file, **parts).as_string()


def _literal(text: str) -> sql.SQL:
    """Text that was composed, not typed by anybody."""
    return sql.SQL(text)


def _values(found: Iterable[Sequence[object]]) -> sql.Composed:
    lines = [sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, line))) for line in found]
    return sql.SQL(",\n    ").join(lines)
