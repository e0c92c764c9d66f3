"""The first fill as a drawing: one bar a side, on a scale where each step is ten times the one before."""

import math
from typing import Any, Final
from xml.sax.saxutils import escape

from benchmarks.report import table

WIDTH, LEFT, RIGHT, LINE, TOP = 1040, 500, 110, 30, 40
OURS: Final = "#2563eb"
OTHERS: Final = "#94a3b8"
INK: Final = "#334155"


def of(found: dict[str, Any]) -> str:
    """An SVG picture that needs nothing else."""
    bars = _bars(found["rows"])
    least = 10 ** math.floor(math.log10(min(seconds for _, seconds, _ in bars)))
    most = 10 ** math.ceil(math.log10(max(seconds for _, seconds, _ in bars)))
    height = TOP + LINE * len(bars) + 20
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' font-family="system-ui, sans-serif" font-size="14">',
        "<title>Seconds of the first fill, by who does it</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for power in range(round(math.log10(least)), round(math.log10(most)) + 1):
        x = LEFT + _length(10.0**power, least, most)
        drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 16}" stroke="#e2e8f0"/>')
        label = f"{10.0**power:g} s"
        drawn.append(f'<text x="{x:.1f}" y="{TOP - 16}" text-anchor="middle" fill="{INK}">{label}</text>')
    for number, (name, seconds, is_ours) in enumerate(bars):
        y = TOP + LINE * number
        length = _length(seconds, least, most)
        drawn.append(
            f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end" fill="{INK}">{escape(name)}</text>'
        )
        colour = OURS if is_ours else OTHERS
        drawn.append(
            f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="{LINE - 10}" fill="{colour}"/>'
        )
        drawn.append(
            f'<text x="{LEFT + length + 8:.1f}" y="{y + 17}" fill="{INK}">{table.number(seconds, "s")}</text>'
        )
    return "\n".join([*drawn, "</svg>", ""])


def _bars(rows: list[dict[str, Any]]) -> list[tuple[str, float, bool]]:
    """Every side of the first fill, the fastest first."""
    fill = [row for row in rows if row["work"] == "fill"]
    others = [(row["other"], float(row["theirs"]), False) for row in fill if row["theirs"] is not None]
    return sorted([("usage-pipeline", float(fill[0]["ours"]), True), *others], key=lambda bar: bar[1])


def _length(seconds: float, least: float, most: float) -> float:
    return (WIDTH - LEFT - RIGHT) * math.log10(seconds / least) / math.log10(most / least)
