"""What must be stored, computed once more in plain Python: each user's periods, and their counts."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from usage_pipeline.demo.application import Message, Session
from usage_pipeline.demo.metering import Usage, read_usage
from usage_pipeline.periods.calendar import Grain, floor

__all__ = [
    "GRAINS",
    "NOBODY",
    "Computed",
    "Counts",
    "Period",
    "Usage",
    "counts",
    "everything",
    "read_usage",
    "tokens",
]

Key = TypeVar("Key")

NOBODY = UUID(int=0)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
KEEPS_CONVERSATIONS: Final = {
    Grain.DAILY: True,
    Grain.WEEKLY: False,
    Grain.MONTHLY: True,
    Grain.YEARLY: False,
}
GRAINS: Final = tuple(KEEPS_CONVERSATIONS)


@dataclass(frozen=True, slots=True)
class Period:
    """What one user spent in one period; ids stand in the order of their bytes."""

    total_prompt_tokens: int
    total_completion_tokens: int
    total_tokens: int
    message_count: int
    conversation_count: int
    agent_ids: tuple[UUID, ...]
    last_activity: datetime
    unmetered_message_count: int
    refused_message_count: int
    conversation_ids: tuple[UUID, ...] | None


@dataclass(frozen=True, slots=True)
class Counts:
    """The answers of one period, by owner and by what they reported."""

    source_rows: int
    unattributed_rows: int
    reported_rows: int
    total_only_rows: int
    unmetered_rows: int
    refused_rows: int


@dataclass(frozen=True, slots=True)
class Computed:
    """One grain: what each user spent, and the counts, by the first day of the period."""

    periods: dict[tuple[date, UUID], Period]
    counts: dict[date, Counts]


@dataclass(frozen=True, slots=True)
class _Answer:
    at: datetime
    user_id: UUID
    agent_id: UUID | None
    conversation_id: UUID
    usage: Usage


def tokens(
    grain: Grain, messages: Iterable[Message], sessions: Iterable[Session], *, now: datetime
) -> dict[tuple[date, UUID], Period]:
    """One `Period` for each first day and user with an answer; `NOBODY` holds the unattributed ones."""
    return everything(messages, sessions, now=now, grains=[grain])[grain].periods


def counts(
    grain: Grain, messages: Iterable[Message], sessions: Iterable[Session], *, now: datetime
) -> dict[date, Counts]:
    """The `Counts` of each period with an answer, by its first day."""
    return everything(messages, sessions, now=now, grains=[grain])[grain].counts


def everything(
    messages: Iterable[Message],
    sessions: Iterable[Session],
    *,
    now: datetime,
    grains: Collection[Grain] = GRAINS,
) -> dict[Grain, Computed]:
    """Rows and counts of each grain, always from the answers; their metadata is read once for all grains."""
    answers = list(_answers(messages, sessions, now))
    return {grain: _computed(grain, answers) for grain in grains}


def _computed(grain: Grain, answers: Sequence[_Answer]) -> Computed:
    keeps_conversations = KEEPS_CONVERSATIONS[grain]
    first_days = {day: floor(grain, day) for day in {answer.at.date() for answer in answers}}
    periods = _grouped(answers, lambda answer: first_days[answer.at.date()])
    users = _grouped(answers, lambda answer: (first_days[answer.at.date()], answer.user_id))
    return Computed(
        {key: _period(group, keeps_conversations) for key, group in users.items()},
        {day: _counts(group) for day, group in periods.items()},
    )


def _grouped(answers: Iterable[_Answer], key: Callable[[_Answer], Key]) -> dict[Key, list[_Answer]]:
    groups: dict[Key, list[_Answer]] = defaultdict(list)
    for answer in answers:
        groups[key(answer)].append(answer)
    return groups


def _answers(messages: Iterable[Message], sessions: Iterable[Session], now: datetime) -> Iterator[_Answer]:
    """The model's answers that belong to a period, with the user and agent they count for."""
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


def _period(answers: list[_Answer], keeps_conversations: bool) -> Period:
    conversation_ids = {answer.conversation_id for answer in answers}
    return Period(
        total_prompt_tokens=sum(answer.usage.prompt or 0 for answer in answers),
        total_completion_tokens=sum(answer.usage.completion or 0 for answer in answers),
        total_tokens=sum(answer.usage.total or 0 for answer in answers),
        message_count=len(answers),
        conversation_count=len(conversation_ids),
        agent_ids=tuple(sorted({answer.agent_id for answer in answers if answer.agent_id is not None})),
        last_activity=max(answer.at for answer in answers),
        unmetered_message_count=_state_count(answers, "missing"),
        refused_message_count=_state_count(answers, "refused"),
        conversation_ids=tuple(sorted(conversation_ids)) if keeps_conversations else None,
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
