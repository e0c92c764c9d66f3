"""The check of the ladder: each rung is what lies below it, user by user, or it is said why not."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.rollups.checking import (
    alter_ledger,
    alter_rows,
    broken,
    look,
    number,
    obey,
    said,
)  # fmt: skip
from usage_pipeline_tests.serving.history import START, History, made_once, prune_days

TODAY: Final = date(2026, 1, 26)
WEEK: Final = date(2026, 1, 12)
ADA, GRACE, OTHER = (UUID(int=number) for number in (1, 2, 3))
OLD: Final = date(2025, 12, 30)
ALL: Final = {"tokens_weekly": "2025-12-29", "tokens_monthly": "2025-12-01", "tokens_yearly": "2025"}
"""Each rung, and its period that holds the old day."""


def fill(found: History) -> None:
    """Two users with an answer every day, Ada in one conversation and Grace in another one each day."""
    users = [[ADA, GRACE, OTHER]]
    found.chat.connection.execute("insert into auth.users (id) select unnest(%s::uuid[])", users)
    found.clock(TODAY)
    every = [START + timedelta(days=number) for number in range((TODAY - START).days + 1)]
    found.answers(every, user=ADA, conversation=uuid4())
    for day in every:
        found.answers([day], user=GRACE)
    found.compute_all(TODAY)


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[str]:
    with made_once(server, fill) as name:
        yield name


@pytest.fixture
def database(server: Server, filled: str) -> Iterator[str]:
    with cloned(server, filled) as name:
        yield name


@pytest.fixture
def history(chat: Chat, warehouse: Warehouse) -> History:
    return History(chat, warehouse)


FAULTS: Final = {
    "message_count = message_count + 1": "2 rows differ",
    f"message_count = case when user_id = '{ADA}' then 6 else 8 end": "2 rows differ from those below: 14",
    f"message_count = case when user_id = '{ADA}' then 6 else 7 end": "13 messages, 8 conversations, ",
    f"total_tokens = case when user_id = '{ADA}' then 106 else 105 end": "1 rows differ",
    f"total_prompt_tokens = case when user_id = '{ADA}' then 0 else total_prompt_tokens end": "1 rows differ",
    "unmetered_message_count = 1": "2 rows differ",
    f"last_activity = last_activity - interval '1 s' where user_id = '{ADA}'": "1 rows differ",
    f"conversation_count = case when user_id = '{ADA}' then 0 else 7 end": "1 rows differ",
    f"conversation_count = case when user_id = '{ADA}' then 1 else 8 end": "9 conversations, 210 tokens",
    f"user_id = case when user_id = '{ADA}' then '{OTHER}' else user_id end": "2 rows differ",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_rung_that_is_not_its_sum(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, fault: str
) -> None:
    """A week that differs from its days is found by whoever adds them up, long after."""
    before = look(warehouse, "tokens_weekly", "ladder", START, TODAY)
    assert before.passed
    assert (number(before, "messages"), number(before, "messages_below")) == (68, 68)
    alter_rows(superuser, "tokens_weekly", WEEK, fault)
    result = look(warehouse, "tokens_weekly", "ladder", START, TODAY)
    assert not result.passed
    assert said(result).startswith("2026-01-12: ")
    assert FAULTS[fault] in said(result)
    fix = 'restate tokens_weekly --from 2026-01-12 --to 2026-01-18 --reason "altered" --accept-loss'
    assert said(result).endswith(f"Fix: usage-pipeline {fix}")
    assert [row["period"] for row in broken(result)] == ["2026-01-12"]
    obey(warehouse, result)
    assert look(warehouse, "tokens_weekly", "ladder", START, TODAY).passed


@pytest.mark.parametrize(("asset", "period"), ALL.items())
def test_a_row_that_is_gone(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, asset: str, period: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of every grain: what nobody adds up is missed by nobody."""
    monkeypatch.setenv("USAGE_START", str(START))
    assert look(warehouse, asset, "ladder", START, TODAY).passed
    alter_rows(superuser, asset, OLD, f"gone where user_id = '{ADA}'")
    result = look(warehouse, asset, "ladder", START, TODAY)
    assert [row["period"] for row in broken(result)] == [period]
    assert number(result, "rows_that_differ") == 1
    obey(warehouse, result)
    assert look(warehouse, asset, "ladder", START, TODAY).passed


def test_a_rung_stays_red_until_its_cause_is_gone(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """The run of the next week would have cleared it."""
    with dg.DagsterInstance.ephemeral() as instance:
        alter_rows(superuser, "tokens_weekly", WEEK, "message_count = message_count + 1")
        assert not look(warehouse, "tokens_weekly", "ladder", WEEK, instance=instance).passed
        result = look(warehouse, "tokens_weekly", "ladder", TODAY, instance=instance)
        assert [row["period"] for row in broken(result)] == ["2026-01-12"]
        obey(warehouse, result)
        assert look(warehouse, "tokens_weekly", "ladder", TODAY, instance=instance).passed


def test_a_row_that_was_altered_below(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """The other side of the sum is looked at too; it is the days' own check that says which one is wrong."""
    alter_rows(superuser, "tokens_daily", WEEK + timedelta(days=2), "gone")
    assert not look(warehouse, "tokens_weekly", "ladder", WEEK).passed
    assert not look(warehouse, "tokens_monthly", "ladder", WEEK).passed
    assert look(warehouse, "tokens_weekly", "ladder", WEEK + timedelta(days=7)).passed


def test_a_day_that_grew_since_is_no_fault(history: History, warehouse: Warehouse) -> None:
    """The days run before their week: between the two it is behind, and that is due, not wrong."""
    history.answers([TODAY], user=ADA)
    history.compute(Grain.DAILY, TODAY)
    result = look(warehouse, "tokens_weekly", "ladder", WEEK, TODAY)
    assert result.passed
    left = "1 not looked at: of tokens_daily some have changed since: its next run follows"
    assert said(result) == f"2 looked at, all hold; {left}"
    history.compute(Grain.WEEKLY, TODAY)
    assert said(look(warehouse, "tokens_weekly", "ladder", WEEK, TODAY)) == "3 looked at, all hold"


def test_the_current_period_is_the_sum_up_to_its_gap(history: History, warehouse: Warehouse) -> None:
    """Behind a gap days may stand that the month leaves out."""
    history.clock(TODAY + timedelta(days=2))
    history.answers([TODAY + timedelta(days=2)], user=ADA)
    history.compute(Grain.DAILY, TODAY + timedelta(days=2))
    (month,) = history.compute(Grain.MONTHLY, TODAY)
    assert month.entry.covered_until.date() == TODAY
    result = look(warehouse, "tokens_monthly", "ladder", TODAY)
    assert result.passed
    assert number(result, "periods_looked_at") == 1


def test_what_is_pruned_below_is_said(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A month stands when its days are gone: its sum is no longer theirs."""
    prune_days(superuser, WEEK, WEEK + timedelta(days=1))
    for asset, day in (("tokens_weekly", WEEK), ("tokens_monthly", WEEK)):
        result = look(warehouse, asset, "ladder", day)
        assert result.passed
        assert said(result) == "1 not looked at: of tokens_daily some are pruned or were never whole"
        assert number(result, "periods_skipped") == 1


def test_days_that_were_never_run_and_whose_month_is_pruned_count_as_pruned(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """The ledger has no word of them: only their month says that they are gone."""
    monday = date(2025, 12, 29)
    for day in (monday, monday + timedelta(days=1), monday + timedelta(days=2)):
        alter_ledger(superuser, "tokens_daily", day, "gone")
        alter_rows(superuser, "tokens_daily", day, "gone")
        alter_ledger(superuser, "tokens_weekly", monday, f"below = below - '{day}'")
    alter_ledger(superuser, "tokens_monthly", monday, "state = 'pruned'")
    result = look(warehouse, "tokens_weekly", "ladder", monday)
    assert result.passed
    assert said(result) == "1 not looked at: of tokens_daily some are pruned or were never whole"


def test_a_day_of_one_user_is_no_whole_day(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """Somebody's program brought one user up to date: the week was not made from that."""
    alter_ledger(superuser, "tokens_daily", WEEK, "state = 'partial'")
    assert "never whole" in said(look(warehouse, "tokens_weekly", "ladder", WEEK))


def test_of_a_long_run_the_newest_weeks_are_compared(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A climb over years would be added up again; whoever wants it looks at one of them."""
    alter_rows(superuser, "tokens_weekly", WEEK, "message_count = message_count + 1")
    result = look(warehouse, "tokens_weekly", "ladder", START, TODAY, most_rows=3)
    assert result.passed
    left = "4 not looked at: of a long run only the newest are"
    assert said(result) == f"2 looked at, all hold; {left}"
    assert not look(warehouse, "tokens_weekly", "ladder", START, TODAY, most_rows=17).passed
    assert not look(warehouse, "tokens_weekly", "ladder", WEEK, most_rows=1).passed, "the newest always is"


@pytest.mark.parametrize(("asset", "period"), ALL.items())
def test_the_other_truths_hold_of_every_rung(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, asset: str, period: str
) -> None:
    """Weeks, months and years are conserved and sealed like days."""
    superuser.execute("update usage.rollup_ledger set state = 'sealed'")
    for name in ("conservation", "sealed_unchanged"):
        assert look(warehouse, asset, name, START, TODAY).passed
    alter_rows(superuser, asset, OLD, f"message_count = message_count + 1 where user_id = '{ADA}'")
    for name in ("conservation", "sealed_unchanged"):
        result = look(warehouse, asset, name, START, TODAY)
        assert [row["period"] for row in broken(result)] == [period]
        assert f" {asset} --from " in said(result)
