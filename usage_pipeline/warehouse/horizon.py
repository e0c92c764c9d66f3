"""The horizon: where raw history begins, declared by whoever purges raw rows."""

from datetime import date, datetime

from sqlalchemy import Connection

from usage_pipeline.warehouse import statements


def read(connection: Connection, family: str) -> date | None:
    """The first day whose raw rows are declared to stand; None: all of them do."""
    begins_at = statements.run(connection, "warehouse.sql", "horizon", family=family).scalar_one_or_none()
    return begins_at.date() if isinstance(begins_at, datetime) else None


def declare(connection: Connection, family: str, begins_at: datetime | None) -> None:
    """From the commit on, no run reads raw rows of a period that begins before it."""
    statements.run(connection, "warehouse.sql", "declare_horizon", family=family, begins_at=begins_at)
