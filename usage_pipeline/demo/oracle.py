"""What must be stored, computed once more in plain Python: the days of each user, and their counts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from usage_pipeline.demo.application import Message, Session
from usage_pipeline.demo.metering import Usage, read_usage

__all__ = [
    "NOBODY",
    "Counts",
    "Day",
    "Usage",
    "counts",
    "read_usage",
    "tokens_daily",
    "tokens_daily_and_counts",
]

Key = TypeVar("Key")

NOBODY = UUID(int=0)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Day:
    """What one user spent on one UTC day; ids stand in the order of their bytes."""

    total_prompt_tokens: int
    total_completion_tokens: int
    total_tokens: int
    message_count: int
    conversation_count: int
    agent_ids: tuple[UUID, ...]
    last_activity: datetime
    unmetered_message_count: int
    refused_message_count: int
    conversation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """The answers of one UTC day, by owner and by what they reported."""

    source_rows: int
    unattributed_rows: int
    reported_rows: int
    total_only_rows: int
    unmetered_rows: int
    refused_rows: int


@dataclass(frozen=True, slots=True)
class _Answer:
    at: datetime
    user_id: UUID
    agent_id: UUID | None
    conversation_id: UUID
    usage: Usage


def tokens_daily(
    messages: Iterable[Message], sessions: Iterable[Session], *, now: datetime
) -> dict[tuple[date, UUID], Day]:
    """One `Day` for each UTC date and user with an answer; `NOBODY` holds the unattributed ones."""
    return tokens_daily_and_counts(messages, sessions, now=now)[0]


def counts(messages: Iterable[Message], sessions: Iterable[Session], *, now: datetime) -> dict[date, Counts]:
    """The `Counts` of each UTC date with an answer."""
    return tokens_daily_and_counts(messages, sessions, now=now)[1]


def tokens_daily_and_counts(
    messages: Iterable[Message], sessions: Iterable[Session], *, now: datetime
) -> tuple[dict[tuple[date, UUID], Day], dict[date, Counts]]:
    """Both, with what each answer says about its usage read once."""
    answers = list(_answers(messages, sessions, now))
    users = _grouped(answers, lambda answer: (answer.at.date(), answer.user_id))
    days = _grouped(answers, lambda answer: answer.at.date())
    return (
        {key: _day(group) for key, group in users.items()},
        {day: _counts(group) for day, group in days.items()},
    )


def _grouped(answers: Iterable[_Answer], key: Callable[[_Answer], Key]) -> dict[Key, list[_Answer]]:
    groups: dict[Key, list[_Answer]] = defaultdict(list)
    for answer in answers:
        groups[key(answer)].append(answer)
    return groups


def _answers(messages: Iterable[Message], sessions: Iterable[Session], now: datetime) -> Iterator[_Answer]:
    """The model's answers that belong to a day, with the user and agent they count for."""
    owners = _owners(sessions)
    for message in messages:
        at = message.created_at
        if message.role == "assistant" and at is not None and EARLIEST <= at < now + timedelta(days=1):
            yield _answer(message, at.astimezone(UTC), owners.get(message.conversation_id))


def _answer(message: Message, at: datetime, session: Session | None) -> _Answer:
    user_id = _first(message.sender_user_id, session.user_id if session else None)
    agent_id = _first(message.sender_agent_id, session.agent_id if session else None)
    usage = read_usage(message.metadata)
    return _Answer(at, NOBODY if user_id is None else user_id, agent_id, message.conversation_id, usage)


def _first(written: UUID | None, inherited: UUID | None) -> UUID | None:
    return inherited if written is None else written


def _owners(sessions: Iterable[Session]) -> dict[UUID, Session]:
    """The one session that owns each conversation: user and agent both come from it."""
    owners: dict[UUID, Session] = {}
    for session in sessions:
        known = owners.setdefault(session.conversation_id, session)
        if _precedence(session) < _precedence(known):
            owners[session.conversation_id] = session
    return owners


def _precedence(session: Session) -> tuple[bool, bool, datetime, UUID]:
    started_at = session.started_at
    return session.user_id is None, started_at is None, started_at or EARLIEST, session.id


def _day(answers: list[_Answer]) -> Day:
    conversation_ids = tuple(sorted({answer.conversation_id for answer in answers}))
    return Day(
        total_prompt_tokens=sum(answer.usage.prompt or 0 for answer in answers),
        total_completion_tokens=sum(answer.usage.completion or 0 for answer in answers),
        total_tokens=sum(answer.usage.total or 0 for answer in answers),
        message_count=len(answers),
        conversation_count=len(conversation_ids),
        agent_ids=tuple(sorted({answer.agent_id for answer in answers if answer.agent_id is not None})),
        last_activity=max(answer.at for answer in answers),
        unmetered_message_count=_state_count(answers, "missing"),
        refused_message_count=_state_count(answers, "refused"),
        conversation_ids=conversation_ids,
    )


def _counts(answers: list[_Answer]) -> Counts:
    return Counts(
        source_rows=len(answers),
        unattributed_rows=sum(answer.user_id == NOBODY for answer in answers),
        reported_rows=_state_count(answers, "reported"),
        total_only_rows=_state_count(answers, "total_only"),
        unmetered_rows=_state_count(answers, "missing"),
        refused_rows=_state_count(answers, "refused"),
    )


def _state_count(answers: list[_Answer], state: str) -> int:
    return sum(answer.usage.state == state for answer in answers)
