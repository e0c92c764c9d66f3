"""The composed statements as text: what a run binds is a name, the rest is written out."""

import re
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect

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


class _Compiler(PGCompiler):
    """Writes a value that a run binds as its name, any other as a literal."""

    dialect: "_Dialect"

    def visit_bindparam(self, bindparam: Any, *args: Any, **options: Any) -> str:
        if bindparam.required:
            return f"{self.dialect.prefix}{bindparam.key}"
        usual: Any = super().visit_bindparam
        return str(usual(bindparam, *args, **{**options, "literal_binds": True}))


class _Dialect(PGDialect):
    statement_compiler = _Compiler
    prefix = ":"


class _DialectOfFunctions(_Dialect):
    prefix = "p_"


def statements(family: Family, grain: Grain) -> Iterator[tuple[str, str]]:
    """What the runs of an asset execute: when, and the statement."""
    for when, shape in (_DERIVED if grain.below else _RAW).items():
        yield when, printed(replace(family, grain, shape))


def printed(statement: sa.Select[Any] | sa.CompoundSelect[Any], *, in_function: bool = False) -> str:
    """One statement; a value that a run binds is a `:name`, in a function its argument `p_name`."""
    dialect: type[Any] = _DialectOfFunctions if in_function else _Dialect
    text = str(statement.compile(dialect=dialect()))
    return "\n".join(line for each in text.splitlines() for line in _folded(each.strip()))


def _folded(line: str) -> Iterator[str]:
    """No line wider than a page; no literal of ours holds a place where lines are broken."""
    part = ""
    for piece in _BREAKS.split(line):
        if part.strip() and len(part) + len(piece) >= _WIDTH:
            yield part.rstrip()
            part = "  "
        part += f"{piece} "
    yield part.rstrip()
