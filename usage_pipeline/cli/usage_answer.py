"""What `usage tokens` found, before it takes a form."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Final

from usage_pipeline.periods.calendar import Grain

if TYPE_CHECKING:
    from usage_pipeline.serving.activity import Activity
    from usage_pipeline.serving.lines import Line
    from usage_pipeline.serving.people import Person
    from usage_pipeline.serving.tokens import Coverage

COUNTS: Final = ("messages", "conversations", "prompt_tokens", "completion_tokens", "total_tokens")
"""The columns that have a total."""


@dataclass(frozen=True)
class Answer:
    """The lines of everybody, or of one person, and what is known of the periods they come from.

    `newer` are periods after those shown; `last` is looked for where one person is, or nothing is, shown.
    """

    covered: "Coverage"
    person: "Person | None"
    lines: "Sequence[Line]"
    conversations: int | None
    today: date
    begins: date
    newer: "Coverage | None" = None
    last: "Activity | None" = None

    @property
    def grain(self) -> Grain:
        return self.covered.grain

    @property
    def is_daily(self) -> bool:
        return self.grain is Grain.DAILY

    @cached_property
    def whole(self) -> int:
        """All tokens of all lines."""
        return sum(line.total_tokens for line in self.lines)

    def total(self, name: str) -> int | None:
        """Of a column; conversations do not add up, and may not be known."""
        if name == "conversations":
            return self.conversations
        return sum(int(getattr(line, name)) for line in self.lines)

    def share(self, line: "Line") -> float:
        """A line's part of all tokens."""
        return line.total_tokens / self.whole if self.whole else 0.0
