"""Fills an empty database with an application's chat: its people, its sessions, its questions and answers."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib.resources import files

import psycopg

from usage_pipeline.demo import loading


class Shape(StrEnum):
    """How an answer reports its tokens."""

    DOCUMENTED = "documented"
    LLM_CALLS = "llm_calls"


@dataclass(frozen=True)
class Size:
    """How much is said, by how many, for how long."""

    first_day: date
    day_count: int
    conversations_per_day: int
    users: int
    agents: int = 40


FULL = Size(date(2025, 10, 25), day_count=90, conversations_per_day=3900, users=20_000)
"""3.2 million messages, half of them answers; it ends in January: year, month and week are open."""
QUICK = Size(date(2025, 10, 25), day_count=90, conversations_per_day=390, users=2_000)
"""A tenth."""


def fill(connection: psycopg.Connection, shape: Shape, size: Size) -> None:
    """The whole chat or none, on a connection that commits by itself."""
    draft = ("create_schema", "filler", f"report_{shape}", "talk", "spoken")
    chat = ("fill_users", "fill_sessions", "fill_messages")
    with connection.transaction():
        _run(connection, "memory", size)
        loading.create_application(connection)
        for name in (*draft, *chat, "drop_schema"):
            _run(connection, name, size)
    _run(connection, "settle", size)


def _run(connection: psycopg.Connection, name: str, size: Size) -> None:
    text = files("benchmarks.world").joinpath("sql", f"{name}.sql").read_bytes()
    psycopg.ClientCursor(connection).execute(text, vars(size) if b"%(" in text else None)
