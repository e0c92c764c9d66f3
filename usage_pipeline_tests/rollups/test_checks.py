"""Each check is red of the very fault it is for, names period, numbers and command, and else says nothing."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from usage_pipeline.definitions import defs
from usage_pipeline.periods.calendar import Grain, midnight
from usage_pipeline.rollups import runs, workers
from usage_pipeline.rollups.check_results import SHOWN
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources import specs
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, set_policy
from usage_pipeline_tests.rollups.checking import (
    CHECKS,
    REGISTERED,
    alter_ledger,
    alter_rows,
    broken,
    look,
    number,
    obey,
    said,
    stored,
    tags,
)  # fmt: skip
from usage_pipeline_tests.rollups.launching import tokens_daily, tokens_daily_checks
from usage_pipeline_tests.serving.history import START, History, made_once, prune_days

DAY: Final = date(2026, 1, 10)
TODAY: Final = date(2026, 1, 26)
OPEN: Final = date(2026, 1, 22)
YESTERDAY: Final = TODAY - timedelta(days=1)
Alter = Callable[[psycopg.Connection, str, date, str], None]
ADA: Final = UUID(int=1)
NOBODY: Final = UUID(int=0)


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def fill(found: History) -> None:
    """An answer of Ada's and one of nobody's every day, at nine; days up to 18 January are sealed."""
    found.chat.connection.execute("insert into auth.users (id) values (%s)", [ADA])
    found.clock(TODAY)
    found.answers(days(START, TODAY), user=ADA)
    found.answers(days(START, TODAY))
    found.compute(Grain.DAILY, START, TODAY)


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[str]:
    with made_once(server, fill) as name:
        yield name


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """That of the history, where a test has one."""
    template = request.getfixturevalue("filled") if "history" in request.fixturenames else TEMPLATE
    with cloned(server, template) as name:
        yield name


@pytest.fixture
def history(chat: Chat, warehouse: Warehouse) -> History:
    return History(chat, warehouse)


OF_ADA, OF_NOBODY = (f" where user_id = '{user}'" for user in (ADA, NOBODY))
UNATTRIBUTED, UNMETERED, REFUSED = (
    f"states = states || jsonb_build_object('{name}', {count})"
    for name, count in (("unattributed", 2), ("unmetered", 1), ("refused", 1))
)
FAULTS: Final = (
    (alter_rows, f"message_count = 3{OF_ADA}", "3 of users"),
    (alter_rows, f"gone{OF_ADA}", "stored are 0 of users"),
    (alter_rows, "gone", "stored are 0 of users and 0 of nobody"),
    (alter_rows, f"user_id = '{UUID(int=2)}'{OF_NOBODY}", "2 of users and 0 of nobody"),
    (alter_ledger, "source_rows = 3", "3 messages in the source"),
    (alter_ledger, "kept_rows = 1", "1 kept"),
    (alter_ledger, UNATTRIBUTED, "2 of them of no known user"),
    (alter_rows, f"unmetered_message_count = 1{OF_NOBODY}", "0 of 2 messages in the source are unmetered; "),
    (alter_rows, f"refused_message_count = 1{OF_NOBODY}", "0 of 2 messages in the source are refused; "),
    (alter_ledger, UNMETERED, "1 of 2 messages in the source are unmetered; stored are 0"),
    (alter_ledger, REFUSED, "1 of 2 messages in the source are refused; stored are 0"),
    (alter_rows, f"total_tokens = 16{OF_NOBODY}", "31 tokens are stored, its last run left 30"),
    (alter_rows, f"total_prompt_tokens = 11{OF_NOBODY}", "21 prompt tokens are stored, its last run left 20"),
)


@pytest.mark.parametrize(("alter", "change", "words"), FAULTS)
def test_conservation(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection,
    alter: Alter, change: str, words: str,
) -> None:  # fmt: skip
    """An answer that is stored twice or not at all, or as another's, looks like any number."""
    before = look(warehouse, "tokens_daily", "conservation", DAY, TODAY)
    assert before.passed
    assert said(before) == "17 looked at, all hold"
    assert (number(before, "source_messages"), number(before, "periods_broken")) == (34, 0)
    alter(superuser, "tokens_daily", DAY, change)
    result = look(warehouse, "tokens_daily", "conservation", DAY - timedelta(days=3), TODAY)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert said(result).startswith("2026-01-10: ")
    assert words in said(result)
    assert said(result).endswith(
        "Fix: usage-pipeline restate tokens_daily --from 2026-01-10 --to 2026-01-10"
        ' --reason "altered" --accept-loss'
    )
    assert [row["period"] for row in broken(result)] == ["2026-01-10"]
    assert (number(result, "periods_looked_at"), number(result, "periods_broken")) == (20, 1)
    assert look(warehouse, "tokens_daily", "conservation", DAY + timedelta(days=1), TODAY).passed


@pytest.mark.parametrize(("alter", "change"), [each[:2] for each in FAULTS])
def test_the_printed_command_mends_a_day_that_is_not_conserved(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, alter: Alter, change: str
) -> None:
    """Open days are computed again; of sealed ones that was refused, and the line named it all the same."""
    for day in (DAY, OPEN):
        alter(superuser, "tokens_daily", day, change)
    result = look(warehouse, "tokens_daily", "conservation", DAY, TODAY)
    assert [row["period"] for row in broken(result)] == [str(DAY), str(OPEN)]
    assert said(result).endswith(f"; then usage-pipeline backfill tokens_daily --from {OPEN} --to {OPEN}")
    obey(warehouse, result)
    assert look(warehouse, "tokens_daily", "conservation", DAY, TODAY).passed
    assert look(warehouse, "tokens_daily", "sealed_unchanged", DAY, TODAY).passed


def test_what_is_kept_is_conserved(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A sealed day keeps what the source has lost: told by the ledger, that is no fault."""
    superuser.execute("delete from public.chat_messages_v2 where created_at >= '2026-01-10Z'")
    history.compute(Grain.DAILY, DAY)
    result = look(warehouse, "tokens_daily", "conservation", DAY)
    assert result.passed
    assert (number(result, "stored_messages"), number(result, "kept_messages")) == (2, 2)
    alter_ledger(superuser, "tokens_daily", DAY, "kept = '{}'")
    assert not look(warehouse, "tokens_daily", "conservation", DAY).passed, "kept of nobody is not of a user"


def test_many_days_that_are_red_are_one_line_and_a_small_table(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A line or an event of a thousand days is read by nobody."""
    superuser.execute("update usage.user_token_usage set message_count = message_count + 1")
    first = date(2026, 1, 2)
    result = look(warehouse, "tokens_daily", "conservation", first, TODAY)
    line = said(result)
    assert line.startswith("2026-01-02: ")
    assert "; also 2026-01-03, 2026-01-04, 2026-01-05, 21 more. Fix: " in line
    assert "restate tokens_daily --from 2026-01-02 --to 2026-01-18" in line
    assert line.endswith("; then usage-pipeline backfill tokens_daily --from 2026-01-19 --to 2026-01-26")
    assert (len(broken(result)), number(result, "periods_broken")) == (SHOWN, 25)


def test_no_day_before_the_first_is_in_a_command(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    superuser.execute("update usage.user_token_usage set message_count = message_count + 1")
    result = look(warehouse, "tokens_daily", "conservation", START, TODAY)
    assert "--from 2026-01-01 --to 2026-01-18" in said(result)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("gone", "was never computed"),
        ("state = 'partial'", "was never computed, only some of its users"),
        ("covered_until = '2026-01-25 17:30Z'", "is computed up to 17:30 UTC"),
    ],
)
def test_yesterday_is_there(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, change: str, words: str
) -> None:
    """A night without a run leaves everything green, and the page a day short."""
    assert said(look(warehouse, "tokens_daily", "yesterday_is_there", DAY)).startswith(
        "yesterday is computed"
    )
    alter_ledger(superuser, "tokens_daily", YESTERDAY, change)
    result = look(warehouse, "tokens_daily", "yesterday_is_there", DAY)
    assert not result.passed
    fix = "usage-pipeline backfill tokens_daily --from 2026-01-25 --to 2026-01-25"
    assert said(result) == f"2026-01-25: yesterday {words}. Fix: {fix}"


def test_yesterday_before_the_first_day_is_there(history: History, warehouse: Warehouse) -> None:
    """On the day of its installation nothing is missing."""
    history.clock(START)
    result = look(warehouse, "tokens_daily", "yesterday_is_there", START)
    assert result.passed
    assert said(result) == f"yesterday lies before the first day {START}"


def test_yesterday_is_by_the_databases_clock(history: History, warehouse: Warehouse) -> None:
    history.clock(TODAY + timedelta(days=1), 3)
    early = look(warehouse, "tokens_daily", "yesterday_is_there", TODAY)
    assert early.passed, "each run of the hours before the night's would be red"
    assert said(early) == "the day before yesterday is computed to its end"
    history.clock(TODAY + timedelta(days=1), 4)
    result = look(warehouse, "tokens_daily", "yesterday_is_there", TODAY)
    assert not result.passed
    assert "2026-01-26: yesterday is computed up to 12:00 UTC" in said(result)
    assert number(result, "missing_hours") == 12


def test_source_fresh(history: History, warehouse: Warehouse) -> None:
    """An application that writes elsewhere makes green, empty days."""
    fresh = look(warehouse, "tokens_daily", "source_fresh", TODAY)
    assert fresh.passed
    assert (number(fresh, "silent_hours"), number(fresh, "usual_silence_hours")) == (3, 24)
    history.clock(TODAY + timedelta(days=2), 9)
    assert look(warehouse, "tokens_daily", "source_fresh", TODAY).passed, "twice as long is allowed"
    history.clock(TODAY + timedelta(days=2), 10)
    result = look(warehouse, "tokens_daily", "source_fresh", TODAY)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert said(result) == (
        "2026-01-26: the last messages seen are of 2026-01-26 09:00 UTC, 49.0 hours ago;"
        " usually it is silent for 24.0 at most: the application stopped writing, or writes elsewhere,"
        " or its rows are gone: `usage-pipeline sources` shows which tables are read"
    )
    history.answers([TODAY + timedelta(days=1)])
    result = look(warehouse, "tokens_daily", "source_fresh", TODAY)
    assert result.passed, "what is not computed yet was written all the same"
    assert number(result, "silent_hours") == 25


def test_quiet_weekends_are_usual_and_an_outage_is_not(chat: Chat, warehouse: Warehouse) -> None:
    """Learning from an outage it would miss the next; knowing no weekend it would cry each Sunday."""
    found = History(chat, warehouse)
    found.clock(TODAY)
    outage = {date(2026, 1, day) for day in (13, 14, 15)}
    found.answers([day for day in days(START, date(2026, 1, 23)) if day.weekday() < 5 and day not in outage])
    found.compute(Grain.DAILY, START, TODAY)
    monday = look(warehouse, "tokens_daily", "source_fresh", TODAY)
    assert monday.passed
    assert number(monday, "usual_silence_hours") == 72
    found.clock(date(2026, 1, 30))
    assert not look(warehouse, "tokens_daily", "source_fresh", TODAY).passed


def test_few_days_are_no_habit(chat: Chat, warehouse: Warehouse) -> None:
    found = History(chat, warehouse)
    found.clock(TODAY)
    found.answers(days(START, date(2025, 12, 30)))
    found.compute(Grain.DAILY, START, TODAY)
    result = look(warehouse, "tokens_daily", "source_fresh", TODAY)
    assert result.passed
    assert "tell no habit" in said(result)


def test_a_hidden_source_is_not_called_silent(history: History, warehouse: Warehouse, chat: Chat) -> None:
    """Row-level security makes no error: rows that are hidden look like rows that never were."""
    history.clock(TODAY + timedelta(days=5))
    chat.connection.execute("alter table public.chat_messages_v2 enable row level security")
    result = look(warehouse, "tokens_daily", "source_fresh", TODAY)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert said(result).startswith("it could not be looked at: the source table public.chat_messages_v2")


def test_the_source_is_asked_for_one_row(history: History, warehouse: Warehouse, chat: Chat) -> None:
    """A check that counts a month of answers would cost more than the day it stands behind."""
    crowd(chat, TODAY + timedelta(days=1), count=1000)
    crowd(chat, START, count=20_000)
    chat.connection.execute("analyze public.chat_messages_v2")
    history.clock(TODAY + timedelta(days=2), 10)
    with warehouse.begin(Role.READER) as connection:
        statements.run(connection, "rollups.sql", "check_source_fresh", rollup="tokens_daily").one()
        read = connection.exec_driver_sql(
            "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
            " from pg_stat_xact_user_tables where relname = 'chat_messages_v2'"
        ).scalar_one()
    assert read <= 2


@pytest.mark.parametrize(
    ("alter", "change"),
    [
        (alter_rows, "total_tokens = 14"),
        (alter_rows, "last_activity = last_activity - interval '1 s'"),
        (alter_rows, f"gone{OF_NOBODY}"),
        (alter_ledger, "checksum = 'v2:1'"),
    ],
)
def test_sealed_unchanged(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, alter: Alter, change: str
) -> None:
    """A sealed number is what was paid for: nobody may alter it without a record."""
    assert look(warehouse, "tokens_daily", "sealed_unchanged", DAY).passed
    alter(superuser, "tokens_daily", DAY, change)
    result = look(warehouse, "tokens_daily", "sealed_unchanged", DAY)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert said(result).startswith("2026-01-10: its ")
    assert "rows have the checksum v2:" in said(result)
    assert "restate tokens_daily --from 2026-01-10 --to 2026-01-10 --reason" in said(result)
    obey(warehouse, result)
    assert look(warehouse, "tokens_daily", "sealed_unchanged", DAY).passed


def test_an_open_day_is_no_sealed_one(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    open_day = date(2026, 1, 20)
    alter_rows(superuser, "tokens_daily", open_day, "total_tokens = 1")
    assert look(warehouse, "tokens_daily", "sealed_unchanged", open_day).passed


def test_another_rule_of_checksums_cannot_be_compared(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    alter_ledger(superuser, "tokens_daily", DAY, "checksum = 'v1:1'")
    result = look(warehouse, "tokens_daily", "sealed_unchanged", DAY, most_periods=0)
    assert result.passed
    assert said(result) == "1 not looked at: sealed by another rule of checksums"


def test_older_sealed_days_take_turns(history: History, warehouse: Warehouse) -> None:
    """A day no run touches would never be looked at; all of them each time would cost more each year."""
    seen = []
    with warehouse.begin(Role.READER) as connection:
        for ahead in range(90):
            history.clock(TODAY + timedelta(days=ahead))
            rows = statements.run(
                connection, "rollups.sql", "check_sealed_unchanged", rollup="tokens_daily", grain="daily",
                window_start=midnight(TODAY), window_end=midnight(TODAY + timedelta(days=1)),
                most_periods=3, most_rows=1000,
            ).all()  # fmt: skip
            assert len(rows) <= 3
            seen += [row.period_start.date() for row in rows]
    sealed = days(START, date(2026, 1, 18))
    assert set(seen) == set(sealed)
    assert max(map(seen.count, sealed)) <= 12, "they take turns"


def test_older_sealed_days_are_few_if_they_are_long(history: History, warehouse: Warehouse) -> None:
    """So many days of a million users each would take longer than the run."""
    counts: dict[int, list[object]] = {1: [], 1000: []}
    for ahead in range(5):
        history.clock(TODAY + timedelta(days=ahead))
        for most, found in counts.items():
            result = look(warehouse, "tokens_daily", "sealed_unchanged", TODAY, most_rows=most)
            found.append(number(result, "periods_looked_at"))
    assert set(counts[1]) <= {0, 1}
    assert not set(counts[1000]) <= {0, 1}


def test_of_a_long_run_the_newest_sealed_days_are_looked_at(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """What a first fill has sealed itself need not be added up again."""
    newest = date(2026, 1, 18)
    alter_rows(superuser, "tokens_daily", DAY, "total_tokens = 1")
    binds: dict[str, Any] = {"most_periods": 0, "most_rows": 3}
    result = look(warehouse, "tokens_daily", "sealed_unchanged", START, TODAY, **binds)
    assert (result.passed, number(result, "periods_looked_at")) == (True, 2)
    alter_rows(superuser, "tokens_daily", newest, "total_tokens = 1")
    assert said(look(warehouse, "tokens_daily", "sealed_unchanged", START, TODAY, **binds)).startswith(
        "2026-01-18: "
    )


def crowd(chat: Chat, day: date, *, unmetered: int = 1, unattributed: int = 1, count: int = 60) -> None:
    """So many answers of one day, of Ada unless they are nobody's."""
    chat.connection.execute(
        "insert into public.chat_messages_v2"
        " (id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at)"
        " select gen_random_uuid(), gen_random_uuid(), case when number > %s then %s::uuid end,"
        " case when number <= %s then gen_random_uuid() end, 'assistant', '{}',"
        " case when number > %s then '{\"tokens\": 5}'::jsonb end, %s::timestamptz"
        " from generate_series(1, %s) number",
        [unattributed, ADA, unattributed, unmetered, midnight(day) + timedelta(hours=9), count],
    )  # fmt: skip


@pytest.fixture
def crowds(chat: Chat, warehouse: Warehouse) -> History:
    """Sixty answers a day, one of them without tokens and one of nobody's, up to the day before yesterday."""
    chat.connection.execute("insert into auth.users (id) values (%s)", [ADA])
    found = History(chat, warehouse)
    found.clock(TODAY)
    for day in days(DAY, YESTERDAY - timedelta(days=1)):
        crowd(chat, day)
    found.compute(Grain.DAILY, START, YESTERDAY - timedelta(days=1))
    return found


@pytest.mark.parametrize("share", ["unmetered", "unattributed"])
def test_a_share_that_moved(crowds: History, warehouse: Warehouse, chat: Chat, share: str) -> None:
    """Tokens that are no longer reported, or no longer anybody's, make a cheap day that nobody doubts."""
    name = f"{share}_share"
    assert look(warehouse, "tokens_daily", name, YESTERDAY).passed
    crowd(chat, YESTERDAY, **{share: 20})
    crowd(chat, TODAY, unmetered=60, unattributed=60)
    crowds.compute(Grain.DAILY, YESTERDAY, TODAY)
    result = look(warehouse, "tokens_daily", name, YESTERDAY, TODAY)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert said(result).startswith(
        "2026-01-25: 20 of 60 messages, 33.3 %; usual are 1.7 %, give or take 6.6: "
    )
    assert "Fix:" not in said(result), "no command of ours makes an application report its tokens"
    assert ("only where such sessions have arrived since" in said(result)) is (share == "unattributed")
    assert (number(result, "share_percent"), number(result, "usual_percent")) == (33.3, 1.7)
    other = "unattributed" if share == "unmetered" else "unmetered"
    assert look(warehouse, "tokens_daily", f"{other}_share", YESTERDAY, TODAY).passed


def test_a_small_move_is_none(crowds: History, warehouse: Warehouse, chat: Chat) -> None:
    """Half of the days have no deviation at all: without a floor one answer more would be red."""
    crowd(chat, YESTERDAY, unmetered=30, count=600)
    crowds.compute(Grain.DAILY, YESTERDAY)
    result = look(warehouse, "tokens_daily", "unmetered_share", YESTERDAY)
    assert result.passed
    assert said(result) == "30 of 600 messages, 5.0 %; usual are 1.7 %, give or take 5.0"


def test_a_day_of_few_answers_moves_by_chance(crowds: History, warehouse: Warehouse, chat: Chat) -> None:
    """Of sixty answers a few more or less are luck."""
    crowd(chat, YESTERDAY, unmetered=4)
    crowds.compute(Grain.DAILY, YESTERDAY)
    result = look(warehouse, "tokens_daily", "unmetered_share", YESTERDAY)
    assert result.passed
    assert said(result) == "4 of 60 messages, 6.7 %; usual are 1.7 %, give or take 6.6"


def test_weekends_are_like_weekends(chat: Chat, warehouse: Warehouse) -> None:
    """Who comes on a Sunday is not who comes on a Monday: each Sunday would be red."""
    found = History(chat, warehouse)
    found.clock(TODAY)
    for day in days(START, TODAY):
        crowd(chat, day, unmetered=60 if day.weekday() > 4 else 15, count=300)
    found.compute(Grain.DAILY, START, TODAY)
    assert YESTERDAY.weekday() == 6
    assert look(warehouse, "tokens_daily", "unmetered_share", YESTERDAY).passed
    crowd(chat, YESTERDAY, unmetered=100, count=100)
    found.compute(Grain.DAILY, YESTERDAY)
    assert not look(warehouse, "tokens_daily", "unmetered_share", YESTERDAY).passed


def test_one_odd_day_moves_no_habit(crowds: History, warehouse: Warehouse, chat: Chat) -> None:
    """With a mean, one burst would widen the range for four weeks."""
    crowd(chat, date(2026, 1, 20), unmetered=600, count=600)
    crowd(chat, YESTERDAY, unmetered=20)
    crowds.compute(Grain.DAILY, date(2026, 1, 20), YESTERDAY)
    assert not look(warehouse, "tokens_daily", "unmetered_share", YESTERDAY).passed


def test_a_share_needs_answers_and_days(crowds: History, warehouse: Warehouse, chat: Chat) -> None:
    """Two of three is no share."""
    crowd(chat, YESTERDAY, unmetered=20, count=49)
    crowds.compute(Grain.DAILY, YESTERDAY)
    result = look(warehouse, "tokens_daily", "unmetered_share", YESTERDAY)
    assert result.passed
    assert said(result) == "49 messages are too few to have a share: fifty do"


def test_six_days_are_no_habit(chat: Chat, warehouse: Warehouse) -> None:
    found = History(chat, warehouse)
    found.clock(TODAY)
    for day in days(DAY, DAY + timedelta(days=5)):
        crowd(chat, day)
    crowd(chat, DAY + timedelta(days=6), unmetered=200, count=200)
    found.compute(Grain.DAILY, DAY, DAY + timedelta(days=6))
    early = look(warehouse, "tokens_daily", "unmetered_share", DAY + timedelta(days=6))
    assert early.passed
    assert said(early) == "6 days of fifty messages in the 28 before tell no habit: seven do"


def test_the_newest_day_is_the_databases_not_the_runs(
    crowds: History, warehouse: Warehouse, chat: Chat
) -> None:
    """A run over old days cleared the warning of yesterday, and a late batch raised one of its own."""
    odd = date(2026, 1, 20)
    crowd(chat, odd, unattributed=40, count=60)
    crowds.compute(Grain.DAILY, odd)
    for run in ((odd,), (DAY, odd), ()):
        assert look(warehouse, "tokens_daily", "unattributed_share", *run).passed, "an old day"
    crowd(chat, YESTERDAY, unattributed=20)
    crowds.compute(Grain.DAILY, YESTERDAY, TODAY)
    for run in ((DAY,), (TODAY,), ()):
        line = said(look(warehouse, "tokens_daily", "unattributed_share", *run))
        assert line.startswith("2026-01-25: 20 of 60 messages")
    crowd(chat, TODAY)
    crowds.clock(TODAY + timedelta(days=1))
    crowds.compute(Grain.DAILY, TODAY)
    assert look(warehouse, "tokens_daily", "unattributed_share", DAY).passed, "its cause is gone"


FOUND_BY_A_RUN: Final = ("conservation", "sealed_unchanged")


@pytest.mark.parametrize("name", FOUND_BY_A_RUN)
def test_red_until_its_cause_is_gone(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, name: str
) -> None:
    """The next run over other days overwrote it green, and what was altered stayed altered."""
    later = DAY + timedelta(days=6)
    with dg.DagsterInstance.ephemeral() as instance:

        def after_run(*run: date) -> dg.AssetCheckResult:
            return look(warehouse, "tokens_daily", name, *run, instance=instance, **only)

        only: dict[str, Any] = {"most_periods": 0} if name == "sealed_unchanged" else {}
        for day in (DAY, later):
            alter_rows(superuser, "tokens_daily", day, "total_tokens = 1")
        first = after_run(DAY, later)
        assert [row["period"] for row in broken(first)] == [str(DAY), str(later)]
        for run in ((TODAY,), (START, DAY - timedelta(days=1)), ()):
            assert said(after_run(*run)) == said(first)
        obey(warehouse, look(warehouse, "tokens_daily", name, DAY, **only))
        second = after_run(TODAY)
        assert [row["period"] for row in broken(second)] == [str(later)]
        obey(warehouse, second)
        assert after_run(TODAY).passed
        assert after_run(TODAY).passed


def test_what_was_broken_stays_red_while_nobody_can_look(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, server: Server, bare_database: str
) -> None:
    """A database that is away for an hour must not clear what it was found with."""
    nothing = Warehouse(server.url(bare_database))
    with dg.DagsterInstance.ephemeral() as instance:
        alter_rows(superuser, "tokens_daily", DAY, "total_tokens = 1")
        assert not look(warehouse, "tokens_daily", "conservation", DAY, instance=instance).passed
        away = look(nothing, "tokens_daily", "conservation", TODAY, instance=instance)
        assert said(away).startswith("it could not be looked at")
        result = look(warehouse, "tokens_daily", "conservation", TODAY, instance=instance)
        assert [row["period"] for row in broken(result)] == [str(DAY)]
    nothing.dispose()


def test_many_broken_days_are_looked_at_again_by_and_by(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A thousand looks after every run would hold it up; those that wait are no reason for green."""
    with dg.DagsterInstance.ephemeral() as instance:
        superuser.execute("update usage.user_token_usage set message_count = message_count + 1")
        first = look(warehouse, "tokens_daily", "conservation", START, TODAY, instance=instance)
        assert number(first, "periods_broken") == 34
        superuser.execute("update usage.user_token_usage set message_count = message_count - 1")
        second = look(warehouse, "tokens_daily", "conservation", TODAY, instance=instance)
        assert not second.passed
        assert said(second) == "2 periods that were broken are not looked at again yet: the next runs do"
        assert look(warehouse, "tokens_daily", "conservation", TODAY, instance=instance).passed


def test_pruned_is_no_longer_broken(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        alter_rows(superuser, "tokens_daily", DAY, "total_tokens = 1")
        assert not look(warehouse, "tokens_daily", "conservation", DAY, instance=instance).passed
        prune_days(superuser, DAY, DAY)
        assert look(warehouse, "tokens_daily", "conservation", TODAY, instance=instance).passed


def test_what_was_not_computed_is_not_looked_at(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A run of pruned days writes nothing, and lacks nothing."""
    prune_days(superuser, DAY, DAY)
    for check in CHECKS["tokens_daily"]:
        assert look(warehouse, "tokens_daily", check.name, DAY, most_periods=0).passed, check.name
    result = look(warehouse, "tokens_daily", "conservation", DAY)
    assert said(result) == "no period of the run stands computed: there is nothing to look at"
    later = look(warehouse, "tokens_daily", "conservation", date(2026, 3, 1), date(2026, 3, 9))
    assert (later.passed, number(later, "periods_looked_at")) == (True, 0)


@pytest.mark.parametrize("asset", CHECKS)
def test_an_empty_database(warehouse: Warehouse, asset: str) -> None:
    """Who looks before anything was computed gets an answer, and no traceback."""
    for check in CHECKS[asset]:
        for run in ((), (DAY,), (DAY, TODAY)):
            result = look(warehouse, asset, check.name, *run)
            assert result.passed or check.name in ("yesterday_is_there", "source_fresh"), said(result)
            assert said(result)


@pytest.mark.parametrize("asset", CHECKS)
def test_a_database_without_anything_of_ours(server: Server, bare_database: str, asset: str) -> None:
    """A check that cannot look must not fail the run whose numbers stand."""
    nothing = Warehouse(server.url(bare_database))
    for check in CHECKS[asset]:
        result = look(nothing, asset, check.name, DAY)
        assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert said(result).startswith("it could not be looked at: migrations are pending")
    nothing.dispose()


def test_looking_writes_nothing(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    history.compute_all(TODAY)
    before = stored(superuser)
    for asset, checks in CHECKS.items():
        for check in checks:
            assert look(warehouse, asset, check.name, DAY, TODAY).passed, (asset, check.name)
    assert stored(superuser) == before


def test_launched_alone_a_check_looks_at_the_newest_periods(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    result = look(warehouse, "tokens_daily", "conservation")
    assert number(result, "periods_looked_at") == 14
    alter_rows(superuser, "tokens_daily", date(2026, 1, 13), "total_tokens = 1")
    assert "2026-01-13: " in said(look(warehouse, "tokens_daily", "conservation"))


def evaluations(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def materialize(warehouse: Warehouse, given: Mapping[str, str]) -> dg.ExecuteInProcessResult:
    """A run of the days as Dagster makes it."""
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [tokens_daily, tokens_daily_checks, *specs.specs()],
            selection=[tokens_daily],
            instance=instance,
            resources={"warehouse": warehouse},
            tags=given,
        )


@pytest.mark.parametrize(
    "given", [tags("tokens_daily", DAY, DAY + timedelta(days=4)), {"dagster/partition": str(DAY)}]
)
def test_every_run_of_the_days_is_looked_at(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
) -> None:  # fmt: skip
    """A check that must be asked for is a check that is not looked at; one that is red fails no run."""
    monkeypatch.setenv("USAGE_START", str(START))
    run = materialize(warehouse, given)
    found = evaluations(run)
    assert set(found) == {each.name for each in CHECKS["tokens_daily"]}
    assert [each.description for each in found.values() if not each.passed] == []
    expected = 5 if runs.RANGE_TAG in given else 1
    assert found["conservation"].metadata["periods_looked_at"].value == expected
    alter_ledger(superuser, "tokens_daily", YESTERDAY, "gone")
    red = materialize(warehouse, given)
    assert red.success
    assert [name for name, each in evaluations(red).items() if not each.passed] == ["yesterday_is_there"]


def test_a_run_that_is_refused_in_part_is_looked_at_too(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster leaves out the checks of a step that failed: what was altered would be looked at by nobody."""
    monkeypatch.setenv("USAGE_START", str(START))
    alter_rows(superuser, "tokens_daily", DAY, "total_tokens = 1000")
    key = dg.AssetCheckKey(dg.AssetKey("tokens_daily"), "sealed_unchanged")
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            [tokens_daily, tokens_daily_checks, *specs.specs()],
            selection=[tokens_daily],
            instance=instance,
            resources={"warehouse": warehouse},
            tags=tags("tokens_daily", DAY, DAY + timedelta(days=1)),
            raise_on_error=False,
        )
        assert not run.success
        assert run.get_asset_check_evaluations() == []
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert latest.event
    evaluation = latest.event.get_dagster_event().asset_check_evaluation_data
    assert not evaluation.passed
    assert str(evaluation.description).startswith("2026-01-10: its 2 rows have the checksum")


def test_one_check_is_launched_alone(history: History, warehouse: Warehouse) -> None:
    """Looked at without a run: nothing is computed for it."""
    ours = dg.Definitions(defs.assets, asset_checks=defs.asset_checks, resources={"warehouse": warehouse})
    key = dg.AssetCheckKey(dg.AssetKey("tokens_daily"), "conservation")
    job = ours.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={key}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        run = job.execute_in_process(instance=instance)
        (recorded,) = instance.get_runs()
    assert workers.tells_of(recorded.run_id, recorded.tags), "it is not waited for either"
    assert list(evaluations(run)) == ["conservation"]
    assert run.get_asset_materialization_events() == []


def test_every_check_is_registered() -> None:
    """What is written and not registered looks at nothing."""
    assert {(each.asset_key.to_user_string(), each.name) for each in REGISTERED} == {
        *(("tokens_daily", name) for name in (
            "conservation", "sealed_unchanged", "yesterday_is_there", "source_holds_messages", "source_fresh",
            "unmetered_share", "unattributed_share",
        )),
        *((f"tokens_{grain}", name) for grain in ("weekly", "monthly", "yearly") for name in (
            "conservation", "sealed_unchanged", "ladder",
        )),
    }  # fmt: skip


def test_a_check_says_what_it_means_and_what_to_do() -> None:
    """A red square with a name alone is a riddle at three in the morning."""
    graph = defs.resolve_asset_graph()
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert spec.description is not None
        meaning, _, runbook = spec.description.partition("\n\nWhen it is red: ")
        assert meaning.endswith(".")
        assert runbook
        assert "$ " not in runbook
        assert not spec.blocking
        assert "-- check_" in spec.metadata["sql"].value
    for name in (*ROLLUPS, "session_totals"):
        found = graph.get(dg.AssetKey(name)).metadata["runbook"]
        assert str(found.value).startswith("When it is red: ")


def test_the_policy_of_another_family_is_not_asked(history: History, warehouse: Warehouse) -> None:
    """The first day of the calls of an API says nothing about tokens."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=TODAY, grace_days=1, family="api")
    result = look(warehouse, "tokens_daily", "yesterday_is_there", DAY)
    assert said(result) == "yesterday is computed to its end"
