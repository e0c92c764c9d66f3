"""Tokens as a person asks for them: by user or by day, with what is incomplete and as of when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import statements

NOBODY = UUID(int=0)
UNATTRIBUTED = "(unattributed)"
DAYS_SHOWN = 30


@dataclass(frozen=True)
class Person:
    """Somebody with usage or a name."""

    user_id: UUID
    label: str | None


@dataclass(frozen=True)
class Coverage:
    """How much of a range is computed: `missing` days never were; one is read only up to `as_of`."""

    first: date
    last: date
    missing: tuple[date, ...]
    as_of: datetime | None

    @property
    def is_complete(self) -> bool:
        return (
            not self.missing and self.as_of is not None and self.as_of >= window(Grain.DAILY, self.last).end
        )


@dataclass(frozen=True)
class Line:
    """One line of a usage table: a user, or a day of one user."""

    key: UUID | date
    label: str
    messages: int
    conversations: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    unmetered_messages: int
    refused_messages: int
    last_activity: datetime | None


def latest_day(connection: Connection) -> date | None:
    """The newest day that was ever computed."""
    found = statements.run(connection, "serving.sql", "latest_day").scalar_one()
    return found.date() if isinstance(found, datetime) else None


def coverage(connection: Connection, first: date, last: date) -> Coverage:
    """What the ledger says of a range of days."""
    binds = _bounds(first, last)
    rows = statements.run(connection, "serving.sql", "covered_days", **binds).mappings().all()
    computed = {row["period_start"].date(): row["covered_until"] for row in rows}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Coverage(
        first, last, tuple(day for day in days if day not in computed), max(computed.values(), default=None)
    )


def by_user(connection: Connection, first: date, last: date) -> list[Line]:
    """One line per user with usage in the range, the biggest first, what belongs to nobody last."""
    rows = statements.run(connection, "serving.sql", "tokens_by_user", **_bounds(first, last)).mappings()
    return [Line(**{**row, "label": _label(row["key"], row["label"])}) for row in rows]


def by_day(connection: Connection, user_id: UUID, first: date, last: date) -> list[Line]:
    """One line per day on which this user has usage."""
    rows = statements.run(
        connection, "serving.sql", "tokens_by_day", user_id=user_id, **_bounds(first, last)
    ).mappings()
    return [Line(**{**row, "key": row["key"].date(), "label": row["key"].date().isoformat()}) for row in rows]


def conversation_count(connection: Connection, user_id: UUID | None, first: date, last: date) -> int:
    """Distinct conversations of a whole range; the lines of a table do not add up to it."""
    found = statements.run(
        connection, "serving.sql", "conversations_of_range", user_id=user_id, **_bounds(first, last)
    ).scalar_one()
    assert isinstance(found, int)
    return found


def person(connection: Connection, wanted: str) -> Person:
    """The one user that an id, a whole name or a part of a name stands for."""
    people = _people(connection, wanted)
    exact = [each for each in people if (each.label or "").casefold() == wanted.casefold()]
    if len(people) != 1 and len(exact) == 1:
        return exact[0]
    if len(people) == 1:
        return people[0]
    if not people:
        raise Refusal(
            f"no user is called `{wanted}`",
            why="neither the directory nor the stored usage knows this id or name",
            fix="$ usage tokens shows who has usage",
            exit_code=USAGE,
        )
    listed = ", ".join(f"{each.label} {each.user_id}" for each in people[:20])
    raise Refusal(
        f"`{wanted}` stands for {len(people)} users",
        why=listed,
        fix="give one of these ids to --user",
        exit_code=USAGE,
    )


def _people(connection: Connection, wanted: str) -> Sequence[Person]:
    rows = statements.run(
        connection, "serving.sql", "people", wanted=wanted, user_id=_uuid(wanted)
    ).mappings()
    return [Person(**row) for row in rows]


def _uuid(text: str) -> UUID | None:
    if text.casefold() in (UNATTRIBUTED, UNATTRIBUTED.strip("()")):
        return NOBODY
    try:
        return UUID(text)
    except ValueError:
        return None


def _label(user_id: UUID, label: str | None) -> str:
    return UNATTRIBUTED if user_id == NOBODY else label or str(user_id)


def _bounds(first: date, last: date) -> dict[str, datetime]:
    return {"window_start": window(Grain.DAILY, first).start, "window_end": window(Grain.DAILY, last).end}
