"""What one user has of a period, in plain Python: added up from answers, or from the rows below."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

NOBODY: Final = UUID(int=0)


ADDED: Final = ("prompt", "completion", "total", "messages", "unmetered", "refused")
"""The first columns of a row."""


class Usage(NamedTuple):
    """What one answer has spent, and how it says so."""

    prompt: int
    completion: int
    total: int
    state: str


class Owner(NamedTuple):
    """Whose conversation it is; without a user, nobody's."""

    user: UUID | None
    agent: UUID | None


class Answer(NamedTuple):
    """One answer as the application holds it."""

    conversation: UUID
    sender: Owner
    at: datetime
    usage: Usage


Measure: TypeAlias = tuple[int, int, int]
"""Messages, conversations and tokens."""


class Row(NamedTuple):
    """One stored row, in the order of its columns; `conversations` only where coarser counts need them."""

    prompt: int
    completion: int
    total: int
    messages: int
    unmetered: int
    refused: int
    conversation_count: int
    conversations: frozenset[UUID] | None
    agents: frozenset[UUID]
    last_activity: datetime

    def holds_no_less_than(self, other: "Row") -> bool:
        """No fewer messages, conversations and tokens: nothing that was stored would be lost."""
        return all(mine >= theirs for mine, theirs in zip(self.measure, other.measure, strict=True))

    @property
    def counts(self) -> tuple[int, ...]:
        """What differs between what is stored and its source, where one stays behind the other."""
        return *self.measure, self.unmetered, self.refused

    @property
    def measure(self) -> Measure:
        return self.messages, self.conversation_count, self.total


Rows = Mapping[UUID, Row]


def of_answers(answers: Iterable[Answer], owners: Mapping[UUID, Owner], *, keeps: bool) -> Rows:
    """What raw rows come to; what the answer does not say, the owner of its conversation does."""
    found: dict[UUID, list[tuple[Answer, UUID | None]]] = {}
    for answer in answers:
        owner = owners.get(answer.conversation, Owner(None, None))
        user = answer.sender.user or owner.user or NOBODY
        found.setdefault(user, []).append((answer, answer.sender.agent or owner.agent))
    return {user: _of_one_user(mine, keeps=keeps) for user, mine in found.items()}


def of_periods(parts: Iterable[Rows], *, keeps: bool) -> Rows:
    """What stands below, added up; conversations and agents are counted once."""
    found: dict[UUID, list[Row]] = {}
    for rows in parts:
        for user, row in rows.items():
            found.setdefault(user, []).append(row)
    return {user: _sum(mine, keeps=keeps) for user, mine in found.items()}


def totals(rows: Iterable[Row]) -> dict[str, int]:
    """What the ledger adds up of a period, of all that adds up from one grain to the next."""
    sums = [0] * len(ADDED)
    for row in rows:
        sums = [held + more for held, more in zip(sums, row[:6], strict=True)]
    return dict(zip(ADDED, sums, strict=True))


def message_count(rows: Rows) -> int:
    return sum(row.messages for row in rows.values())


def _of_one_user(mine: list[tuple[Answer, UUID | None]], *, keeps: bool) -> Row:
    usages = [answer.usage for answer, _ in mine]
    conversations = frozenset(answer.conversation for answer, _ in mine)
    return Row(
        sum(usage.prompt for usage in usages),
        sum(usage.completion for usage in usages),
        sum(usage.total for usage in usages),
        len(mine),
        sum(usage.state == "missing" for usage in usages),
        sum(usage.state == "refused" for usage in usages),
        len(conversations),
        conversations if keeps else None,
        frozenset(agent for _, agent in mine if agent),
        max(answer.at for answer, _ in mine),
    )


def _sum(mine: list[Row], *, keeps: bool) -> Row:
    conversations = frozenset[UUID]().union(*(row.conversations or () for row in mine))
    return Row(
        sum(row.prompt for row in mine),
        sum(row.completion for row in mine),
        sum(row.total for row in mine),
        sum(row.messages for row in mine),
        sum(row.unmetered for row in mine),
        sum(row.refused for row in mine),
        len(conversations),
        conversations if keeps else None,
        frozenset[UUID]().union(*(row.agents for row in mine)),
        max(row.last_activity for row in mine),
    )
