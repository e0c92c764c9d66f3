"""Four hundred days of chat by forty people, the same for the same arguments: `tell()`.

A launch week, an agent that is deleted, a person who leaves, a quiet holiday, and messages that come in
late: `chapters` says when. What is late stands apart, for whoever loads the story to bring it afterwards.
Later days are added by `continued()`, which changes nothing of the days before them.
"""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from random import Random
from typing import Final
from uuid import UUID

from usage_pipeline.demo import cast, chapters
from usage_pipeline.demo.application import Agent, Message, Session, User
from usage_pipeline.demo.chapters import Chapter, Happening
from usage_pipeline.demo.chat import Chat
from usage_pipeline.periods.calendar import midnight

ANSWERS_PER_DAY: Final = 250
LATE_ANSWERS_PER_DAY: Final = 30
WEEKDAY_FACTORS: Final = (1.20, 1.25, 1.25, 1.20, 1.05, 0.50, 0.55)


@dataclass(frozen=True, slots=True)
class Story:
    """The application's data from the first day's midnight until the last day's end, in UTC."""

    first_day: date
    last_day: date
    seed: int
    chapters: tuple[Chapter, ...]
    users: tuple[User, ...]
    agents: tuple[Agent, ...]
    sessions: tuple[Session, ...]
    messages: tuple[Message, ...]
    late_messages: tuple[Message, ...]

    @property
    def all_messages(self) -> tuple[Message, ...]:
        """What is there at first and what comes in late."""
        return self.messages + self.late_messages

    def chapter(self, happening: Happening) -> Chapter | None:
        """When it happens; a short story leaves everything out."""
        return next((each for each in self.chapters if each.happening == happening), None)


def tell(last_day: date, days: int = 400, seed: int = 42) -> Story:
    """A story of `days` days that ends with `last_day`; its messages stand in order of time."""
    first_day = last_day - timedelta(days=days - 1)
    told = chapters.between(first_day, last_day)
    rng = Random(seed)  # noqa: S311
    users, agents = cast.users(rng), cast.agents(rng)
    gone = _gone(told, users, agents)
    chat = Chat(rng, users, agents, midnight(last_day + timedelta(days=1)), gone)
    with _without_collection():
        for day in (first_day + timedelta(days=offset) for offset in range(days)):
            if _is_offline(told, day):
                chat.live_offline(day, LATE_ANSWERS_PER_DAY)
            chat.live(day, _answer_count(rng, told, day, (last_day - day).days / days))
        return Story(
            first_day,
            last_day,
            seed,
            told,
            users,
            agents=tuple(agent for agent in agents if agent.id not in gone),
            sessions=tuple(_remembered(session, gone) for session in chat.sessions),
            messages=_in_order(chat.messages),
            late_messages=_in_order(chat.late_messages),
        )


def continued(told: Story, last_day: date) -> Story:
    """The story with the days since, up to `last_day`; no chapter begins in them.

    Each new day ends at its midnight, so that it is the same however many days follow it.
    """
    if last_day <= told.last_day:
        return told
    rng = Random(f"{told.seed} continued")  # noqa: S311
    gone = _gone(told.chapters, told.users, told.agents)
    chat = Chat(rng, told.users, told.agents, midnight(told.last_day), gone)
    with _without_collection():
        for offset in range(1, (last_day - told.last_day).days + 1):
            day = told.last_day + timedelta(days=offset)
            chat.end = midnight(day + timedelta(days=1))
            chat.live(day, _answer_count(rng, (), day, 0))
        return replace(
            told,
            last_day=last_day,
            sessions=told.sessions + tuple(chat.sessions),
            messages=told.messages + _in_order(chat.messages),
        )


@contextmanager
def _without_collection() -> Iterator[None]:
    """A story is a million objects and no garbage: to search them for it took nearly half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _gone(told: Iterable[Chapter], users: Iterable[User], agents: Iterable[Agent]) -> dict[UUID, datetime]:
    """From when on the person who leaves and the agent that is deleted are not there."""
    since = {chapter.happening: midnight(chapter.first_day) for chapter in told}
    if not since:
        return {}
    left = {user.id: since["departure"] for user in users if user.full_name == chapters.WHO_LEAVES}
    deleted = {agent.id: since["deletion"] for agent in agents if agent.name == chapters.DELETED_AGENT}
    return {**left, **deleted}


def _is_offline(told: Iterable[Chapter], day: date) -> bool:
    return any(chapter.happening == "offline" and day in chapter for chapter in told)


def _remembered(session: Session, gone: Mapping[UUID, datetime]) -> Session:
    """The session as it is in the end: `on delete set null`."""
    return replace(session, agent_id=None) if session.agent_id in gone else session


def _in_order(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(sorted(messages, key=attrgetter("created_at")))


def _answer_count(rng: Random, told: Iterable[Chapter], day: date, age_ratio: float) -> int:
    """Adoption grows over the story, from 0.8 to 1.2 times the average."""
    growth = 1.2 - 0.4 * age_ratio
    factor = WEEKDAY_FACTORS[day.weekday()] * chapters.factor(told, day)
    return max(1, round(ANSWERS_PER_DAY * factor * growth * rng.uniform(0.9, 1.1)))
