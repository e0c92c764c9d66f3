"""Instants at the edge of time: an answer belongs to the right day, or to none and is listed."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import uuid4

from usage_pipeline.periods.calendar import Grain, Window, window
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, set_policy, tokens_of
from usage_pipeline_tests.sources.reading import Source

NO_INSTANT, BEFORE, AHEAD = "has no instant", "before 2000", "more than a day ahead"

# What is written, why it is a stray at NOON, and the day that counts it otherwise.
INSTANTS: Final[Mapping[str, tuple[str | None, str | None, date | None]]] = {
    "none": (None, NO_INSTANT, None),
    "minus infinity": ("-infinity", BEFORE, None),
    "the first of all": ("4714-11-24 00:00:00+00 BC", BEFORE, None),
    "long ago": ("4711-01-01 00:00:00+00 BC", BEFORE, None),
    "the first year": ("0001-01-01 00:00:00+00", BEFORE, None),
    "the epoch": ("1970-01-01 00:00:00+00", BEFORE, None),
    "the last moment of 1999": ("1999-12-31 23:59:59.999999+00", BEFORE, None),
    "2000 east of us": ("2000-01-01 00:00:00+01", BEFORE, None),
    "2000": ("2000-01-01 00:00:00+00", None, date(2000, 1, 1)),
    "2000 for those west of us": ("1999-12-31 23:00:00-01", None, date(2000, 1, 1)),
    "yesterday's last moment": ("2026-03-03 23:59:59.999999+00", None, date(2026, 3, 3)),
    "today's first moment": ("2026-03-04 00:00:00+00", None, date(2026, 3, 4)),
    "today elsewhere": ("2026-03-05 01:00:00+05", None, date(2026, 3, 4)),
    "tomorrow": ("2026-03-05 11:59:59.999999+00", None, date(2026, 3, 5)),
    "a day ahead": ("2026-03-05 12:00:00+00", AHEAD, date(2026, 3, 5)),
    "next year": ("2027-01-01 00:00:00+00", AHEAD, None),
    "the last year of a calendar": ("9999-12-31 23:59:59.999999+00", AHEAD, None),
    "beyond every calendar": ("294276-12-31 00:00:00+00", AHEAD, None),
    "infinity": ("infinity", AHEAD, None),
}
DAYS = (date(2000, 1, 1), date(2026, 3, 3), date(2026, 3, 4), date(2026, 3, 5))


def write(source: Source, role: str = "assistant") -> dict[str, str]:
    """A message at each instant; the instants' names by message."""
    names = {str(uuid4()): name for name in INSTANTS}
    with source.chat.connection.cursor() as cursor:
        cursor.executemany(
            "insert into public.chat_messages_v2"
            " (id, conversation_id, sender_agent_id, role, content, metadata, created_at)"
            " values (%s, gen_random_uuid(), gen_random_uuid(), %s, '{}', '{\"tokens\": 1}', %s)",
            [(message_id, role, INSTANTS[name][0]) for message_id, name in names.items()],
        )
    return names


def day_of(day: date) -> Window:
    return window(Grain.DAILY, day)


def strays(source: Source) -> dict[str, str]:
    return {
        row["event_id"]: row["reason"]
        for row in source.rows("select event_id, reason from usage.token_strays()")
    }


def test_strays_are_what_no_day_counts(source: Source) -> None:
    """An answer that is in no day and in no list has vanished without a word."""
    source.set_clock(NOON)
    names = write(source)
    found = {names[event_id]: reason for event_id, reason in strays(source).items()}
    assert found == {name: reason for name, (_, reason, _) in INSTANTS.items() if reason is not None}
    counted = source.events(Window(datetime(2000, 1, 1, tzinfo=UTC), NOON + timedelta(days=1)))
    assert {str(event_id) for event_id in counted} == names.keys() - strays(source).keys()


def test_strays_tell_when_they_say_it_was(source: Source) -> None:
    """The instant is the clue to the bug that wrote it; it must be shown as written, even without one."""
    source.set_clock(NOON)
    names = write(source)
    rows = source.rows("select event_id, occurred_at::text as occurred_at from usage.token_strays()")
    found = {names[row["event_id"]]: row["occurred_at"] for row in rows}
    assert found["none"] is None
    assert (found["minus infinity"], found["infinity"]) == ("-infinity", "infinity")
    assert found["long ago"] == "4711-01-01 00:00:00+00 BC"
    assert found["the last moment of 1999"] == "1999-12-31 23:59:59.999999+00"


def test_what_is_ahead_comes_home(source: Source) -> None:
    """Once the clock has passed it an instant is a day like any other."""
    source.set_clock(NOON)
    names = write(source)
    source.set_clock(NOON + timedelta(microseconds=1))
    assert "a day ahead" not in {names[event_id] for event_id in strays(source)}


def test_each_instant_counts_in_its_day_alone(source: Source) -> None:
    """The edges of a day are half-open in UTC, whatever the writer's zone and the session's."""
    source.set_clock(NOON + timedelta(days=30))
    names = write(source)
    for day in DAYS:
        found = {names[str(event_id)] for event_id in source.events(day_of(day))}
        assert found == {name for name, (_, _, counted) in INSTANTS.items() if counted == day}


def test_runs_survive_every_instant(source: Source) -> None:
    """One row from the beginning of time must not fail a day, nor enter one."""
    source.set_clock(NOON + timedelta(days=30))
    with source.warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=date(2000, 1, 1), grace_days=7)
    write(source)
    counts = []
    for day in DAYS:
        tokens_of(Grain.DAILY).ensure_partitions(source.warehouse, day_of(day), day_of(day))
        counts.append(tokens_of(Grain.DAILY).compute(source.warehouse, day_of(day), "test").entry.source_rows)
    assert counts == [sum(counted == day for _, _, counted in INSTANTS.values()) for day in DAYS]


def test_other_roles_are_never_read(source: Source) -> None:
    """Questions carry tokens of no model: counted they would double a user's usage."""
    source.set_clock(NOON)
    for role in ("user", "system", "tool", "Assistant", "assistant ", ""):
        write(source, role)
    assert strays(source) == {}
    for day in DAYS:
        assert source.events(day_of(day)) == {}
        assert source.shares(day_of(day)) == {}
        assert source.refusals(day_of(day)) == {}
