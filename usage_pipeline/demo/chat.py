"""The application while it is used: who talks, about what was begun earlier or anew."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

from usage_pipeline.demo import cast
from usage_pipeline.demo.application import Agent, Message, Session, User
from usage_pipeline.demo.shapes import Shape, shapes
from usage_pipeline.periods.calendar import midnight

# How likely a conversation is taken up in each hour of the day; some go on past midnight.
HOUR_WEIGHTS: Final = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 16, 12, 15, 18, 18, 15, 11, 8, 7, 7, 6, 5, 4)
ANSWERS_PER_SITTING: Final = 4
CONTINUED_RATIO: Final = 0.22
# One new conversation in so many. Counted, not drawn, and short: by chance a fifth of a Sunday's answers
# would belong to no known user, and the demo would begin with a warning.
GUEST_EVERY: Final = 33
WITHOUT_SESSION_EVERY: Final = 200
STRANGERS_ANSWERS: Final = 2


@dataclass(frozen=True, slots=True)
class _Conversation:
    id: UUID
    asker_id: UUID
    agent: Agent
    has_owner: bool


@dataclass(slots=True)
class Chat:
    """Everybody's conversations until `end`; `gone` says from when on a user or an agent is not there."""

    rng: Random
    users: tuple[User, ...]
    agents: tuple[Agent, ...]
    end: datetime
    gone: Mapping[UUID, datetime]
    sessions: list[Session] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    late_messages: list[Message] = field(default_factory=list)
    latest: dict[UUID, _Conversation] = field(default_factory=dict)
    begun: int = 0
    shapes: Iterator[Shape] = field(init=False)

    def __post_init__(self) -> None:
        self.shapes = shapes(self.rng)

    def live(self, day: date, answer_count: int) -> None:
        """One day of everybody who is there; the second of the users talks half as much as the first."""
        ranks = {user: rank for rank, user in enumerate(self.users, 1) if self._is_there(user, midnight(day))}
        lengths = tuple(_sitting_lengths(self.rng, answer_count))
        people = self.rng.choices(tuple(ranks), [1 / rank for rank in ranks.values()], k=len(lengths))
        for started_at, person, length in zip(self._starts(day, len(lengths)), people, lengths, strict=True):
            conversation = self._conversation(person, started_at)
            length = length if conversation.has_owner else min(length, STRANGERS_ANSWERS)
            self.messages.extend(self._talk(conversation, started_at, length, self._end(conversation)))

    def live_offline(self, day: date, answer_count: int) -> None:
        """What a client without a network adds, until midnight, to conversations of earlier days."""
        begin, end = midnight(day), midnight(day + timedelta(days=1))
        conversations = [each for each in self.latest.values() if self._end(each) > begin]
        lengths = tuple(_sitting_lengths(self.rng, answer_count))
        for started_at, length in zip(self._starts(day, len(lengths)), lengths, strict=True):
            conversation = self.rng.choice(conversations)
            self.late_messages.extend(self._talk(conversation, started_at, length, end))

    def _starts(self, day: date, count: int) -> Iterable[datetime]:
        """Instants in order, so that no conversation is continued before it begins.

        Somebody always talks in the last hour: else the source of a demo that is started late in the evening
        looks silent for longer than it usually is.
        """
        hours = [*self.rng.choices(range(24), HOUR_WEIGHTS, k=count - 1), 23]
        begin = midnight(day)
        return (begin + timedelta(hours=hour) for hour in sorted(hour + self.rng.random() for hour in hours))

    def _conversation(self, person: User, started_at: datetime) -> _Conversation:
        known = self.latest.get(person.id)
        if known and self._end(known) > started_at and self.rng.random() < CONTINUED_RATIO:
            return known
        return self._begin(person, started_at)

    def _begin(self, person: User, started_at: datetime) -> _Conversation:
        self.begun += 1
        is_guest = self.begun % GUEST_EVERY == 0
        has_session = self.begun % WITHOUT_SESSION_EVERY != 0
        owner_id = None if is_guest or not has_session else person.id
        # A guest writes under an id that no account has; the session then names no user.
        asker_id = cast.random_id(self.rng) if is_guest else person.id
        begun = _Conversation(
            cast.random_id(self.rng), asker_id, self._agent(started_at), owner_id is not None
        )
        if has_session:
            session_id = cast.random_id(self.rng)
            self.sessions.append(Session(session_id, begun.id, owner_id, begun.agent.id, started_at))
        if owner_id is not None:
            self.latest[owner_id] = begun
        return begun

    def _agent(self, at: datetime) -> Agent:
        return self.rng.choice([agent for agent in self.agents if self._is_there(agent, at)])

    def _is_there(self, each: User | Agent, at: datetime) -> bool:
        return at < self.gone.get(each.id, self.end)

    def _end(self, conversation: _Conversation) -> datetime:
        """Who is gone does not answer after midnight either, in a conversation of the evening before."""
        ids = (conversation.asker_id, conversation.agent.id)
        return min(self.gone.get(each, self.end) for each in ids)

    def _talk(
        self, conversation: _Conversation, asked_at: datetime, length: int, end: datetime
    ) -> Iterator[Message]:
        for _ in range(length):
            answered_at = asked_at + timedelta(seconds=2 + 18 * self.rng.random())
            if answered_at >= end:
                return
            yield self._question(conversation, asked_at)
            yield self._answer(conversation, answered_at)
            asked_at = answered_at + timedelta(seconds=15 + 385 * self.rng.random())

    def _question(self, conversation: _Conversation, asked_at: datetime) -> Message:
        message_id = cast.random_id(self.rng)
        return Message(message_id, conversation.id, conversation.asker_id, None, "user", {}, asked_at)

    def _answer(self, conversation: _Conversation, answered_at: datetime) -> Message:
        message_id, agent = cast.random_id(self.rng), conversation.agent
        metadata = next(self.shapes)(self.rng, cast.AGENT_MODELS[agent.name])
        return Message(message_id, conversation.id, None, agent.id, "assistant", metadata, answered_at)


def _sitting_lengths(rng: Random, answer_count: int) -> Iterator[int]:
    while answer_count > 0:
        length = min(answer_count, 1 + int(rng.expovariate(1 / (ANSWERS_PER_SITTING - 0.5))))
        answer_count -= length
        yield length
