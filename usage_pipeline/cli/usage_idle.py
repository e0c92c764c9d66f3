"""What `usage tokens` says where it shows no usage at all."""

from typing import TYPE_CHECKING

from usage_pipeline import settings
from usage_pipeline.cli.usage_answer import Answer
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.serving import people, periods

if TYPE_CHECKING:
    from usage_pipeline.serving.activity import Activity


def words(answer: Answer) -> str:
    """When the last one was, and the command that shows it."""
    last, covered = answer.last, answer.covered
    who = f" of {answer.person.name}" if answer.person else ""
    if last is None:
        return f"No usage{who} is stored in any period."
    what = "last activity" if answer.person else "newest usage"
    shown = f"No usage{who} is stored from {covered.first} to {covered.last}"
    return f"{shown}; the {what} stored is of {last.day}: {_shows(answer, last)}"


def _shows(answer: Answer, last: "Activity") -> str:
    """The periods up to a day, of which the first day must let one be asked for."""
    if periods.last_day(last.grain, last.day) < answer.begins:
        return f"{settings.program()} sources start {last.day}"
    grain = "" if last.grain is Grain.DAILY else f" --grain {last.grain}"
    return f"{settings.program()} usage tokens{_user(answer)}{grain} --to {last.day}"


def _user(answer: Answer) -> str:
    """By id: a name may be part of another."""
    if answer.person is None:
        return ""
    is_nobody = answer.person.user_id == people.NOBODY
    return f" --user {'unattributed' if is_nobody else answer.person.user_id}"
