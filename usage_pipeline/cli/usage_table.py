"""`usage tokens` for a person: a table as wide as the terminal."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from usage_pipeline.cli import console
from usage_pipeline.cli.usage_answer import COUNTS, Answer
from usage_pipeline.serving import periods

if TYPE_CHECKING:
    from rich.table import Table

    from usage_pipeline.serving.lines import Line

_HEADINGS: Final = {
    "messages": "Messages",
    "conversations": "Conversations",
    "prompt_tokens": "Prompt",
    "completion_tokens": "Completion",
    "total_tokens": "Total",
    "share": "Share",
    "last_activity": "Last activity",
}
_LONGEST_NAME: Final = 40
_FIRST_TO_GO: Final = ("last_activity", "conversations", "completion_tokens", "prompt_tokens")


def emit(answer: Answer) -> None:
    """Every line, and the total below them."""
    rows = [(_labels(answer, line), _cells(answer, line)) for line in answer.lines]
    total = (_total_labels(answer), _totals(answer))
    out = console.output()
    shown = _columns_that_fit([*rows, total], out.width)
    table = _headed(answer, shown)
    for labels, cells in rows:
        table.add_row(*labels, *(cells[name] for name in shown))
    table.add_section()
    table.add_row(*total[0], *(total[1][name] for name in shown), style="bold")
    out.print(table)


def _headed(answer: Answer, shown: Sequence[str]) -> "Table":
    from rich.table import Table

    table = Table(title=_title(answer), title_justify="left")
    for heading in _label_headings(answer):
        table.add_column(heading, no_wrap=True)
    for name in shown:
        table.add_column(_HEADINGS[name], justify="right", no_wrap=True)
    return table


def _title(answer: Answer) -> str:
    person, covered = answer.person, answer.covered
    name = _safe(person.label or str(person.user_id)) if person else ""
    subject = f"Tokens of {name}" if person else "Tokens by user"
    return f"{subject}, {covered.first} to {covered.last} (UTC)"


def _label_headings(answer: Answer) -> list[str]:
    if answer.is_daily:
        return ["Day" if answer.person else "User"]
    return ["Period"] if answer.person else ["Period", "User"]


def _labels(answer: Answer, line: "Line") -> list[str]:
    """What a line is about, as its headings say."""
    name = _safe(line.label)
    if answer.person or line.period is None:
        return [name]
    return [periods.label(answer.grain, line.period), name]


def _total_labels(answer: Answer) -> list[str]:
    return ["Total", *[""] * (len(_label_headings(answer)) - 1)]


def _safe(name: str) -> str:
    from rich.markup import escape

    return escape(console.printable(name, _LONGEST_NAME))


def _cells(answer: Answer, line: "Line") -> dict[str, str]:
    seen = line.last_activity.strftime("%Y-%m-%d %H:%M") if line.last_activity else ""
    counts = {name: f"{getattr(line, name):,}" for name in COUNTS}
    share = f"{answer.share(line):.1%}" if answer.whole else ""
    return counts | {"share": share, "last_activity": seen}


def _totals(answer: Answer) -> dict[str, str]:
    sums = {name: answer.total(name) for name in COUNTS}
    cells = {name: "" if count is None else f"{count:,}" for name, count in sums.items()}
    return cells | {"share": "100.0%" if answer.whole else "", "last_activity": ""}


def _columns_that_fit(rows: Sequence[tuple[list[str], dict[str, str]]], width: int) -> list[str]:
    """All columns, less those a person misses least until the table fits."""
    widths = {
        name: 3 + max(len(heading), *(len(cells[name]) for _, cells in rows))
        for name, heading in _HEADINGS.items()
    }
    room = width - 4 - sum(_label_widths([labels for labels, _ in rows]))
    shown = list(_HEADINGS)
    for name in _FIRST_TO_GO:
        if sum(widths[each] for each in shown) <= room:
            break
        shown.remove(name)
    return shown


def _label_widths(rows: Sequence[list[str]]) -> Iterator[int]:
    """Of each column of labels; the frame takes three more of every one but the first."""
    for place, column in enumerate(zip(*rows, strict=True)):
        yield max(len(label) for label in column) + (3 if place else 0)
