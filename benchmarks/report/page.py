"""The page and the chart in `docs`, made of the document alone."""

import json
import re
from pathlib import Path
from string import Template
from typing import Any, Final

from benchmarks.report import chart, document, table
from benchmarks.works import WORKS, orchestration

ROOT: Final = Path(__file__).parent.parent.parent
DOCUMENT: Final = ROOT / "docs" / "speed.json"
PAGE: Final = ROOT / "docs" / "speed.md"
CHART: Final = ROOT / "docs" / "images" / "speed.svg"
_TEXT: Final = Path(__file__).with_name("page.md")
_REASONS: Final = Path(__file__).with_name("reasons.json")
APART: Final = ("steps", "command")
"""Works that take a time apart, in tables of their own."""
UNEXPLAINED: Final = "not explained yet"


def write(found: dict[str, Any]) -> None:
    """The document, and what is made of it."""
    DOCUMENT.write_text(document.written(found), encoding="utf-8")
    PAGE.write_text(of(found), encoding="utf-8")
    CHART.write_text(chart.of(found), encoding="utf-8")


def of(found: dict[str, Any]) -> str:
    """The page's text."""
    rows = found["rows"]
    return Template(_TEXT.read_text(encoding="utf-8")).substitute(
        measured=found["measured"],
        table=_table([row for row in rows if row["work"] not in APART]),
        **{name: _table([row for row in rows if row["work"] == name]) for name in APART},
        verdict=_verdict(rows),
        data=found["data"],
        missed=_missed(rows),
        start=_start(rows),
        works=_works(rows),
        machine=_list({**found["machine"], **found["versions"]}),
    )


def _works(rows: list[dict[str, Any]]) -> str:
    """The names that `--only` takes; `fill` brings again and climb with it."""
    return ", ".join(name for name in dict.fromkeys(row["work"] for row in rows) if name in WORKS)


def _start(rows: list[dict[str, Any]]) -> str:
    return next(f"{row['ours']:.1f}" for row in rows if row["what"] == orchestration.WHOLE)


def _table(rows: list[dict[str, Any]]) -> str:
    head = ["work", "ours", "beside", "theirs", "ratio", "bar", ""]
    lines = [head, ["---"] * len(head), *(_linked(table.cells(row)) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _linked(cells: list[str]) -> list[str]:
    """A bar that is missed leads to why."""
    *others, last = cells
    return [
        *(_unbroken(cell) for cell in others),
        last.replace("missed", "[missed](#why-a-bar-is-missed)", 1) if last.startswith("missed") else last,
    ]


def _unbroken(cell: str) -> str:
    """A number stays on the line of its unit."""
    return cell.replace(" ", "\N{NO-BREAK SPACE}") if re.match(r"([≤≥] )?[\d,.]+( \S+)?$", cell) else cell


def _verdict(rows: list[dict[str, Any]]) -> str:
    judged = [row["met"] for row in rows if row["met"] is not None]
    return f"Of {len(judged)} bars {sum(judged)} are met."


def _missed(rows: list[dict[str, Any]]) -> str:
    """Each missed bar with its reason; one that has none says so."""
    reasons = json.loads(_REASONS.read_text(encoding="utf-8"))
    lines = []
    for row in rows:
        if row["met"] is False:
            against = f" beside {row['other']}" if row["other"] else ""
            value = row["ratio"] if row["ratio"] is not None else row["ours"]
            known = f"{row['work']}: {row['what']} beside {row['other']}"
            why = next((text for words, text in reasons if all(word in known for word in words)), UNEXPLAINED)
            lines.append(f"- **{row['what']}{against}: {value:.3g}, bar {row['bar']}.** {why}")
    return "\n".join(lines) or "None is."


def _list(facts: dict[str, Any]) -> str:
    return "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items())
