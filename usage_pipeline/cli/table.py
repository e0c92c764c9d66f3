"""A table as wide as the terminal: columns go and names get shorter, ids and numbers stay whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rich.box import HEAVY_HEAD, Box
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from usage_pipeline.cli import console

_LONGEST_NAME: Final = 40
_SHORTEST_NAME: Final = 24
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_FRAME: Final = 3
"""What the frame takes of every column, and one more of all of them."""


@dataclass(frozen=True)
class Column:
    """A name may be shortened, an id in its place may not; what `goes` is dropped, the lowest first."""

    heading: str
    is_number: bool = False
    is_name: bool = False
    goes: int = 0  # 0: it stays


@dataclass(frozen=True)
class Table:
    """Rows of text, a cell a column; the first cell of the total is its name."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] | None = None

    def show(self, title: str = "") -> None:
        """In columns; where even the narrowest form is too wide, cell by cell below each other."""
        out = console.output()
        if title:
            out.print(Text(title, style="italic"))
        fitting = self._fitting(out.width)
        if fitting:
            out.print(self._framed(HEAVY_HEAD.substitute(out.options, safe=out.safe_box), *fitting))
        else:
            out.print(Text("\n\n".join(self._records())))

    @cached_property
    def _all(self) -> list[list[str]]:
        rows = [*self.rows, *([self.total] if self.total else [])]
        return [[console.printable(cell) for cell in row] for row in rows]

    def _fitting(self, width: int) -> tuple[list[int], int] | None:
        """The columns that stay and how long a name may be; names get shorter before a column goes."""
        for kept in self._choices():
            for longest in range(_LONGEST_NAME, _SHORTEST_NAME - 1, -1):
                if 1 + sum(self._width(place, longest) + _FRAME for place in kept) <= width:
                    return kept, longest
        return None

    def _choices(self) -> Iterator[list[int]]:
        kept = list(range(len(self.columns)))
        yield kept
        for place in sorted(kept, key=lambda place: self.columns[place].goes):
            if self.columns[place].goes:
                kept = [each for each in kept if each != place]
                yield kept

    def _width(self, place: int, longest: int) -> int:
        whole, name = self._widest[place]
        return max(whole, min(name, longest))

    @cached_property
    def _widest(self) -> list[tuple[int, int]]:
        """Of each column what stays whole, and what may be shortened."""
        found = []
        for place, column in enumerate(self.columns):
            cells = {row[place] for row in self._all}
            names = {cell for cell in cells if column.is_name and not _ID.fullmatch(cell)}
            whole = max(map(cell_len, {column.heading, *(cells - names)}))
            found.append((whole, max(map(cell_len, names), default=0)))
        return found

    def _framed(self, box: Box, kept: Sequence[int], longest: int) -> Text:
        """Not rich's own table, which takes 13 s for 20,000 rows; this one takes 1 s."""
        widths = {place: self._width(place, longest) for place in kept}
        across = [width + _FRAME - 1 for width in widths.values()]
        rows = [self._line(row, widths, box.mid_left, box.mid_vertical, box.mid_right) for row in self._all]
        headings = [column.heading for column in self.columns]
        head = self._line(headings, widths, box.head_left, box.head_vertical, box.head_right)
        parts: list[str | tuple[str, str]] = [
            f"{box.get_top(across)}\n", (head, "bold"), f"\n{box.get_row(across, 'head')}\n",
            "".join(f"{row}\n" for row in rows[: len(self.rows)]),
        ]  # fmt: skip
        if self.total:
            parts += [f"{box.get_row(across, 'row')}\n", (rows[-1], "bold"), "\n"]
        return Text.assemble(*parts, box.get_bottom(across))

    def _line(
        self, row: Sequence[str], widths: Mapping[int, int], left: str, between: str, right: str
    ) -> str:
        """The cells that are shown; the name of a total is in the first of them, whichever that is."""
        first = min(widths)
        cells = [
            self._padded(place, row[place] or (row[0] if place == first else ""), width)
            for place, width in widths.items()
        ]
        return f"{left} {f' {between} '.join(cells)} {right}"

    def _padded(self, place: int, text: str, width: int) -> str:
        shown = self._cell(place, text, width)
        margin = " " * (width - cell_len(shown))
        return f"{margin}{shown}" if self.columns[place].is_number else f"{shown}{margin}"

    def _cell(self, place: int, text: str, longest: int) -> str:
        is_short = cell_len(text) <= longest
        if is_short or not self.columns[place].is_name or _ID.fullmatch(text):
            return text
        return f"{set_cell_size(text, longest - 1).rstrip()}…"

    def _records(self) -> Iterator[str]:
        """Each row a block, each cell a line; what is empty is left out."""
        margin = max(len(column.heading) for column in self.columns) + 2
        for row in self._all:
            cells = [
                (column.heading, self._cell(place, row[place], _LONGEST_NAME))
                for place, column in enumerate(self.columns)
            ]
            yield "\n".join(f"{heading:<{margin}}{cell}" for heading, cell in cells if cell)
