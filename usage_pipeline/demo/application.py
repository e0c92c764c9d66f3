"""What the chat application's tables hold, as plain values shared by the story and the oracle."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["admin", "member"]


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    email: str
    full_name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Agent:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Session:
    """The owner of a conversation; without a user it is an anonymous chat."""

    id: UUID
    conversation_id: UUID
    user_id: UUID | None
    agent_id: UUID | None
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the chat; `metadata` is parsed JSON, and None is SQL NULL."""

    id: UUID
    conversation_id: UUID
    sender_user_id: UUID | None
    sender_agent_id: UUID | None
    role: str
    metadata: object
    created_at: datetime | None
