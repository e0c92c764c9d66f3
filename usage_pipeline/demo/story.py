"""Months of chat by forty people, the same for the same arguments: `tell()`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from operator import attrgetter
from random import Random
from uuid import UUID

from usage_pipeline.demo import cast
from usage_pipeline.demo.application import Agent, Message, Session, User
from usage_pipeline.demo.shapes import Shape, shapes

ANSWERS_PER_DAY = 250
WEEKDAY_FACTORS = (1.20, 1.25, 1.25, 1.20, 1.05, 0.50, 0.55)
# How likely a conversation is taken up in each hour of the day; some go on past midnight.
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 16, 12, 15, 18, 18, 15, 11, 8, 7, 7, 6, 5, 4)
ANSWERS_PER_SITTING = 4
CONTINUED_RATIO = 0.22
ANONYMOUS_RATIO = 0.03
WITHOUT_SESSION_RATIO = 0.005


@dataclass(frozen=True, slots=True)
class Story:
    """The application's data from the first day's midnight until the last day's end, in UTC."""

    first_day: date
    last_day: date
    users: tuple[User, ...]
    agents: tuple[Agent, ...]
    sessions: tuple[Session, ...]
    messages: tuple[Message, ...]


def tell(last_day: date, days: int = 120, seed: int = 42) -> Story:
    """A story of `days` days that ends with `last_day`; its messages stand in order of time."""
    rng = Random(seed)  # noqa: S311
    first_day = last_day - timedelta(days=days - 1)
    users, agents = cast.users(rng), cast.agents(rng)
    chat = _Chat(rng, users, agents, _midnight(last_day) + timedelta(days=1))
    for day in (first_day + timedelta(days=offset) for offset in range(days)):
        chat.live(day, _answer_count(rng, day, (last_day - day).days / days))
    messages = sorted(chat.messages, key=attrgetter("created_at"))
    return Story(first_day, last_day, users, agents, tuple(chat.sessions), tuple(messages))


@dataclass(slots=True)
class _Conversation:
    id: UUID
    asker_id: UUID
    agent: Agent


@dataclass(slots=True)
class _Chat:
    """The application while it is used: who talks, about what was begun earlier or anew."""

    rng: Random
    users: tuple[User, ...]
    agents: tuple[Agent, ...]
    end: datetime
    sessions: list[Session] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    latest: dict[UUID, _Conversation] = field(default_factory=dict)
    shapes: Iterator[Shape] = field(init=False)

    def __post_init__(self) -> None:
        self.shapes = shapes(self.rng)

    def live(self, day: date, answer_count: int) -> None:
        lengths = tuple(_sitting_lengths(self.rng, answer_count))
        people = self.rng.choices(self.users, cum_weights=_skew(len(self.users)), k=len(lengths))
        for started_at, person, length in zip(self._starts(day, len(lengths)), people, lengths, strict=True):
            self._talk(self._conversation(person, started_at), started_at, length)

    def _starts(self, day: date, count: int) -> Iterable[datetime]:
        """Instants in order, so that no conversation is continued before it begins."""
        hours = self.rng.choices(range(24), HOUR_WEIGHTS, k=count)
        midnight = _midnight(day)
        return (
            midnight + timedelta(hours=hour) for hour in sorted(hour + self.rng.random() for hour in hours)
        )

    def _conversation(self, person: User, started_at: datetime) -> _Conversation:
        if person.id in self.latest and self.rng.random() < CONTINUED_RATIO:
            return self.latest[person.id]
        return self._begin(person, started_at)

    def _begin(self, person: User, started_at: datetime) -> _Conversation:
        chance = self.rng.random()
        anonymous = chance < ANONYMOUS_RATIO
        # A guest writes under an id that no account has; the session then names no user.
        asker_id = cast.random_id(self.rng) if anonymous else person.id
        begun = _Conversation(cast.random_id(self.rng), asker_id, self.rng.choice(self.agents))
        if chance < 1 - WITHOUT_SESSION_RATIO:
            owner_id = None if anonymous else person.id
            session_id = cast.random_id(self.rng)
            self.sessions.append(Session(session_id, begun.id, owner_id, begun.agent.id, started_at))
        if not anonymous:
            self.latest[person.id] = begun
        return begun

    def _talk(self, conversation: _Conversation, asked_at: datetime, length: int) -> None:
        for _ in range(length):
            answered_at = asked_at + timedelta(seconds=2 + 18 * self.rng.random())
            if answered_at >= self.end:
                return
            self.messages.append(self._question(conversation, asked_at))
            self.messages.append(self._answer(conversation, answered_at))
            asked_at = answered_at + timedelta(seconds=15 + 385 * self.rng.random())

    def _question(self, conversation: _Conversation, asked_at: datetime) -> Message:
        message_id = cast.random_id(self.rng)
        return Message(message_id, conversation.id, conversation.asker_id, None, "user", {}, asked_at)

    def _answer(self, conversation: _Conversation, answered_at: datetime) -> Message:
        message_id, agent = cast.random_id(self.rng), conversation.agent
        metadata = next(self.shapes)(self.rng, cast.AGENT_MODELS[agent.name])
        return Message(message_id, conversation.id, None, agent.id, "assistant", metadata, answered_at)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _answer_count(rng: Random, day: date, age_ratio: float) -> int:
    """Adoption grows over the story, from 0.8 to 1.2 times the average."""
    growth = 1.2 - 0.4 * age_ratio
    return max(1, round(ANSWERS_PER_DAY * WEEKDAY_FACTORS[day.weekday()] * growth * rng.uniform(0.9, 1.1)))


def _sitting_lengths(rng: Random, answer_count: int) -> Iterator[int]:
    while answer_count > 0:
        length = min(answer_count, 1 + int(rng.expovariate(1 / (ANSWERS_PER_SITTING - 0.5))))
        answer_count -= length
        yield length


def _skew(count: int) -> tuple[float, ...]:
    """Cumulative weights by Zipf's law: the second person talks half as much as the first."""
    return tuple(accumulate(1 / rank for rank in range(1, count + 1)))
