"""Creates the application's tables and fills them with a story, its late messages apart from the others."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from importlib.resources import files
from uuid import NAMESPACE_DNS, UUID, uuid5

import psycopg

from usage_pipeline.demo.application import Message
from usage_pipeline.demo.story import Story
from usage_pipeline.periods.calendar import midnight

CONTENTS = {
    "user": json.dumps({"text": "Could you look at this for me?"}),
    "assistant": json.dumps({"text": "Here is what I found."}),
}
# json.dumps() with separators makes a new encoder for each of some hundred thousand messages.
_written = json.JSONEncoder(separators=(",", ":")).encode


def create_application(connection: psycopg.Connection) -> None:
    """Creates the empty tables, in the caller's transaction."""
    connection.execute(_statement("application.sql"))


def is_loaded(connection: psycopg.Connection) -> bool:
    """Whether the application stands already."""
    row = connection.execute(_statement("application_exists.sql")).fetchone()
    return row is not None and bool(row[0])


def load(connection: psycopg.Connection, story: Story) -> None:
    """Fills the empty tables, in the caller's transaction; what is late is not there yet."""
    roles = sorted({user.role for user in story.users})
    _copy(connection, "copy_users.sql", ((user.id, user.email) for user in story.users))
    _copy(connection, "copy_profiles.sql", ((user.id, user.full_name) for user in story.users))
    _copy(connection, "copy_roles.sql", ((_role_id(role), role) for role in roles))
    _copy(connection, "copy_user_roles.sql", ((user.id, _role_id(user.role)) for user in story.users))
    _copy(connection, "copy_agents.sql", ((agent.id, agent.name) for agent in story.agents))
    _copy(connection, "copy_sessions.sql", _session_rows(story))
    _copy(connection, "copy_messages.sql", _message_rows(story))


def load_since(connection: psycopg.Connection, story: Story, since: date) -> int:
    """Adds the days from `since` on that are not there yet, in the caller's transaction; how many.

    A day comes whole and after the days before it, so the newest one that is there tells which are missing.
    """
    last_of_day = {at.date(): each for each in story.messages if (at := each.created_at)}
    there = (day for day, last in last_of_day.items() if day >= since and _holds(connection, last))
    first = max((day + timedelta(days=1) for day in there), default=since)
    _copy(connection, "copy_sessions.sql", _session_rows(story, first))
    _copy(connection, "copy_messages.sql", _message_rows(story, first))
    return max(0, (story.last_day - first).days + 1)


def load_late(connection: psycopg.Connection, story: Story) -> None:
    """Brings what is late, in the caller's transaction; once, see `is_late_there`."""
    _copy(connection, "copy_late_messages.sql", map(_message, story.late_messages))


def is_there(connection: psycopg.Connection, story: Story) -> bool:
    """Whether the tables hold this story, not one of other days or of an earlier version."""
    return _holds(connection, story.messages[-1])


def is_late_there(connection: psycopg.Connection, story: Story) -> bool:
    """Whether what is late has come in; a story without anything late waits for nothing."""
    return not story.late_messages or _holds(connection, story.late_messages[-1])


def _holds(connection: psycopg.Connection, message: Message) -> bool:
    binds = {"id": message.id, "created_at": message.created_at}
    row = connection.execute(_statement("message_exists.sql"), binds).fetchone()
    return row is not None and bool(row[0])


def _statement(name: str) -> bytes:
    return files("usage_pipeline.demo").joinpath("sql", name).read_bytes()


def _copy(connection: psycopg.Connection, name: str, rows: Iterable[Sequence[object]]) -> None:
    with connection.cursor().copy(_statement(name)) as copy:
        for row in rows:
            copy.write_row(row)


def _role_id(name: str) -> UUID:
    return uuid5(NAMESPACE_DNS, f"{name}.roles.example.com")


def _session_rows(story: Story, since: date = date.min) -> Iterable[Sequence[object]]:
    counts = Counter(message.conversation_id for message in story.messages)
    last_active = _last_active(story.messages)
    for session in story.sessions:
        key, started_at = session.conversation_id, session.started_at
        if not _is_since(started_at, since):
            continue
        active_at = last_active.get(key, started_at)
        yield session.id, key, session.user_id, session.agent_id, counts[key], started_at, active_at


def _message_rows(story: Story, since: date = date.min) -> Iterable[Sequence[object]]:
    for message in story.messages:
        if _is_since(message.created_at, since):
            yield *_message(message), message.created_at


def _is_since(at: datetime | None, day: date) -> bool:
    return day == date.min or (at is not None and at >= midnight(day))


def _last_active(messages: Iterable[Message]) -> dict[UUID, datetime]:
    latest: dict[UUID, datetime] = {}
    for message in messages:
        at, key = message.created_at, message.conversation_id
        if at is not None and (key not in latest or latest[key] < at):
            latest[key] = at
    return latest


def _message(message: Message) -> Sequence[object]:
    metadata = None if message.metadata is None else _written(message.metadata)
    return (
        message.id,
        message.conversation_id,
        message.sender_user_id,
        message.sender_agent_id,
        message.role,
        CONTENTS.get(message.role, "{}"),
        metadata,
        message.created_at,
    )
