"""`usage tokens` for a program: one JSON document, or comma-separated values."""

import csv
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Final

from usage_pipeline.cli import console
from usage_pipeline.cli.usage_answer import COUNTS, Answer

if TYPE_CHECKING:
    from usage_pipeline.serving.lines import Line

_VALUES: Final = (
    "label", "messages", "conversations", "prompt_tokens", "completion_tokens", "total_tokens",
    "unmetered_messages", "refused_messages", "last_activity",
)  # fmt: skip


def emit_json(answer: Answer) -> None:
    rows = [_record(answer, line) | {"share_ratio": round(answer.share(line), 6)} for line in answer.lines]
    covered = answer.covered
    console.emit_json(
        {"rows": rows, "totals": {name: answer.total(name) for name in COUNTS}},
        **({} if answer.is_daily else {"grain": answer.grain.value}),
        first_day=covered.first,
        last_day=covered.last,
        **covered.facts(),
        user_id=answer.person.user_id if answer.person else None,
        **({"last_activity": answer.last.at if answer.last else None} if answer.person else {}),
        timezone="UTC",
    )


def emit_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*_keys(answer), *_VALUES, "share_ratio"])
    for line in answer.lines:
        values = [_harmless(value) for value in _record(answer, line).values()]
        writer.writerow([*values, f"{answer.share(line):.6f}"])


def _record(answer: Answer, line: "Line") -> dict[str, object]:
    keys = {
        "grain": answer.grain.value,
        "period_start": line.period,
        "day": line.period,
        "user_id": line.user_id,
    }
    return {name: keys[name] for name in _keys(answer)} | {name: getattr(line, name) for name in _VALUES}


def _keys(answer: Answer) -> list[str]:
    """What a line is about; days are added up unless they are one user's."""
    if answer.is_daily:
        return ["day" if answer.person else "user_id"]
    return ["grain", "period_start"] + ([] if answer.person else ["user_id"])


def _harmless(value: object) -> object:
    """A spreadsheet would run a name that begins like a formula, a terminal one with control characters."""
    if isinstance(value, str):
        value = console.printable(value)
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return value.isoformat() if isinstance(value, datetime) else value
