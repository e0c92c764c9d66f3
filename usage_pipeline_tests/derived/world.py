"""A database in which history after history happens: emptied before each, read as plain values."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from usage_pipeline.engine import functions, prove
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.derived import rungs
from usage_pipeline_tests.derived.rows import Answer, Owner, Row, Usage
from usage_pipeline_tests.derived.rungs import GRAINS, Period
from usage_pipeline_tests.factories import set_clock, tokens_of

USERS: Final = tuple(UUID(int=number) for number in (1, 2))
AGENTS: Final = tuple(UUID(int=number) for number in (11, 12))
CONVERSATIONS: Final = tuple(UUID(int=number) for number in (21, 22, 23))
EARLIEST: Final = date(2025, 11, 1)
LATEST: Final = date(2026, 6, 30)
SEED_CALL: Final = "select usage.aggregate_user_token_usage(%(user)s, %(start)s, %(end)s, %(grain)s)"
SPOKEN: Final[Mapping[Usage, object]] = {
    Usage(3, 2, 5, "reported"): {
        "processingDetails": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    },
    Usage(1, 0, 1, "reported"): {"processingDetails": {"prompt_tokens": 1}},
    Usage(4, 1, 7, "reported"): {
        "processingDetails": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 7}
    },
    Usage(0, 0, 6, "total_only"): {"tokens": 6},
    Usage(0, 0, 0, "missing"): {},
    Usage(0, 0, 0, "refused"): {"processingDetails": {"prompt_tokens": "abc"}},
}
"""How the application writes each usage down."""


class Stored(NamedTuple):
    """One stored row and the version that the database gave it when it was last written."""

    row: Row
    version: str


@dataclass(frozen=True)
class Recorded:
    """What the ledger says of one period."""

    state: str
    covered_until: datetime
    sealed_at: datetime | None
    source_rows: int | None
    states: Mapping[str, int]
    stored_rows: int
    kept_rows: int
    kept: Mapping[str, Any]
    below: Mapping[str, str]
    hourly_rows: Sequence[int] | None
    message_count: int
    checksum: str


class World:
    """The database; raw rows and the clock are set as its superuser, periods are run as the writer."""

    def __init__(self, server: Server, database: str) -> None:
        self.postgres = server.connect(database)
        self.postgres.execute("set timezone = 'UTC'")
        self.warehouse = Warehouse(server.url(database), connections=1)
        self.rollups = {grain: tokens_of(grain) for grain in GRAINS}
        self._prepare()

    def _prepare(self) -> None:
        """Whoever may appear is there, and every partition."""
        self.postgres.execute("insert into auth.users (id) select unnest(%s::uuid[])", [list(USERS)])
        self.postgres.execute(
            "insert into public.agents (id, name) select id, 'Agent' from unnest(%s::uuid[]) id",
            [list(AGENTS)],
        )
        for grain, rollup in self.rollups.items():
            whole = rungs.span(grain, EARLIEST, LATEST)
            rollup.ensure_partitions(self.warehouse, whole[0].window, whole[-1].window)
        self.install(functions.ladder(FAMILIES).text)  # with what `prove` says now
        self._plan_once()

    def _plan_once(self) -> None:
        """Planning is most of the time of a small run, and plans have tests of their own."""
        found = self.postgres.execute(
            "select oid::regprocedure::text from pg_proc"
            " where proconfig @> '{plan_cache_mode=force_custom_plan}'"
        )
        for (function,) in found.fetchall():
            self.postgres.execute(f"alter function {function} set plan_cache_mode = force_generic_plan")

    def install(self, functions: str) -> None:
        """The text of a file of functions in place of what it says now."""
        self.postgres.execute(functions.encode())
        self._plan_once()
        self.warehouse.dispose()

    def close(self) -> None:
        self.postgres.close()
        self.warehouse.dispose()

    def empty(self, owners: Mapping[UUID, Owner]) -> None:
        """Nothing has ever been computed or said; each conversation has its owner."""
        with self._unguarded():
            for table in (
                "usage.user_token_usage", "usage.rollup_ledger", "usage.restatements", "usage.source_horizon",
                "public.chat_messages_v2", "public.conversation_sessions",
            ):  # fmt: skip
                self.postgres.execute(f"delete from {table}")  # noqa: S608
        with self.postgres.cursor() as cursor:
            cursor.executemany(
                "insert into public.conversation_sessions (id, conversation_id, user_id, agent_id)"
                " values (%s, %s, %s, %s)",
                [(conversation, conversation, *owner) for conversation, owner in owners.items()],
            )

    def set_clock(self, instant: datetime) -> None:
        set_clock(self.postgres, instant)

    def set_policy(self, first_day: date, grace_days: int) -> None:
        self.postgres.execute(
            "insert into usage.rollup_policy (family, first_day, grace_days) values ('tokens', %s, %s)"
            " on conflict (family) do update"
            " set first_day = excluded.first_day, grace_days = excluded.grace_days",
            [first_day, grace_days],
        )

    def set_horizon(self, begins_at: datetime) -> None:
        self.postgres.execute(
            "insert into usage.source_horizon (family, begins_at) values ('tokens', %s)"
            " on conflict (family) do update set begins_at = excluded.begins_at",
            [begins_at],
        )

    def set_owner(self, conversation: UUID, owner: Owner) -> None:
        self.postgres.execute(
            "update public.conversation_sessions set user_id = %s, agent_id = %s where conversation_id = %s",
            [*owner, conversation],
        )

    def write(self, answers: Mapping[UUID, Answer]) -> None:
        """Each answer as it is now, new or changed."""
        with self.postgres.cursor() as cursor:
            cursor.executemany(
                "insert into public.chat_messages_v2 (id, conversation_id, sender_user_id, sender_agent_id,"
                " role, content, metadata, created_at) values (%s, %s, %s, %s, 'assistant', '{}', %s, %s)"
                " on conflict (id) do update"
                " set metadata = excluded.metadata, created_at = excluded.created_at",
                [
                    (number, answer.conversation, *answer.sender, Jsonb(SPOKEN[answer.usage]), answer.at)
                    for number, answer in answers.items()
                ],
            )

    def delete(self, numbers: Sequence[UUID]) -> None:
        self.postgres.execute("delete from public.chat_messages_v2 where id = any (%s)", [list(numbers)])

    def call(self, user: UUID, period: Period) -> None:
        """The seed's function, as an application's developer calls it."""
        with self.warehouse.begin(Role.WRITER) as connection:
            connection.exec_driver_sql(
                SEED_CALL,
                {"user": user, "start": period.start, "end": period.end, "grain": period.grain.value},
            )

    def prune(self, periods: Sequence[Period]) -> None:
        """What retention leaves behind, without asking anything."""
        with self._unguarded():
            for period in periods:
                self.postgres.execute(
                    "delete from usage.user_token_usage where period_type = %s and period_start = %s",
                    [period.grain.value, period.start],
                )
                self.postgres.execute(
                    "update usage.rollup_ledger set state = 'pruned', pruned_at = usage_private.now()"
                    " where rollup = %s and period_start = %s",
                    [period.rollup, period.start],
                )

    def stored(self) -> dict[tuple[Period, UUID], Stored]:
        found = self.postgres.execute(
            "select period_type, period_start, user_id, xmin::text, total_prompt_tokens,"
            " total_completion_tokens, total_tokens, message_count, unmetered_message_count,"
            " refused_message_count, conversation_count, conversation_ids, agent_ids, last_activity"
            " from usage.user_token_usage"
        )
        return {
            (rungs.of(Grain(grain), start.date()), user): Stored(_row(values), version)
            for grain, start, user, version, *values in found
        }

    def ledger(self) -> dict[Period, Recorded]:
        found = self.postgres.execute(
            "select rollup, period_start, state, covered_until, sealed_at, source_rows, states,"
            " stored_rows, kept_rows, kept, below, hourly_rows,"
            " (totals ->> 'message_count')::bigint, checksum from usage.rollup_ledger"
        )
        return {
            rungs.of(Grain(rollup.removeprefix("tokens_")), start.date()): Recorded(*values)
            for rollup, start, *values in found
        }

    def restatements(self) -> list[tuple[str, date, UUID, int | None, int | None, str]]:
        """Rollup, period, user, tokens before and after, reason; oldest first."""
        found = self.postgres.execute(
            "select rollup, period_start, (key ->> 'user_id')::uuid, (before ->> 'total_tokens')::bigint,"
            " (after ->> 'total_tokens')::bigint, reason from usage.restatements order by id"
        )
        return [(rollup, start.date(), *rest) for rollup, start, *rest in found]

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        self.postgres.execute("set session_replication_role = replica")
        yield
        self.postgres.execute("set session_replication_role = origin")


@contextmanager
def opened(server: Server) -> Iterator[World]:
    """A world of its own, dropped at the end."""
    with cloned(server, TEMPLATE) as database, pytest.MonkeyPatch.context() as patch:
        patch.setattr(prove, "LEAST_ROWS", 3)
        world = World(server, database)
        try:
            yield world
        finally:
            world.close()


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _row(values: Sequence[Any]) -> Row:
    *counts, conversations, agents, last_activity = values
    ids = None if conversations is None else frozenset(conversations)
    return Row._make((*counts, ids, frozenset(agents), last_activity))
