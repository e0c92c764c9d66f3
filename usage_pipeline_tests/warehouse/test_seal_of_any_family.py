"""The guards know no family: hours that a daily run writes are sealed with their day."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest

from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import TEMPLATE, cloned

DAY: Final = datetime(2026, 1, 10, tzinfo=UTC)
OPEN: Final = datetime(2026, 1, 11, tzinfo=UTC)
PRUNED: Final = datetime(2026, 1, 9, tzinfo=UTC)
STEPS: Final = (
    "('toy_hourly', 'toy', 'HOURLY', 'hour', 'day', null, null, true),"
    " ('toy_daily', 'toy', 'DAILY', 'day', 'day', 'toy_hourly', null, true)"
)
TABLE: Final = """
create table usage.toy (
  "Grain" text, period_start timestamptz, api text, endpoint text, calls bigint default 0,
  primary key ("Grain", period_start, api, endpoint)
);
grant select, insert, update, delete on usage.toy to usage_writer;
create trigger guard_inserted after insert on usage.toy
  referencing new table as changed for each statement
  execute function usage_private.guard_sealed_rows('toy', 'Grain', 'api', 'endpoint');
create trigger guard_deleted after delete on usage.toy
  referencing old table as changed for each statement
  execute function usage_private.guard_sealed_rows('toy', 'Grain', 'api', 'endpoint');
create trigger guard_updated_from after update on usage.toy
  referencing old table as changed for each statement
  execute function usage_private.guard_sealed_rows('toy', 'Grain', 'api', 'endpoint');
create trigger guard_updated_to after update on usage.toy
  referencing new table as changed for each statement
  execute function usage_private.guard_sealed_rows('toy', 'Grain', 'api', 'endpoint');
create trigger guard_truncated before truncate on usage.toy for each statement
  execute function usage_private.guard_sealed_table('toy')
"""
ROW: Final = "insert into usage.toy values (%(grain)s, %(start)s, 'maps', %(endpoint)s, 1)"
HERE: Final = '"Grain" = %(grain)s and period_start = %(start)s and endpoint = %(endpoint)s'
CHANGES: Final = {
    "insert": "insert into usage.toy values (%(grain)s, %(start)s, 'another', %(endpoint)s, 1)",
    "update": f"update usage.toy set calls = 7 where {HERE}",  # noqa: S608
    "delete": f"delete from usage.toy where {HERE}",  # noqa: S608
    "move": f"update usage.toy set period_start = %(open)s, api = 'another' where {HERE}",  # noqa: S608
}
RECORD: Final = (
    "insert into usage.restatements (rollup, period_start, key, after, reason, restated_at) values"
    " (%(rollup)s, date_trunc('day', %(start)s::timestamptz, 'UTC'), jsonb_build_object('endpoint',"
    " %(endpoint)s::text, 'api', 'maps') || case %(grain)s when 'HOURLY' then"
    " jsonb_build_object('period_start', %(start)s::timestamptz) else '{}' end, '{}', 'a test', now())"
)


@pytest.fixture(scope="module")
def toy(server: Server) -> Iterator[str]:
    """A family of hours and days: a sealed, an open and a pruned day of each."""
    with cloned(server, TEMPLATE) as name:
        with server.connect(name) as master:
            (body,) = master.execute(
                "select prosrc from pg_proc where oid = 'usage_private.ladder()'::regprocedure"
            ).fetchone() or ("",)
            arguments = "rollup text, family text, stored_as text, row_unit text, run_unit text, below text"
            master.execute(
                f"create or replace function usage_private.ladder() returns table ({arguments}, pruned_with"
                f" text, keeps_ids boolean) language sql immutable as $${body.rstrip()}, {STEPS}$$".encode()
            )
            master.execute(TABLE.encode())
            master.execute("set session_replication_role = replica")
            for day, state in ((DAY, "sealed"), (OPEN, "open"), (PRUNED, "pruned")):
                _store(master, day, state)
        yield name


def _store(master: psycopg.Connection, day: datetime, state: str) -> None:
    for grain, rollup, hours in (("HOURLY", "toy_hourly", 24), ("DAILY", "toy_daily", 1)):
        for hour in range(hours):
            for endpoint in ("/a", "/b"):
                master.execute(ROW, binds(grain, day + timedelta(hours=hour), endpoint))
        master.execute(
            "insert into usage.rollup_ledger (rollup, period_start, period_end, state, computed_at)"
            " values (%s, %s, %s, %s, now())",
            [rollup, day, day + timedelta(days=1), state],
        )


def binds(grain: str, start: datetime, endpoint: str = "/a") -> dict[str, Any]:
    rollup = f"toy_{grain.lower()}"
    return {"grain": grain, "rollup": rollup, "start": start, "endpoint": endpoint, "open": OPEN}


@pytest.fixture
def writer(server: Server, toy: str) -> Iterator[psycopg.Connection]:
    """A transaction of the writer that is undone; its clock's zone is UTC, as in every session of ours."""
    with server.connect(toy, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        connection.execute("set timezone = 'UTC'")
        connection.autocommit = False
        connection.execute("select")
        yield connection
        connection.rollback()


def refused(connection: psycopg.Connection, statement: str, names: dict[str, Any]) -> str | None:
    """The state of the refusal; the transaction goes on."""
    try:
        with connection.transaction():
            connection.execute(statement.encode(), names or None)
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize("grain", ["HOURLY", "DAILY"])
@pytest.mark.parametrize("change", CHANGES)
def test_no_row_of_a_sealed_day_changes(writer: psycopg.Connection, change: str, grain: str) -> None:
    """The hour's own start is no period of the ledger: compared with it, no hour would be guarded."""
    hours = timedelta(hours=5 if grain == "HOURLY" else 0)
    for day in (DAY, PRUNED):
        assert refused(writer, CHANGES[change], binds(grain, day + hours)) == "UP004", day
    assert refused(writer, CHANGES[change], binds(grain, OPEN + hours)) is None, "the change itself is sound"


def test_a_record_is_of_one_hour(writer: psycopg.Connection) -> None:
    """It buys one row of one hour, whatever zone the session that writes the row has."""
    five, six = (binds("HOURLY", DAY + timedelta(hours=hour)) for hour in (5, 6))
    writer.execute(RECORD, five)
    assert refused(writer, CHANGES["update"], six) == "UP004"
    assert refused(writer, CHANGES["update"], {**five, "endpoint": "/b"}) == "UP004"
    writer.execute("set local timezone = 'Asia/Tokyo'")
    assert refused(writer, CHANGES["update"], five) is None
    assert refused(writer, CHANGES["update"], binds("DAILY", DAY)) == "UP004"


def test_a_record_of_a_day_needs_no_hour(writer: psycopg.Connection) -> None:
    writer.execute(RECORD, binds("DAILY", DAY))
    assert refused(writer, CHANGES["update"], binds("DAILY", DAY)) is None
    assert refused(writer, CHANGES["update"], binds("HOURLY", DAY)) == "UP004"


def test_a_record_for_a_pruned_day_is_none(writer: psycopg.Connection) -> None:
    names = binds("DAILY", PRUNED)
    writer.execute(RECORD, names)
    assert refused(writer, CHANGES["update"], names) == "UP004"


def test_truncating_asks_for_the_seals_of_the_family(server: Server, toy: str) -> None:
    with server.connect(toy) as master, master.transaction(force_rollback=True):
        assert refused(master, "truncate usage.toy", {}) == "UP004"
        assert refused(master, "truncate usage.user_token_usage", {}) is None, "no day of tokens is sealed"
