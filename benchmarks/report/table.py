"""The table as a person reads it in a terminal."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table


def of(found: dict[str, Any]) -> str:
    """One line a comparison, in the order in which they were measured."""
    shown = Table(box=None, pad_edge=False, title_justify="left")
    for name, justify in (
        ("work", "left"), ("ours", "right"), ("beside", "left"), ("theirs", "right"), ("ratio", "right"),
        ("bar", "right"), ("", "left"),
    ):  # fmt: skip
        shown.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in found["rows"]:
        shown.add_row(*cells(row))
    file = io.StringIO()
    Console(file=file, width=180, highlight=False, markup=False).print(shown)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def cells(row: dict[str, Any]) -> list[str]:
    """The words of one line."""
    note = f"({row['note']})" if row["note"] else ""
    return [
        row["what"],
        number(row["ours"], row["unit"]),
        row["other"],
        "" if row["theirs"] is None else number(row["theirs"], row["unit"]),
        "" if row["ratio"] is None else times(row["ratio"]),
        row["bar"] or "",
        " ".join(part for part in (verdict(row["met"]), note) if part),
    ]


def times(ratio: float) -> str:
    """Three figures, or all of them where they are many."""
    return f"{ratio:,.0f} ×" if ratio >= 1000 else f"{ratio:.3g} ×"


def verdict(is_met: bool | None) -> str:
    return "" if is_met is None else "met" if is_met else "missed"


def number(value: float, unit: str) -> str:
    """Three figures that matter, hours where seconds would be many."""
    if unit == "s" and value >= 7200:
        return f"{value / 3600:.3g} h"
    if unit == "rows":
        return f"{value:,.0f} rows"
    return f"{value:.3g} {unit}"
