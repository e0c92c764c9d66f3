"""Tokens as a person asks for them: by user or by day, with what is incomplete and as of when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, RowMapping

from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import statements

NOBODY = UUID(int=0)
UNATTRIBUTED = "(unattributed)"
DAYS_SHOWN = 30
_NAMED = 8


@dataclass(frozen=True)
class Person:
    """Somebody with usage or a name."""

    user_id: UUID
    label: str | None


@dataclass(frozen=True)
class Coverage:
    """How much of a range is computed: `missing` days never were, `partial` ones only up to some instant.

    Below `as_of` the stored rows of the computed days are the whole answer.
    """

    first: date
    last: date
    missing: tuple[date, ...]
    partial: tuple[date, ...]
    as_of: datetime

    @property
    def is_complete(self) -> bool:
        return not self.missing and not self.partial


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


def coverage(connection: Connection, first: date, last: date, *, begins: date = date.min) -> Coverage:
    """What the ledger says of a range of days; one before the first partition is no gap."""
    binds = _bounds(first, last)
    rows = statements.run(connection, "serving.sql", "covered_days", **binds).mappings().all()
    computed = {row["period_start"].date(): row["covered_until"] for row in rows}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    partial = tuple(day for day in days if day in computed and computed[day] < window(Grain.DAILY, day).end)
    return Coverage(
        first,
        last,
        missing=tuple(day for day in days if day not in computed and day >= begins),
        partial=partial,
        as_of=computed[partial[0]] if partial else binds["window_end"],
    )


def by_user(connection: Connection, first: date, last: date) -> list[Line]:
    """One line per user with usage in the range, the biggest first, what belongs to nobody last."""
    rows = rows_of_range(connection, first, last, by_user=True, by_day=False)
    return [_line(row, row["user_id"], label_of(row["user_id"], row["label"])) for row in rows]


def by_day(connection: Connection, user_id: UUID, first: date, last: date) -> list[Line]:
    """One line per day on which this user has usage."""
    rows = rows_of_range(connection, first, last, by_user=False, by_day=True, only_user=user_id)
    return [_line(row, row["day"].date(), row["day"].date().isoformat()) for row in rows]


def conversation_count(connection: Connection, user_id: UUID | None, first: date, last: date) -> int:
    """Distinct conversations of a whole range; the lines of a table do not add up to it."""
    rows = rows_of_range(connection, first, last, by_user=False, by_day=False, only_user=user_id)
    return sum(int(row["conversations"]) for row in rows)


def rows_of_range(
    connection: Connection,
    first: date,
    last: date,
    *,
    by_user: bool,
    by_day: bool,
    only_user: UUID | None = None,
) -> Sequence[RowMapping]:
    """Stored days added up, by user, by day, by both or by neither."""
    return (
        statements.run(
            connection, "serving.sql", "tokens_of_range",
            only_user=only_user, by_user=by_user, by_day=by_day, **_bounds(first, last),
        )
        .mappings()
        .all()
    )  # fmt: skip


def person(connection: Connection, wanted: str) -> Person:
    """The one user that an id, a whole name or a part of a name stands for."""
    if wanted.casefold() in (UNATTRIBUTED, UNATTRIBUTED.strip("()")):
        return Person(NOBODY, UNATTRIBUTED)
    if not wanted.strip():
        raise Refusal("--user is empty", fix="give a name or an id", exit_code=USAGE)
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
    listed = ", ".join(f"{each.label} {each.user_id}" for each in people[:_NAMED])
    listed += f" and {len(people) - _NAMED} more" if len(people) > _NAMED else ""
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
    try:
        return UUID(text)
    except ValueError:
        return None


def label_of(user_id: UUID, label: str | None) -> str:
    """What a person calls this user."""
    return UNATTRIBUTED if user_id == NOBODY else label or str(user_id)


def _line(row: RowMapping, key: UUID | date, label: str) -> Line:
    values = {name: row[name] for name in Line.__dataclass_fields__ if name not in ("key", "label")}
    return Line(key=key, label=label, **values)


def _bounds(first: date, last: date) -> dict[str, datetime]:
    return {"window_start": window(Grain.DAILY, first).start, "window_end": window(Grain.DAILY, last).end}
