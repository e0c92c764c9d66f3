"""When things happen: always inside the story, in order, and never on top of each other."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from usage_pipeline.demo import chapters, story
from usage_pipeline.demo.chapters import Chapter

LAST_DAY = date(2026, 3, 31)


def begun(days: int, last_day: date) -> dict[str, Chapter]:
    found = chapters.between(last_day - timedelta(days=days - 1), last_day)
    return {chapter.happening: chapter for chapter in found}


@pytest.mark.parametrize("weekday", range(7))
def test_chapters_of_any_length_fit(weekday: int) -> None:
    """A launch in the holiday would hide both; a late day outside the story would never be compared."""
    last_day = LAST_DAY + timedelta(days=weekday)
    for days in range(chapters.FEWEST_DAYS, 500):
        first_day, found = last_day - timedelta(days=days - 1), begun(days, last_day)
        assert list(found) == ["launch", "deletion", "departure", "holiday", "offline"]
        assert all(a.first_day <= b.first_day for a, b in pairwise(found.values())), days
        assert all(first_day <= each.first_day <= each.last_day <= last_day for each in found.values()), days
        bounded = [found["launch"], found["holiday"], found["offline"]]
        assert all(a.last_day < b.first_day for a, b in pairwise(bounded)), days


def test_chapters_of_the_demo() -> None:
    """What `demo` announces: a week from Monday to Sunday, ten days, three days that just ended."""
    found = begun(400, LAST_DAY)
    lengths = {name: (each.last_day - each.first_day).days + 1 for name, each in found.items()}
    assert (lengths["launch"], lengths["holiday"], lengths["offline"]) == (7, 10, 3)
    assert found["launch"].first_day.weekday() == 0
    assert found["offline"].last_day == LAST_DAY - timedelta(days=2)
    assert found["deletion"].last_day == found["departure"].last_day == LAST_DAY


@pytest.mark.parametrize("days", [1, 2, 7, chapters.FEWEST_DAYS - 1])
def test_a_few_days_are_told_without_chapters(days: int) -> None:
    told = story.tell(LAST_DAY, days)
    assert (told.chapters, told.late_messages) == ((), ())
    assert len({message.created_at.date() for message in told.messages if message.created_at}) == days
