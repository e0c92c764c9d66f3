"""What happens in the story and when, as data: it can be announced, and tested.

- launch: a product goes live, for a week people ask three times as much as usual
- deletion: an agent is deleted, its row goes, its sessions lose it, what it answered still names it
- departure: one of the most active people leaves, the account and the profile stay
- holiday: next to nothing for ten days
- offline: a mobile client has no network for three days and sends its messages after everything else
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from math import prod
from typing import Final, Literal

Happening = Literal["launch", "deletion", "departure", "holiday", "offline"]

FEWEST_DAYS: Final = 14
WHO_LEAVES: Final = "Alan Turing"
DELETED_AGENT: Final = "Meeting Scribe"


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something that goes on from one day to another, both inclusive, and the sentence that tells it."""

    happening: Happening
    first_day: date
    last_day: date
    sentence: str
    factor: float = 1.0  # how many times the usual number of answers

    def __contains__(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day


def between(first_day: date, last_day: date) -> tuple[Chapter, ...]:
    """The chapters in order of time; below 100 days they are shorter, below two weeks there are none."""
    count = (last_day - first_day).days + 1
    if count < FEWEST_DAYS:
        return ()
    left = f"{WHO_LEAVES} has left: no answer from here on, the account stays"
    deleted = f"{DELETED_AGENT} is deleted: no answer from here on, the past stays counted"
    return (
        _launch(first_day, count),
        Chapter("deletion", first_day + timedelta(days=count // 2), last_day, deleted),
        Chapter("departure", first_day + timedelta(days=2 * count // 3), last_day, left),
        _holiday(first_day, count),
        _offline(last_day, count),
    )


def factor(chapters: Iterable[Chapter], day: date) -> float:
    """How many times the usual number of answers a day brings."""
    return prod(chapter.factor for chapter in chapters if day in chapter)


def _launch(first_day: date, count: int) -> Chapter:
    """A launch is on a Monday, so that it also stands out among the weeks."""
    day = first_day + timedelta(days=3 * count // 10)
    monday = max(first_day, day - timedelta(days=day.weekday()))
    end = monday + timedelta(days=_length(7, count) - 1)
    return Chapter("launch", monday, end, "launch week: three times the usual", 3.0)


def _holiday(first_day: date, count: int) -> Chapter:
    begin = first_day + timedelta(days=7 * count // 10)
    end = begin + timedelta(days=_length(10, count) - 1)
    return Chapter("holiday", begin, end, "holiday: next to nothing", 0.04)


def _offline(last_day: date, count: int) -> Chapter:
    end = last_day - timedelta(days=2)
    begin = end - timedelta(days=_length(3, count) - 1)
    return Chapter("offline", begin, end, "a mobile client is offline: its messages come in after all others")


def _length(most: int, count: int) -> int:
    return min(most, count // 10)
