"""Whose an answer is: one session owns a conversation, in every variant of the application's tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, LiteralString
from uuid import UUID, uuid4

import pytest

from usage_pipeline.demo import oracle, verification
from usage_pipeline.demo.application import Session
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import functions as rollups
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import functions
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, tokens_of
from usage_pipeline_tests.sources.reading import TODAY, Source

EARLY, LATE = NOON - timedelta(days=3), NOON + timedelta(days=3)
BETWEEN = NOON - timedelta(days=1)
NOW = NOON + timedelta(days=60)
SMALL, LARGE = UUID(int=7), UUID(int=2**128 - 7)


@dataclass(frozen=True)
class Candidate:
    """A session of a conversation that has several; `big_id`: its id is the greater one."""

    started_at: datetime | None
    has_user: bool = True
    has_agent: bool = True
    big_id: bool = False


# The owner stands first and is written last, so that it is never just the row found first.
CANDIDATES: Final[Mapping[str, tuple[Candidate, ...]]] = {
    "one alone": (Candidate(NOON),),
    "one without a user": (Candidate(NOON, has_user=False),),
    "one without user, agent and start": (Candidate(None, has_user=False, has_agent=False),),
    "a user before an earlier start": (Candidate(LATE), Candidate(EARLY, has_user=False)),
    "a user without start before a start": (Candidate(None, big_id=True), Candidate(EARLY, has_user=False)),
    "the earliest": (Candidate(EARLY, big_id=True), Candidate(NOON)),
    "no start is last": (Candidate(LATE, big_id=True), Candidate(None)),
    "the smaller id at one instant": (Candidate(NOON), Candidate(NOON, big_id=True)),
    "the smaller id without a start": (Candidate(None), Candidate(None, big_id=True)),
    "the earliest of nobody's": (
        Candidate(EARLY, has_user=False, big_id=True), Candidate(NOON, has_user=False),
    ),
    "no agent from another session": (Candidate(EARLY, has_agent=False), Candidate(NOON)),
    "no user's agent from another session": (
        Candidate(LATE, has_agent=False), Candidate(EARLY, has_user=False),
    ),
}  # fmt: skip


@pytest.fixture
def crowd(source: Source) -> dict[str, Session]:
    """Old data: repeated conversations, answers whose sender is nobody. The owner of each, by its name."""
    execute = source.chat.connection.execute
    execute(
        "alter table public.conversation_sessions drop constraint conversation_sessions_conversation_id_key"
    )
    execute("create index sessions_of on public.conversation_sessions (conversation_id)")
    execute("alter table public.chat_messages_v2 drop constraint chat_messages_v2_check")
    owners = {name: crowded(source, candidates) for name, candidates in CANDIDATES.items()}
    conversations = [session.conversation_id for session in owners.values()]
    for number, conversation_id in enumerate([*conversations, uuid4()], start=1):
        for _ in range(number % 3 + 1):
            source.chat.answer({"tokens": number}, conversation_id=conversation_id)
    execute("update public.chat_messages_v2 set sender_agent_id = null")
    source.chat.messages[:] = [replace(message, sender_agent_id=None) for message in source.chat.messages]
    return owners


def crowded(source: Source, candidates: tuple[Candidate, ...]) -> Session:
    """The sessions of one conversation, each with a user and an agent of its own; the first of them."""
    chat, conversation_id = source.chat, uuid4()
    for candidate in reversed(candidates):
        pattern = LARGE if candidate.big_id else SMALL
        session = chat.session(
            id=UUID(int=pattern.int ^ (len(chat.sessions) << 8)),
            conversation_id=conversation_id,
            user_id=chat.user() if candidate.has_user else None,
            agent_id=chat.agent() if candidate.has_agent else None,
            started_at=candidate.started_at,
        )
    return session


def expected(source: Source, sessions: list[Session] | None = None) -> dict[UUID, oracle.Period]:
    """What the oracle makes of today."""
    sessions = source.chat.sessions if sessions is None else sessions
    days = oracle.tokens(Grain.DAILY, source.chat.messages, sessions, now=NOW)
    return {user_id: day for (_, user_id), day in days.items()}


def run_today(source: Source) -> tuple[dict[tuple[date, UUID], oracle.Period], dict[date, oracle.Counts]]:
    """What is stored and what the ledger says after a run."""
    tokens_of(Grain.DAILY).ensure_partitions(source.warehouse, TODAY, TODAY)
    tokens_of(Grain.DAILY).compute(source.warehouse, TODAY, "test")
    with source.warehouse.begin(Role.READER) as connection:
        stored = verification.stored_periods(connection, Grain.DAILY, TODAY)
        return stored, verification.recorded_periods(connection, Grain.DAILY, TODAY)


def test_one_session_owns_a_conversation(source: Source, crowd: dict[str, Session]) -> None:
    """Without a fixed order the owner would change from run to run, and sealed days with it."""
    found = {name: source.owners(session.conversation_id) for name, session in crowd.items()}
    assert found == {name: [(session.user_id, session.agent_id)] for name, session in crowd.items()}


def test_no_session_no_owner(source: Source, crowd: dict[str, Session]) -> None:
    """A NULL conversation that met a NULL session would give a stranger's tokens to somebody."""
    connection = source.chat.connection
    for table in ("conversation_sessions", "chat_messages_v2"):
        connection.execute(f"alter table public.{table} alter column conversation_id drop not null".encode())
    orphan = crowd["one alone"]
    connection.execute(
        "update public.conversation_sessions set conversation_id = null where id = %s", [orphan.id]
    )
    connection.execute(
        "update public.chat_messages_v2 set conversation_id = null where conversation_id = %s",
        [orphan.conversation_id],
    )
    assert source.owners(uuid4()) == []
    assert source.rows("select * from usage.conversation_owner(null)") == []
    days = source.computed()
    assert orphan.user_id not in days
    assert sum(day.message_count for day in days.values()) == len(source.chat.messages)


def test_repeated_conversations_count_once(source: Source, crowd: dict[str, Session]) -> None:
    """A join with two sessions would count every answer twice."""
    assert len(source.chat.sessions) > len(crowd)
    stored, counts = run_today(source)
    assert stored == oracle.tokens(Grain.DAILY, source.chat.messages, source.chat.sessions, now=NOW)
    assert counts == oracle.counts(Grain.DAILY, source.chat.messages, source.chat.sessions, now=NOW)
    assert sum(day.message_count for day in stored.values()) == len(source.chat.messages)
    assert {user_id for _, user_id in stored} == {
        session.user_id or oracle.NOBODY for session in crowd.values()
    }


def test_the_rows_of_one_user_alone(source: Source, crowd: dict[str, Session]) -> None:
    """A person who asks for their own numbers must get those of the rollup, and nobody else's."""
    days = source.computed()
    assert {user: source.computed(only_user=user) for user in days} == {
        user: {user: days[user]} for user in days
    }
    assert source.computed(only_user=uuid4()) == {}


def test_a_sender_on_the_row_wins(source: Source, crowd: dict[str, Session]) -> None:
    """In a shared conversation the session's user did not spend what another one asked for."""
    guest, substitute = source.chat.user(), source.chat.agent()
    for session in crowd.values():
        source.chat.answer(conversation_id=session.conversation_id, sender_user_id=guest)
        source.chat.answer(conversation_id=session.conversation_id, sender_agent_id=substitute)
    days = source.computed()
    assert days == expected(source)
    assert days[guest].message_count == len(crowd)
    assert set(days[guest].agent_ids) == {each.agent_id for each in crowd.values() if each.agent_id}
    owner = crowd["one alone"]
    assert owner.user_id is not None
    assert set(days[owner.user_id].agent_ids) == {owner.agent_id, substitute}


@dataclass(frozen=True)
class Variant:
    """How another application's tables differ, and what that makes of a session."""

    statements: tuple[LiteralString, ...]
    session: Callable[[Session], Session] = lambda session: session


VARIANTS: Final[Mapping[str, Variant]] = {
    "created_at in place of started_at": Variant(
        ("alter table public.conversation_sessions rename column started_at to created_at",)
    ),
    "created_at beside started_at": Variant(
        (
            "alter table public.conversation_sessions add column created_at timestamptz",
            "update public.conversation_sessions set created_at = '2026-03-03 12:00:00+00'",
        ),
        lambda session: replace(session, started_at=session.started_at or BETWEEN),
    ),
    "neither": Variant(
        ("alter table public.conversation_sessions drop column started_at",),
        lambda session: replace(session, started_at=None),
    ),
    "no agent": Variant(
        ("alter table public.conversation_sessions drop column agent_id",),
        lambda session: replace(session, agent_id=None),
    ),
    "no updated_at": Variant(("alter table public.chat_messages_v2 drop column updated_at",)),
    "more columns, with names of ours": Variant(
        (
            "alter table public.chat_messages_v2"
            " add column tenant text not null default 'one', add column user_id uuid not null default"
            " gen_random_uuid(), add column agent_id uuid, add column started_at timestamptz,"
            " add column details jsonb not null default '{}', add column tokens integer not null default 5,"
            " add column total_tokens integer, add column window_start timestamptz not null default now(),"
            " add column window_end timestamptz not null default '-infinity'",
            "alter table public.conversation_sessions"
            " add column tenant text not null default 'one', add column began_at date, add column label text,"
            " add column conversation_owner uuid, add column updated_at timestamptz not null default now()",
        )
    ),
    "an instant on every row": Variant(
        (
            "alter table public.chat_messages_v2 alter column created_at set not null",
            "alter table public.conversation_sessions alter column conversation_id drop not null",
        )
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_application(source: Source, crowd: dict[str, Session], name: str) -> None:
    """One text serves every variant: altered under open connections, and installed on what is there."""
    assert source.computed() == expected(source)
    for statement in VARIANTS[name].statements:
        source.chat.connection.execute(statement)
    altered = expected(source, [VARIANTS[name].session(session) for session in source.chat.sessions])
    assert source.computed() == altered
    reinstall(source)
    assert source.computed() == altered
    assert_index_is_walked(source)


def reinstall(source: Source) -> None:
    """The functions made anew from their files, their bodies checked against the tables as they are."""
    wanted = rollups.wanted(SUPABASE_CHAT)
    with source.warehouse.begin(Role.OWNER) as connection:
        functions.remove(connection, wanted)
    assert engine.install(source.warehouse, wanted) == tuple(file.name for file in wanted)


def assert_index_is_walked(source: Source) -> None:
    """Inlined down to the tables: a function that is called instead reads the whole table each time."""
    with source.warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql("set local enable_seqscan = off")
        lines = connection.exec_driver_sql(
            "explain select * from usage_private.tokens_of_window(%s, %s, null)", (TODAY.start, TODAY.end)
        ).scalars()
        plan = "\n".join(lines)
    assert "chat_messages_v2_created_at" in plan
    assert "sessions_of" in plan
    for name in ("tokens_of_window", "token_events", "chat_answers", "conversation_owner"):
        assert f"Function Scan on {name}" not in plan


def test_a_change_never_decides_the_day(source: Source) -> None:
    """An answer edited today belongs to the day it was written; without the column it never changed."""
    message = source.chat.answer()
    execute = source.chat.connection.execute
    execute("update public.chat_messages_v2 set updated_at = %s", [LATE])
    query = "select event_id, changed_at from usage.token_events(%(start)s, %(until)s)"
    bounds = {"start": TODAY.start, "until": TODAY.end}
    for statement, instant in (
        ("select", LATE),
        ("update public.chat_messages_v2 set updated_at = null", NOON),
        ("alter table public.chat_messages_v2 drop column updated_at", NOON),
    ):
        execute(statement.encode())
        assert source.rows(query, **bounds) == [{"event_id": str(message.id), "changed_at": instant}]
