"""The seal as somebody with the writer's rights meets it: no row of a sealed period changes unrecorded."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain, window
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.rollups.test_tokens import wait_for_a_lock

USER, OTHER = UUID(int=1), UUID(int=2)
SEALED: Final = date(2025, 3, 5)
PRUNED: Final = date(2024, 3, 5)
OPEN: Final = date(2026, 3, 4)
GRAINS: Final = ("daily", "weekly", "monthly", "yearly")
PARTS: Final = {
    "{columns}": "(period_type, period_start, period_end, user_id, message_count)",
    "{one}": "values (%(grain)s, %(start)s, %(end)s, %(user)s::uuid, 1)",
    "{another}": "values (%(grain)s, %(start)s, %(end)s, %(stranger)s, 1)",
    "{here}": "where period_type = %(grain)s and period_start = %(start)s",
    "{ledger}": "where rollup = 'tokens_' || %(grain)s and period_start = %(start)s",
    "{merge}": (
        "merge into usage.user_token_usage stored using ({one}) given {columns}"
        " on stored.period_type = given.period_type and stored.period_start = given.period_start"
        " and stored.user_id = given.user_id when matched then"
    ),
}
"""What stands in the statements below in the place of these words."""
ROW: Final = "insert into usage.user_token_usage {columns} {one}"
ATTACKS: Final = {
    "insert": ROW.replace("one", "another"),
    "insert or nothing": ROW.replace("one", "another") + " on conflict do nothing",
    "insert or update": (
        ROW + " on conflict (period_type, period_start, user_id) do update set message_count = 7"
    ),
    "update": "update usage.user_token_usage set message_count = 7 {here} and user_id = %(user)s",
    "update of nothing": "update usage.user_token_usage set message_count = message_count {here}",
    "update of a time": "update usage.user_token_usage set created_at = now() {here}",
    "delete": "delete from usage.user_token_usage {here}",
    "move to another user": (
        "update usage.user_token_usage set user_id = %(stranger)s {here} and user_id = %(user)s"
    ),
    "merge that updates": "{merge} update set message_count = 7",
    "merge that deletes": "{merge} delete",
    "within a query": "with gone as (delete from usage.user_token_usage {here} returning 1) table gone",
}
MOVES: Final = {
    "away": (
        "update usage.user_token_usage set period_start = %(open_start)s, period_end = %(open_end)s,"
        " user_id = %(stranger)s {here} and user_id = %(user)s"
    ),
    "here": (
        "update usage.user_token_usage set period_start = %(start)s, period_end = %(end)s,"
        " user_id = %(stranger)s"
        " where period_type = %(grain)s and period_start = %(open_start)s and user_id = %(user)s"
    ),
}
ON_THE_LEDGER: Final = {
    "opened": "update usage.rollup_ledger set state = 'open' {ledger}",
    "partial": "update usage.rollup_ledger set state = 'partial' {ledger}",
    "renamed": "update usage.rollup_ledger set rollup = 'tokens_hourly' {ledger}",
    "moved": "update usage.rollup_ledger set period_start = period_start - interval '1 second' {ledger}",
    "upserted": (
        "insert into usage.rollup_ledger (rollup, period_start, period_end)"
        " values ('tokens_' || %(grain)s, %(start)s, %(end)s)"
        " on conflict (rollup, period_start) do update set state = 'open'"
    ),
}
SEAL: Final = "update usage.rollup_ledger set state = 'sealed' {ledger}"
RECORD: Final = (
    "insert into usage.restatements (rollup, period_start, key, after, reason, restated_at)"
    " values ('tokens_' || %(grain)s, %(start)s, jsonb_build_object('user_id', %(user)s::uuid), '{}',"
    " 'a test', now())"
)
CHANGE: Final = ATTACKS["update"]


def written(statement: str) -> bytes:
    """The statement in full."""
    for word in reversed(PARTS):
        statement = statement.replace(word, PARTS[word])
    return statement.encode()


def binds(grain: str, day: date = SEALED) -> dict[str, Any]:
    here, opened = window(Grain(grain), day), window(Grain(grain), OPEN)
    return {
        "grain": grain, "start": here.start, "end": here.end, "open_start": opened.start,
        "open_end": opened.end, "user": USER, "stranger": UUID(int=9),
    }  # fmt: skip


@pytest.fixture(scope="module")
def sealed(server: Server) -> Iterator[str]:
    """A database with a sealed, a pruned and an open period of each grain; its tests leave it as it is."""
    with cloned(server, TEMPLATE) as name:
        with server.connect(name) as master:
            master.execute("set session_replication_role = replica")
            for grain in GRAINS:
                for day, state in ((PRUNED, "pruned"), (SEALED, "sealed"), (OPEN, "open")):
                    store(master, binds(grain, day), state)
        yield name


def store(master: psycopg.Connection, names: dict[str, Any], state: str) -> None:
    master.execute("select usage_private.ensure_partitions(%(grain)s, %(start)s, %(end)s)", names)
    for user in (USER, OTHER):
        master.execute(written(ROW), {**names, "user": user})
    master.execute(
        "insert into usage.rollup_ledger"
        " (rollup, period_start, period_end, state, covered_until, computed_at)"
        " values ('tokens_' || %(grain)s, %(start)s, %(end)s, %(state)s, %(end)s, now())",
        {**names, "state": state},
    )


@pytest.fixture
def writer(server: Server, sealed: str) -> Iterator[psycopg.Connection]:
    """A transaction of the writer that is undone."""
    with server.connect(sealed, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        connection.autocommit = False
        connection.execute("select")
        yield connection
        connection.rollback()


def refused(connection: psycopg.Connection, statement: str, names: dict[str, Any]) -> str | None:
    """The state of the refusal; the transaction goes on."""
    try:
        with connection.transaction():
            connection.execute(written(statement), names or None)
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize("day", [SEALED, PRUNED], ids=["sealed", "pruned"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_changes_a_sealed_row(writer: psycopg.Connection, attack: str, day: date) -> None:
    """A way round the guard is a number that nobody can explain later."""
    for grain in GRAINS:
        assert refused(writer, ATTACKS[attack], binds(grain, day)) == "UP004"
        with writer.transaction(force_rollback=True):
            assert refused(writer, ATTACKS[attack], binds(grain, OPEN)) is None, "the attack itself is sound"


@pytest.mark.parametrize("day", [SEALED, PRUNED], ids=["sealed", "pruned"])
@pytest.mark.parametrize("attack", MOVES)
def test_no_row_moves_into_or_out_of_a_sealed_period(
    writer: psycopg.Connection, attack: str, day: date
) -> None:
    """From one partition to another a row is deleted here and inserted there: both ends are asked."""
    for grain in GRAINS:
        assert refused(writer, MOVES[attack], binds(grain, day)) == "UP004"


def test_copy_is_no_way_in(writer: psycopg.Connection) -> None:
    """PostgreSQL refuses it where policies would have to be asked, whatever the period."""
    copy = "copy usage.user_token_usage {columns} from stdin"
    assert refused(writer, copy, {}) == "0A000"


@pytest.mark.parametrize("day", [SEALED, PRUNED], ids=["sealed", "pruned"])
@pytest.mark.parametrize("attack", ON_THE_LEDGER)
def test_a_seal_is_not_taken_away(writer: psycopg.Connection, attack: str, day: date) -> None:
    """Who could open a period could change its rows, and seal it again."""
    assert refused(writer, ON_THE_LEDGER[attack], binds("daily", day)) == "UP004"


def test_the_row_of_the_ledger_is_not_deleted(writer: psycopg.Connection) -> None:
    """A period without a row was never computed, so nothing of it would be sealed."""
    names = binds("daily")
    delete = "delete from usage.rollup_ledger {ledger}"
    assert writer.execute(written(delete), names).rowcount == 0
    never = "update usage.rollup_ledger set computed_at = null {ledger}"
    assert refused(writer, never, names) is None
    assert refused(writer, delete, names) == "UP004"


def test_truncating_asks_for_the_seal_too(writer: psycopg.Connection, server: Server, sealed: str) -> None:
    """The writer has no right to it; who has it (the owner) would take sealed rows along."""
    for table in ("usage.user_token_usage", "usage.rollup_ledger", "usage.restatements"):
        assert refused(writer, f"truncate {table}", {}) == "42501"
    with server.connect(sealed) as master, pytest.raises(psycopg.DatabaseError, match="sealed"):
        master.execute("truncate usage.user_token_usage")


def test_nobody_takes_the_guard_down(writer: psycopg.Connection) -> None:
    for statement in (
        "alter table usage.user_token_usage disable trigger all",
        "set session_replication_role = replica",
        "drop trigger guard_updated_from on usage.user_token_usage",
        "update usage.restatements set key = key",
        "delete from usage.restatements",
    ):
        assert refused(writer, statement, {}) == "42501", statement


@pytest.mark.parametrize("grain", GRAINS)
def test_what_is_recorded_passes_in_its_transaction_alone(server: Server, grain: str, database: str) -> None:
    """The record is the price of a change: it buys one user's row of one period, and only now."""
    names = binds(grain)
    with server.connect(database) as master:
        master.execute("set session_replication_role = replica")
        store(master, names, "sealed")
        store(master, binds(grain, PRUNED), "pruned")
        store(master, binds(grain, OPEN), "sealed")
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        with connection.transaction():
            connection.execute(written(RECORD), names)
            assert refused(connection, CHANGE, names) is None
            assert refused(connection, CHANGE, {**names, "user": OTHER}) == "UP004"
            assert refused(connection, CHANGE, binds(grain, OPEN)) == "UP004"
            connection.execute(written(RECORD), binds(grain, PRUNED))
            assert refused(connection, CHANGE, binds(grain, PRUNED)) == "UP004"
        assert refused(connection, CHANGE, names) == "UP004"


def test_a_record_that_was_rolled_back_is_none(writer: psycopg.Connection) -> None:
    """The savepoint is gone and the transaction is the same: its number alone proves nothing."""
    names = binds("daily")
    with writer.transaction(force_rollback=True):
        writer.execute(written(RECORD), names)
        assert refused(writer, CHANGE, names) is None
    assert refused(writer, CHANGE, names) == "UP004"
    with writer.transaction():
        writer.execute(written(RECORD), names)
    assert refused(writer, CHANGE, names) is None, "what was released counts"


def test_nobody_records_for_a_transaction_to_come(writer: psycopg.Connection) -> None:
    """A row that names the next transaction would open the seal for whatever comes then."""
    forged = RECORD.replace("restated_at)", "restated_at, transaction_id)").replace(
        "now())", "now(), (pg_current_xact_id()::text::bigint + 1)::text::xid8)"
    )
    assert refused(writer, forged, binds("daily")) == "42501"


@pytest.mark.parametrize("role", [Role.READER, Role.RETENTION])
def test_other_roles_record_and_change_nothing(writer: psycopg.Connection, role: Role) -> None:
    writer.execute(f"reset role; set role {role}".encode())
    for statement in (RECORD, CHANGE, ATTACKS["insert"], ATTACKS["delete"], ON_THE_LEDGER["opened"]):
        assert refused(writer, statement, binds("daily")) == "42501"


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_a_change_that_began_before_the_seal(server: Server, database: str, level: str) -> None:
    """A snapshot from before still sees the period open: the change would land behind the seal."""
    names = binds("daily", OPEN)
    with server.connect(database) as master, server.connect(database, embedded.LOGIN) as connection:
        store(master, names, "open")
        connection.execute("set role usage_writer")
        connection.execute(f"begin isolation level {level}".encode())
        connection.execute("select from usage.rollup_ledger")
        master.execute(written(SEAL), names)
        expected = "UP004" if level == "read committed" else "40001"
        assert refused(connection, CHANGE, names) == expected


def test_the_run_that_seals_waits_for_a_change_and_a_change_for_the_run(
    server: Server, database: str
) -> None:
    """Either not yet committed, each would pass by the other: sealed, and changed a moment later."""
    names = binds("daily", OPEN)
    with (
        server.connect(database) as master,
        server.connect(database, embedded.LOGIN) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        store(master, names, "open")
        connection.execute("set role usage_writer")
        with connection.transaction():
            connection.execute(written(CHANGE), names)
            sealing = pool.submit(master.execute, written(SEAL), names)
            wait_for_a_lock(server, database)
        assert sealing.result(10).rowcount == 1
        assert refused(connection, CHANGE, names) == "UP004"
