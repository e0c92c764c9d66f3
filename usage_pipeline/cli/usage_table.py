"""`usage tokens` for a person: a table as wide as the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from usage_pipeline.cli import console
from usage_pipeline.cli.table import Column, Table
from usage_pipeline.cli.usage_answer import COUNTS, Answer
from usage_pipeline.serving import periods

if TYPE_CHECKING:
    from usage_pipeline.serving.lines import Line

_VALUES: Final = {
    "messages": Column("Messages", is_number=True, goes=7),
    "conversations": Column("Conversations", is_number=True, goes=2),
    "prompt_tokens": Column("Prompt", is_number=True, goes=4),
    "completion_tokens": Column("Completion", is_number=True, goes=3),
    "total_tokens": Column("Total", is_number=True),
    "share": Column("Share", is_number=True, goes=6),
    "last_activity": Column("Last activity", is_number=True, goes=1),
}


def emit(answer: Answer) -> None:
    """The lines, and the total below them."""
    labels = _label_columns(answer)
    rows = [[*_labels(answer, line), *_cells(answer, line)] for line in answer.lines]
    total = ["Total", *[""] * (len(labels) - 1), *_totals(answer)]
    Table([*labels, *_VALUES.values()], rows, total).show(_title(answer))


def _title(answer: Answer) -> str:
    person, covered = answer.person, answer.covered
    subject = f"Tokens of {console.printable(person.name)}" if person else "Tokens by user"
    return f"{subject}, {covered.first} to {covered.last} (UTC)"


def _label_columns(answer: Answer) -> list[Column]:
    """The title says which period it is where there is one alone."""
    user = Column("User", is_name=True)
    if answer.is_daily:
        return [Column("Day") if answer.person else user]
    is_alone = len({line.period for line in answer.lines}) == 1
    return [Column("Period")] if answer.person else [Column("Period", goes=5 if is_alone else 0), user]


def _labels(answer: Answer, line: "Line") -> list[str]:
    """What a line is about, as its headings say."""
    if answer.person or line.period is None:
        return [line.label]
    return [periods.label(answer.grain, line.period), line.label]


def _cells(answer: Answer, line: "Line") -> Sequence[str]:
    seen = line.last_activity.strftime("%Y-%m-%d %H:%M") if line.last_activity else ""
    counts = [_number(getattr(line, name)) for name in COUNTS]
    return [*counts, f"{answer.share(line):.1%}" if answer.whole else "", seen]


def _totals(answer: Answer) -> Sequence[str]:
    return [*(_number(answer.total(name)) for name in COUNTS), "100.0%" if answer.whole else "", ""]


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
