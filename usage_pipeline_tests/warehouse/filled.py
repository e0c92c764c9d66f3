"""A database as after some weeks of use, by the product's own ways; and everything that stands in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from usage_pipeline.derived import restatement
from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.rollups.ranges import Failed
from usage_pipeline.warehouse import backfills, horizon
from usage_pipeline.warehouse.backfills import Asked
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import PLAIN_CLOCK, Chat, set_clock, set_policy, tokens_of

START: Final = date(2026, 1, 1)
SEALED: Final = date(2026, 1, 10)
NOW: Final = datetime(2026, 2, 3, 12, tzinfo=UTC)
GRACE_DAYS: Final = 7
GRAINS: Final = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
ODD: Final = 'a\ttab, a "quote", a \\ and\na line; \\N, \\.'
"""What a format of rows may trip over."""
Contents = dict[str, list[str]]


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def fill(chat: Chat, warehouse: Warehouse) -> None:
    """Days, weeks, months and a year: sealed, restated, open; backfills that ended, and one that did not."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=START, grace_days=GRACE_DAYS)
    set_clock(chat.connection, NOW)
    users = [chat.user(name) for name in ("Ada Lovelace", "Grace Hopper")]
    for user in users:
        conversation = chat.session(user_id=user, agent_id=chat.agent()).conversation_id
        for day in (1, 4, 10, 11, 31):
            chat.answer(at=at(date(2026, 1, day), 9), conversation_id=conversation)
    chat.answer({"tokens": "abc"}, at=at(SEALED, 10))
    chat.answer(None, at=at(date(2026, 2, 3), 10))
    _compute(warehouse)
    _restate(chat, warehouse, users[0])
    _record_backfills(warehouse)
    with warehouse.begin(Role.WRITER) as connection:
        horizon.declare(connection, "tokens", at(date(2026, 1, 5), 0))


def prune(master: psycopg.Connection) -> None:
    """A day whose rows went through the gate, as retention will leave it; and the clock goes on."""
    master.execute("set session_replication_role = replica")
    master.execute(
        "update usage.rollup_ledger set state = 'pruned', pruned_at = now()"
        " where rollup = 'tokens_daily' and period_start = '2026-01-01'"
    )
    master.execute("set session_replication_role = origin")
    master.execute("drop table usage_private.test_clock")
    master.execute(PLAIN_CLOCK.encode())


def contents(master: psycopg.Connection) -> Contents:
    """Every row of every table, ours and the application's, by column name: restored columns come last."""
    tables = master.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p') and not relispartition"
        " and relnamespace::regnamespace::text in ('usage', 'usage_private', 'usage_parts', 'public', 'auth')"
    ).fetchall()
    return {
        name: sorted(row for (row,) in master.execute(f"select to_jsonb(t)::text from {name} t".encode()))  # noqa: S608
        for (name,) in tables
    }


def rows_of_ours(found: Contents) -> dict[str, int]:
    return {
        name: len(rows)
        for name, rows in found.items()
        if name.startswith("usage.") and rows
    }  # fmt: skip


@contextmanager
def hidden(master: psycopg.Connection, table: str) -> Iterator[None]:
    """A policy that shows nobody a row of the table."""
    master.execute(f"create policy nobody on {table} as restrictive to public using (false)".encode())
    yield
    master.execute(f"drop policy if exists nobody on {table}".encode())


def _compute(warehouse: Warehouse) -> None:
    for grain in GRAINS:
        asked = list(windows(grain, START, NOW.date()))
        tokens_of(grain).ensure_partitions(warehouse, asked[0], asked[-1])
        for each in asked:
            tokens_of(grain).compute(warehouse, each, "test")


def _restate(chat: Chat, warehouse: Warehouse, user: UUID) -> None:
    """One sealed day grew, another lost what it had."""
    chat.answer(at=at(SEALED, 15), conversation_id=chat.session(user_id=user).conversation_id)
    chat.connection.execute(
        "delete from public.chat_messages_v2 where created_at = %s", [at(date(2026, 1, 11), 9)]
    )
    asked = list(windows(Grain.DAILY, SEALED, date(2026, 1, 11)))
    wish = restatement.Wish(tokens_of(Grain.DAILY), None, ODD, False, "test")
    assert not any(isinstance(each, Failed) for each in restatement.run(warehouse, wish, asked))


def _record_backfills(warehouse: Warehouse) -> None:
    asked = Asked(("tokens_daily", "tokens_weekly"), START, NOW.date(), "1", 30)
    ways: dict[str, Any] = {"root_run_id": None, "backfill_id": None}
    for run_id in ("first", "second"):
        with backfills.held(warehouse, asked, run_id=run_id, **ways) as held:
            held.has_failed = run_id == "second"
    with suppress(KeyboardInterrupt), backfills.held(warehouse, asked, run_id="third", **ways):
        raise KeyboardInterrupt
