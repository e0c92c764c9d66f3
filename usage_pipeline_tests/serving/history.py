"""A small history, computed by the rollups themselves at every grain."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from uuid import UUID, uuid4

import psycopg

from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.rollups.rollup import Outcome
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import filled
from usage_pipeline_tests.factories import BY_GRAIN, Chat, set_clock, set_policy

ROLLUPS: Final = BY_GRAIN
START: Final = date(2025, 12, 24)
"""A Wednesday, in 2025-W52."""


@dataclass
class History:
    """Answers of a chat, and what is computed from them, at a time that the test sets."""

    chat: Chat
    warehouse: Warehouse

    def __post_init__(self) -> None:
        with self.warehouse.begin(Role.WRITER) as connection:
            set_policy(connection, first_day=START, grace_days=7)

    def clock(self, day: date, hour: int = 12) -> None:
        set_clock(self.chat.connection, datetime(day.year, day.month, day.day, hour, tzinfo=UTC))

    def answers(
        self, days: Sequence[date], *, user: UUID | None = None, conversation: UUID | None = None
    ) -> None:
        """One answer a day, 15 tokens each, in one conversation; of a given user whoever owns it."""
        conversation = conversation or uuid4()
        for day in days:
            at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
            self.chat.answer(at=at, conversation_id=conversation, sender_user_id=user)

    def compute(self, grain: Grain, first: date, last: date | None = None) -> list[Outcome]:
        asked = list(windows(grain, first, last or first))
        ROLLUPS[grain].ensure_partitions(self.warehouse, asked[0], asked[-1])
        return [ROLLUPS[grain].compute(self.warehouse, each, "test") for each in asked]

    def compute_all(self, last: date) -> None:
        """Every period of every grain from the first day on."""
        for grain in ROLLUPS:
            self.compute(grain, START, last)


Templates = Callable[[Callable[[History], None]], str]
"""The database with the history that a function makes."""


@contextmanager
def made_once(server: Server, make: Callable[[History], None]) -> Iterator[str]:
    """A database with a history that many tests clone."""
    with filled(server, lambda chat, warehouse: make(History(chat, warehouse))) as name:
        yield name


@contextmanager
def made_once_each(server: Server) -> Iterator[Templates]:
    """A database for each history that is asked for."""
    with ExitStack() as stack:
        yield cache(lambda make: stack.enter_context(made_once(server, make)))


def prune_days(connection: psycopg.Connection, first: date, last: date) -> None:
    """What the retention does to days, as the server's owner may."""
    until = last + timedelta(days=1)
    connection.execute("set session_replication_role = replica")
    connection.execute(
        "update usage.rollup_ledger set state = 'pruned'"
        " where rollup = 'tokens_daily' and period_start >= %s and period_start < %s",
        [first, until],
    )
    connection.execute(
        "delete from usage.user_token_usage"
        " where period_type = 'daily' and period_start >= %s and period_start < %s",
        [first, until],
    )
    connection.execute("reset session_replication_role")
