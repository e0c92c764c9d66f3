"""This machine's clock: what a person means by today; the rules of periods ask the database's."""

from datetime import UTC, date, datetime, timedelta


def now() -> datetime:
    """The instant, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The UTC day."""
    return now().date()


def yesterday() -> date:
    """The newest UTC day that is over."""
    return today() - timedelta(days=1)
