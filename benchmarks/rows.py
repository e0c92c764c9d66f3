"""A line of the table: what was done, by whom, how they compare, and whether that is what we ask for."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Sense(StrEnum):
    """What the ratio divides: how many times theirs we take, or how many times ours they take."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True)
class Bar:
    """What we ask of a ratio."""

    sense: Sense
    value: float

    def __str__(self) -> str:
        return f"{self.sense} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """Ours beside one other; `other` empty: a number that stands alone, and is itself held to the bar."""

    work: str
    what: str
    ours: float
    unit: str = "s"
    other: str = ""
    theirs: float | None = None
    bar: Bar | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by theirs, or theirs by ours where more is better; None: nothing to compare with."""
        if self.theirs is None or not self.theirs or not self.ours:
            return None
        if self.bar is not None and self.bar.sense is Sense.AT_LEAST:
            return self.theirs / self.ours
        return self.ours / self.theirs

    @property
    def is_met(self) -> bool | None:
        """None: no bar, or a side that could not take part."""
        if self.bar is None or (self.other and self.theirs is None):
            return None
        theirs = 1 if self.theirs is None else self.theirs
        if self.bar.sense is Sense.AT_MOST:
            return self.ours <= self.bar.value * theirs
        return theirs >= self.bar.value * self.ours

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "bar": str(self.bar) if self.bar else None,
            "ratio": self.ratio,
            "met": self.is_met,
        }


def at_most(value: float) -> Bar:
    return Bar(Sense.AT_MOST, value)


def at_least(value: float) -> Bar:
    return Bar(Sense.AT_LEAST, value)
