"""Rows of the application as a test wants them, with everything it does not name filled in."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import Connection

from usage_pipeline.demo.application import Message, Session
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import rollup
from usage_pipeline.rollups.rollup import Rollup
from usage_pipeline.warehouse import policy

BY_GRAIN: Final = {each.grain: each for each in rollup.of(TOKENS)}
"""The rollups of tokens."""
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DOCUMENTED = {"processingDetails": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}


def tokens_of(grain: Grain) -> Rollup:
    """The rollup of tokens of this grain."""
    return BY_GRAIN[grain]


@dataclass
class Chat:
    """The application's tables, and what was put in as the oracle reads it."""

    connection: psycopg.Connection
    messages: list[Message] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def user(self, name: str = "Somebody") -> UUID:
        """A user with a profile."""
        user_id = uuid4()
        self.connection.execute(
            "insert into auth.users (id, email) values (%s, %s)", [user_id, f"{user_id}@example.com"]
        )
        self.connection.execute(
            "insert into public.profiles (id, full_name) values (%s, %s)", [user_id, name]
        )
        return user_id

    def agent(self) -> UUID:
        """An agent with a name."""
        agent_id = uuid4()
        self.connection.execute("insert into public.agents (id, name) values (%s, %s)", [agent_id, "Agent"])
        return agent_id

    def session(
        self,
        *,
        conversation_id: UUID | None = None,
        user_id: UUID | None = None,
        agent_id: UUID | None = None,
        started_at: datetime | None = NOON,
        id: UUID | None = None,  # noqa: A002 - the column's name
    ) -> Session:
        """A session that owns a conversation."""
        row = Session(id or uuid4(), conversation_id or uuid4(), user_id, agent_id, started_at)
        self.connection.execute(
            "insert into public.conversation_sessions (id, conversation_id, user_id, agent_id, started_at)"
            " values (%s, %s, %s, %s, %s)",
            [row.id, row.conversation_id, row.user_id, row.agent_id, row.started_at],
        )
        self.sessions.append(row)
        return row

    def answer(
        self,
        metadata: object = DOCUMENTED,
        *,
        at: datetime | None = NOON,
        conversation_id: UUID | None = None,
        sender_user_id: UUID | None = None,
        sender_agent_id: UUID | None = None,
        role: str = "assistant",
        raw_metadata: str | None = None,
    ) -> Message:
        """One message, an answer of the model unless a role is given; `raw_metadata` is JSON as text."""
        from decimal import Decimal

        if raw_metadata is not None:
            metadata = json.loads(raw_metadata, parse_float=Decimal)
        sender = sender_agent_id if sender_user_id or sender_agent_id else uuid4()
        row = Message(uuid4(), conversation_id or uuid4(), sender_user_id, sender, role, metadata, at)
        text = (
            raw_metadata if raw_metadata is not None else None if metadata is None else json.dumps(metadata)
        )
        self.connection.execute(
            "insert into public.chat_messages_v2"
            " (id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at)"
            " values (%s, %s, %s, %s, %s, '{}', %s, %s)",
            [
                row.id,
                row.conversation_id,
                row.sender_user_id,
                row.sender_agent_id,
                row.role,
                text,
                row.created_at,
            ],
        )
        self.messages.append(row)
        return row


def set_policy(connection: Connection, *, first_day: date, grace_days: int, family: str = "tokens") -> None:
    """What the database says of the first day and the grace, from now on."""
    policy.settle(connection, policy.Policy(first_day, grace_days), family)
    policy.change(connection, family, first_day=first_day, grace_days=grace_days)


CLOCK: Final = """
create or replace function usage_private.now() returns timestamptz
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
  instant timestamptz;
begin
  if pg_catalog.to_regclass('usage_private.test_clock') is not null then
    execute 'select clock.instant from usage_private.test_clock clock' into instant;
  end if;
  return coalesce(instant, pg_catalog.clock_timestamp());
end
$$
"""
"""The database's clock as tests have it: the instant in a table, or the time where there is none."""
PLAIN_CLOCK: Final = """
create or replace function usage_private.now() returns timestamptz
language sql stable parallel safe
as 'select pg_catalog.clock_timestamp()'
"""
"""The same as the product has it."""


def read_test_clock(connection: psycopg.Connection) -> None:
    """From now on the database asks a table for the time; the template does already."""
    is_plain = connection.execute(
        "select from pg_proc where oid = 'usage_private.now()'::regprocedure and prosrc !~ 'test_clock'"
    ).fetchall()
    if is_plain:
        connection.execute(CLOCK.encode())


def set_clock(connection: psycopg.Connection, instant: datetime) -> None:
    """What the database says the time is, from now on; only test databases have this table."""
    read_test_clock(connection)
    connection.execute("create table if not exists usage_private.test_clock (instant timestamptz)")
    connection.execute("grant select on usage_private.test_clock to public")
    connection.execute("delete from usage_private.test_clock")
    connection.execute("insert into usage_private.test_clock values (%s)", [instant])
