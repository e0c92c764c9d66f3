"""The composed statements as text, for a person: what a run binds is a name, the rest is written out."""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.sql import visitors

from usage_pipeline.engine.replace import Shape, replace
from usage_pipeline.families.family import Family, Grain

_WIDTH: Final = 110
_BREAKS: Final = re.compile(r"(?<=,) | (?=(?:AND|FROM|WHERE|ORDER BY|LEFT OUTER JOIN|RETURNING|UNION ALL) )")
_RAW: Final = {
    "a period that is open": Shape(is_raw=True),
    "a sealed period: changes are recorded, and a unit that the source has less of is kept": Shape(
        is_raw=True, is_recorded=True, keeps=True
    ),
}
_DERIVED: Final = {
    "a period that is open, from the rows below": Shape(is_raw=False),
    "a sealed period, from the rows below: changes are recorded": Shape(is_raw=False, is_recorded=True),
    "a period of which periods below are pruned, from raw rows": Shape(is_raw=True),
}


def statements(family: Family, grain: Grain) -> Iterator[tuple[str, str]]:
    """What the runs of an asset execute: when, and the statement."""
    for when, shape in (_DERIVED if grain.below else _RAW).items():
        yield when, text(replace(family, grain, shape))


def text(statement: sa.Select[Any], prefix: str = ":") -> str:
    """One statement; a value that a run binds is its name after the prefix."""

    def named(element: visitors.ExternallyTraversible, **_: Any) -> sa.ColumnElement[Any] | None:
        if isinstance(element, sa.BindParameter) and element.required:
            return sa.literal_column(f"{prefix}{element.key}", element.type)
        return None

    with_names = cast("sa.Select[Any]", visitors.replacement_traverse(statement, {}, named))
    compiled = with_names.compile(
        dialect=registry.load("postgresql")(), compile_kwargs={"literal_binds": True}
    )
    return "\n".join(line for each in str(compiled).splitlines() for line in _folded(each.strip()))


def _folded(line: str) -> Iterator[str]:
    """No line wider than a page; no literal of ours holds a place where lines are broken."""
    part = ""
    for piece in _BREAKS.split(line):
        if part.strip() and len(part) + len(piece) >= _WIDTH:
            yield part.rstrip()
            part = "  "
        part += f"{piece} "
    yield part.rstrip()
