"""A database that the version before filled: up, every number is the same; down, every row is as it was."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain, Window, windows
from usage_pipeline.rollups import functions
from usage_pipeline.serving import restatements as serving
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import ledger
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import set_clock, tokens_of
from usage_pipeline_tests.warehouse import filled

Rows: TypeAlias = list[dict[str, Any]]
FILE: Final = Path(__file__).with_name("filled_at_0004.json")
WANTED: Final = functions.wanted(SUPABASE_CHAT)
LEDGER, TOKENS, RESTATEMENTS = "usage.rollup_ledger", "usage.user_token_usage", "usage.restatements"
COLUMNS: Final = {
    "unattributed_rows": "unattributed", "total_only_rows": "total_only",
    "unmetered_rows": "unmetered", "refused_rows": "refused",
}  # fmt: skip
PARTIAL: Final = date(2026, 1, 31)
IDS: Final = ("agent_ids", "conversation_ids")
RERUN: Final = {
    Grain.DAILY: [(filled.START, date(2026, 1, 30)), (date(2026, 2, 1), filled.NOW.date())],
    Grain.WEEKLY: [(filled.START, date(2026, 1, 25)), (date(2026, 2, 2), filled.NOW.date())],
    Grain.MONTHLY: [(date(2026, 2, 1), filled.NOW.date())],
    Grain.YEARLY: [(filled.START, filled.NOW.date())],
}
"""All but the partial day, and the week and month that wait for it."""


@dataclass(frozen=True)
class Older:
    """A database at revision 0004, and what the code of that revision left in it."""

    master: psycopg.Connection
    warehouse: Warehouse
    before: dict[str, Rows]

    def up(self) -> None:
        engine.apply(self.warehouse)
        engine.install(self.warehouse, WANTED)
        set_clock(self.master, filled.NOW)

    def rows(self, table: str) -> Rows:
        found = self.master.execute(f"select to_jsonb(t)::text from {table} t".encode()).fetchall()  # noqa: S608
        return sorted((json.loads(row) for (row,) in found), key=_in_order)


@pytest.fixture
def older(server: Server) -> Iterator[Older]:
    before = json.loads(FILE.read_text())
    with cloned(server, TEMPLATE) as name, server.connect(name) as master:
        warehouse = Warehouse(server.url(name))
        engine.roll_back(warehouse, WANTED, to="0004")
        master.execute("set timezone = 'UTC'")
        master.execute("set session_replication_role = replica")
        master.execute(
            "select usage_private.ensure_partitions(grain, '2025-12-29', '2026-03-01')"
            " from unnest(array['daily', 'weekly', 'monthly', 'yearly']) grain"
        )
        for table, rows in before.items():
            _fill(master, table, rows)
        yield Older(master, warehouse, {table: sorted(rows, key=_in_order) for table, rows in before.items()})
        warehouse.dispose()


def _fill(master: psycopg.Connection, table: str, rows: Rows) -> None:
    columns = ", ".join(f'"{name}"' for name in rows[0])
    master.execute(f"delete from {table}".encode())  # noqa: S608
    master.execute(
        f"insert into {table} ({columns}) overriding system value"  # noqa: S608
        f" select {columns} from jsonb_populate_recordset(null::{table}, %s)".encode(),
        [json.dumps(rows)],
    )


def _in_order(row: dict[str, Any]) -> str:
    """Of no value that a migration changes."""
    return str([row.get(name) for name in ("rollup", "period_type", "period_start", "user_id", "id")])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _kept(row: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        user: {"message_count": kept["messages"], "total_tokens": kept["tokens"]}
        for user, kept in row["kept"].items()
    }


def test_it_holds_every_kind_of_period(older: Older) -> None:
    """What is not there proves nothing when it is the same afterwards."""
    found = older.rows(LEDGER)
    assert found == older.before[LEDGER]
    assert {row["state"] for row in found} == {"open", "sealed", "partial"}
    assert any(row["kept"] for row in found)
    assert {row["unattributed_rows"] is None for row in found} == {row["state"] == "partial" for row in found}
    days = [row for row in older.rows(RESTATEMENTS) if row["rollup"] == "tokens_daily"]
    assert days
    assert all(set(row["before"][IDS[1]]) < set(row["after"][IDS[1]]) for row in days)


def test_every_number_is_the_same(older: Older) -> None:
    """Through the ledger's reader, row by row, and through those of what was kept and restated."""
    older.up()
    with older.warehouse.begin(Role.READER) as connection:
        for row in older.before[LEDGER]:
            window = Window(_instant(row["period_start"]), _instant(row["period_end"]))
            entry = ledger.read(connection, row["rollup"], window)
            assert entry is not None
            assert entry == ledger.Entry(
                row["state"], _instant(row["covered_until"]), row["source_rows"] or 0,
                {name: row[column] for column, name in COLUMNS.items() if row[column] is not None},
                row["stored_rows"], row["hourly_rows"], row["totals"], row["checksum"], row["kept_rows"],
                _kept(row),
            )  # fmt: skip
        kept, _ = serving.kept(connection, serving.Chosen(), None)
        restated, _ = serving.restatements(connection, serving.Chosen(), None)
    assert sorted((each.rollup, str(each.user_id), each.messages, each.tokens) for each in kept) == sorted(
        (row["rollup"], user, amount["messages"], amount["tokens"])
        for row in older.before[LEDGER]
        for user, amount in row["kept"].items()
    )
    assert sorted(
        (each.rollup, str(each.user_id), each.tokens_before, each.tokens_after, each.reason)
        for each in restated
    ) == sorted(
        (
            row["rollup"], row["user_id"], row["before"]["total_tokens"], row["after"]["total_tokens"],
            row["reason"],
        )
        for row in older.before[RESTATEMENTS]
    )  # fmt: skip


def test_of_restated_rows_the_ids_that_moved_stay(older: Older) -> None:
    older.up()
    now = {row["id"]: row for row in older.rows(RESTATEMENTS)}
    assert now.keys() == {row["id"] for row in older.before[RESTATEMENTS]}
    for was in older.before[RESTATEMENTS]:
        row = now[was["id"]]
        assert row["key"] == {"user_id": was["user_id"]}
        for name in IDS:
            if was["before"][name] is None:  # a grain that keeps none
                assert (row["before"][name], row["after"][name]) == (None, None)
                continue
            had, has = set(was["before"][name]), set(was["after"][name])
            assert row["before"][name] == sorted(had - has)
            assert row["after"][name] == sorted(has - had)


def test_runs_write_nothing_and_seals_hold(older: Older) -> None:
    """A migrated period that looks altered or different would be written again, every one of them."""
    older.up()
    versions = "select xmin::text, stored::text from usage.user_token_usage stored order by 2"
    before = older.master.execute(versions.encode()).fetchall()
    for grain, ranges in RERUN.items():
        for first, last in ranges:
            for each in windows(grain, first, last):
                outcome = tokens_of(grain).compute(older.warehouse, each, "again")
                assert outcome.changed == 0, (grain, each)
    assert older.master.execute(versions.encode()).fetchall() == before
    older.master.execute("set session_replication_role = origin")
    for period_type, day in (("daily", "2026-01-10"), ("weekly", "2026-01-05")):
        with pytest.raises(psycopg.DatabaseError, match="is sealed") as refused:
            older.master.execute(
                "update usage.user_token_usage set total_tokens = 0"
                " where period_type = %s and period_start = %s",
                [period_type, day],
            )
        assert refused.value.sqlstate == "UP004"


def test_down_and_up_again(older: Older) -> None:
    """The ids of restated rows stay short; all else is what it was, on both ways."""
    older.up()
    above = {table: older.rows(table) for table in older.before}
    engine.roll_back(older.warehouse, WANTED, to="0004")
    for table, rows in older.before.items():
        assert _without_ids(older.rows(table)) == _without_ids(rows), table
    older.up()
    assert {table: older.rows(table) for table in older.before} == above


def _without_ids(rows: Rows) -> Rows:
    """Restatements without their arrays."""
    return [
        {
            name: {each: value[each] for each in value if each not in IDS}
            if name in ("before", "after") and value
            else value
            for name, value in row.items()
        }
        for row in rows
    ]


def test_a_kept_conversation_survives_the_way_down(older: Older) -> None:
    """The version before did not know it, and must not drop what it does not know."""
    older.up()
    kept = {"user": {"message_count": 1, "conversation_count": 2, "total_tokens": 3}}
    older.master.execute("update usage.rollup_ledger set kept = %s", [json.dumps(kept)])
    engine.roll_back(older.warehouse, WANTED, to="0004")
    assert older.rows(LEDGER)[0]["kept"] == {"user": {"messages": 1, "conversation_count": 2, "tokens": 3}}
    older.up()
    assert older.rows(LEDGER)[0]["kept"] == kept
