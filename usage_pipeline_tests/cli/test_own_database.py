"""The verbs on a database that is somebody's own: what works, and what a wrong one is told in one line."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, set_clock, set_policy
from usage_pipeline_tests.stack import Checkout, Done
from usage_pipeline_tests.verbs import Verbs

TODAY = datetime.now(UTC).date()
YESTERDAY = datetime.combine(TODAY - timedelta(days=1), datetime.min.time(), UTC)


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the project; Dagster's storage stands on its embedded server."""
    folder = Path(tempfile.mkdtemp(prefix="usage-cli-"))
    yield stack.copy(folder)
    embedded.remove(embedded.of(folder / ".usage"))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def theirs(server: Server) -> Iterator[str]:
    """Their database: the application's tables, nothing of ours."""
    with cloned(server, "template1") as name:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
        yield name


class Own:
    """Verbs on one database: in a checkout's processes, or, but for a backfill, in the test's own."""

    def __init__(self, typed: Checkout | Verbs, server: Server, database: str) -> None:
        self.type = typed.usage_pipeline if isinstance(typed, Checkout) else typed
        self.server, self.database = server, database
        self.start = "2026-01-01"

    def __call__(self, *words: str) -> Done:
        url = self.server.url(self.database).set(drivername="postgresql")
        return self.type(*words, USAGE_DATABASE_URL=url.render_as_string(), USAGE_START=self.start)

    def begin(self, first_day: date) -> None:
        """In the database and in these settings; the grace is the usual one."""
        warehouse = Warehouse(self.server.url(self.database))
        with warehouse.begin(Role.WRITER) as connection:
            set_policy(connection, first_day=first_day, grace_days=7)
        warehouse.dispose()
        self.start = str(first_day)

    def connect(self) -> psycopg.Connection:
        return self.server.connect(self.database, embedded.LOGIN)

    def backfill(self) -> Done:
        return self("backfill", "tokens_daily", "--from", "yesterday", "--to", "today")


def refused(done: Done, code: int, *words: str) -> None:
    """One line that says what, why and the fix, after the steps and the plan; no traceback, no data."""
    told_before = ("✓", "tokens_", "  ")
    lines = [line for line in done.said.splitlines() if not line.startswith(told_before)]
    assert done.code == code, done.said
    assert len(lines) == 1, done.said
    assert "Fix: " in lines[0]
    assert all(word in lines[0] for word in words), lines[0]
    assert done.out == ""


@pytest.mark.stack
@pytest.mark.sql
def test_from_nothing_to_a_number(checkout: Checkout, server: Server, theirs: str) -> None:
    """The whole way on a database of one's own, twice: the second time nothing changes."""
    own = Own(checkout, server, theirs)
    with own.connect() as connection:
        chat = Chat(connection)
        session = chat.session(user_id=chat.user("Ada Lovelace"))
        chat.answer(at=YESTERDAY + timedelta(hours=3), conversation_id=session.conversation_id)
        chat.answer(at=YESTERDAY + timedelta(hours=4))
    refused(own.backfill(), 3, "migrations are pending", "migrate apply")
    assert own("migrate", "status").code == 3
    assert own("migrate", "apply").code == 0
    assert own("migrate", "status").code == 0
    first, second = own.backfill(), own.backfill()
    assert "rows inserted 2 · updated 0 · deleted 0" in first.said
    assert "rows inserted 0 · updated 0 · deleted 0" in second.said
    found = json.loads(own("usage", "tokens", "--json", "--from", "yesterday").out)
    assert [(row["label"], row["total_tokens"]) for row in found["data"]["rows"]] == [
        ("Ada Lovelace", 15),
        ("(unattributed)", 15),
    ]
    assert found["data"]["totals"] == {
        "messages": 2, "conversations": 2, "prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30,
    }  # fmt: skip
    assert found["meta"]["missing_days"] == []
    assert own("sources").code == 0


@pytest.mark.stack
def test_a_range_that_makes_no_sense(checkout: Checkout, server: Server) -> None:
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        tomorrow = str(TODAY + timedelta(days=1))
        backfill = ("backfill", "tokens_daily", "--from")
        refused(own(*backfill, "today", "--to", "yesterday"), 2, "comes after")
        refused(
            own(*backfill, "2025-12-31", "--to", "today"),
            2,
            "first day 2026-01-01",
            "sources start 2025-12-31",
        )
        refused(own(*backfill, "today", "--to", tomorrow), 2, "has not come yet")
        refused(
            own("backfill", "tokens_dayly", "--from", "today", "--to", "today"),
            2,
            "tokens_dayly",
            "tokens_daily",
        )
        own.start = "soon"
        refused(own(*backfill, "today", "--to", "today"), 2, "`soon`", "YYYY-MM-DD")
        with own.connect() as connection:
            connection.execute("set role usage_writer")
            assert connection.execute("select count(*) from usage.rollup_ledger").fetchone() == (0,)


@pytest.mark.stack
def test_a_source_that_is_not_whole(checkout: Checkout, server: Server) -> None:
    """What is missing or hidden is named, and nothing is half-written."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        with own.connect() as connection:
            Chat(connection).answer(at=YESTERDAY)
            connection.execute("alter table public.chat_messages_v2 enable row level security")
        refused(own.backfill(), 1, "chat_messages_v2", "row-level security", "migrate apply")
        assert own("sources").code == 3
        with own.connect() as connection:
            connection.execute("alter table public.chat_messages_v2 disable row level security")
            connection.execute("alter table public.chat_messages_v2 rename column metadata to data")
        refused(own.backfill(), 1, "chat_messages_v2", "`metadata`")
        with own.connect() as connection:
            connection.execute("drop table public.conversation_sessions cascade")
        refused(own.backfill(), 1, "public.", "chat_messages_v2")
        with own.connect() as connection:
            connection.execute("alter table public.chat_messages_v2 rename column data to metadata")
        refused(own.backfill(), 1, "public.conversation_sessions", "does not exist")
        with own.connect() as connection:
            connection.execute("set role usage_writer")
            assert connection.execute("select count(*) from usage.rollup_ledger").fetchone() == (0,)


def test_a_database_without_a_source(verbs: Verbs, server: Server, bare_database: str) -> None:
    own = Own(verbs, server, bare_database)
    for words in (("migrate", "apply"), ("sources",)):
        refused(own(*words), 1, "no source of tokens")
    with own.connect() as connection:
        assert connection.execute("select to_regnamespace('usage')").fetchone() == (None,)


def test_a_url_that_leads_nowhere_keeps_its_password(verbs: Verbs, tmp_path: Path) -> None:
    """A password in an error ends up in a log, a ticket, a screenshot."""
    for url in (
        "mysql://u:pa55word@127.0.0.1/d",
        "postgresql://u:pa55word@127.0.0.1:1/d",
        "postgresql://u:pa55@word@127.0.0.1:1/d",
        "postgresql://u:pa55word@127.0.0.1:port/d",
        "pa55word",
    ):
        done = verbs("usage", "tokens", USAGE_DATABASE_URL=url)
        refused(done, 1 if ":1/" in url and "55@" not in url else 2, "USAGE_DATABASE_URL")
        assert "pa55" not in done.said
    nowhere = str(tmp_path / "nowhere")
    refused(verbs("usage", "tokens", USAGE_HOME=nowhere), 1, "there is no stack", "demo")
    assert not Path(nowhere).exists()


def test_help_and_mistyped_verbs(verbs: Verbs) -> None:
    helped = verbs("--help")
    assert helped.code == 0
    assert "Examples:" in helped.out
    for words in (("nonsense",), ("usage", "tokens", "--from", "2026-02-30"), ("backfill", "tokens_daily")):
        done = verbs(*words)
        assert done.code == 2
        assert len(done.said.splitlines()) == 1
        assert "--help" in done.said


@pytest.mark.stack
def test_a_plan_comes_before_the_work(checkout: Checkout, server: Server) -> None:
    """Whoever starts hours of work by mistake wants to have been told before."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        with own.connect() as connection:
            chat = Chat(connection)
            for hour in range(3):
                chat.answer(at=YESTERDAY + timedelta(hours=hour))
        backfill = ("backfill", "tokens_daily", "--from", "yesterday", "--to", "yesterday")
        planned = own(*backfill, "--dry-run")
        assert planned.code == 0, planned.said
        assert f"tokens_daily   1 day, {YESTERDAY:%Y-%m-%d}, 0 of them computed before" in planned.out
        assert "messages       3 in the source" in planned.out
        assert "none: nothing was computed here yet" in planned.out
        assert "No backfill was started yet." in own("backfill", "--list").said
        done = own(*backfill, "--yes")
        assert done.code == 0, done.said
        assert "1 day computed from 3 messages" in done.said
        with own.connect() as connection:
            Chat(connection).answer(at=YESTERDAY + timedelta(hours=5))
        again = own(*backfill)
        assert "1 day" in again.said
        assert "1 of them computed before" in again.said
        assert "by the last runs" in again.said
        assert f"{YESTERDAY:%Y-%m-%d}  +1 messages  +15 tokens" in again.said, (
            "what changed is printed by day"
        )
        listed = own("backfill", "--list").out.splitlines()
        assert [line.split()[:2] for line in listed] == [["id", "state"], ["2", "done"], ["1", "done"]]
        assert "  1/1  " in listed[1]


GRAINS = ("tokens_daily", "tokens_weekly", "tokens_monthly", "tokens_yearly")
LONG_AGO = TODAY - timedelta(days=100)


def stored(own: Own) -> dict[str, tuple[int, int, int]]:
    """Of each grain: its periods in the ledger, and the messages and conversations of its rows."""
    with own.server.connect(own.database) as connection:
        rows = connection.execute(
            "select rollup, count(*), sum((totals ->> 'message_count')::bigint)::bigint,"
            " sum((totals ->> 'conversation_count')::bigint)::bigint"
            " from usage.rollup_ledger where covered_until is not null group by rollup"
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


@pytest.mark.stack
def test_every_grain_at_once(checkout: Checkout, server: Server) -> None:
    """One command is one backfill, whatever it holds: a run an asset, the finest first."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        own.begin(LONG_AGO)
        with own.connect() as connection:
            chat = Chat(connection)
            session = chat.session(user_id=chat.user())
            for days in (100, 99, 98, 50, 1):
                at = datetime.combine(TODAY - timedelta(days=days), datetime.min.time(), UTC)
                chat.answer(at=at, conversation_id=session.conversation_id)
        span = ("--from", str(LONG_AGO), "--to", "today")
        planned = own("backfill", "all", *span, "--dry-run").out
        assert [line.split()[0] for line in planned.splitlines()[1:5]] == list(GRAINS)
        assert "101 days, " in planned
        assert f"{TODAY:%Y}, 0 of them computed before" in planned, "a year's key is the year"
        done = own("backfill", "tokens_yearly", "tokens_daily", "all", *span)
        assert done.code == 0, done.said
        assert "101 days, " in done.said
        assert "computed from 5 messages" in done.said
        found = stored(own)
        assert {each[1] for each in found.values()} == {5}, "every grain holds every answer"
        assert found["tokens_daily"][2] == 5
        assert found["tokens_yearly"][2] == found["tokens_yearly"][0], "a conversation is one in each year"
        (listed,) = json.loads(own("backfill", "--list", "--json").out)["data"]
        assert listed["assets"] == list(GRAINS)
        assert (listed["state"], len(listed["run_ids"])) == ("done", 4)
        periods = sum(each[0] for each in found.values())
        assert listed["periods"] == listed["finished_periods"] == periods
        again = own("backfill", "all", *span, "--restart")
        assert "rows inserted 0 · updated 0 · deleted 0" in again.said
        assert ", without" not in again.said, "every grain has its estimate"
        with own.connect() as connection:
            Chat(connection).answer(at=YESTERDAY + timedelta(hours=5))
        changed = own("backfill", *GRAINS[:3], "--from", "yesterday", "--to", "yesterday").said
        for grain in GRAINS[:3]:
            assert f"  {grain:<14}  " in changed
        assert changed.count("+1 messages  +15 tokens") == 3


@pytest.mark.stack
def test_what_is_gone_from_the_source_is_told(checkout: Checkout, server: Server) -> None:
    """A number that no longer agrees with the chat looks like a mistake, unless it says why."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        own.begin(LONG_AGO)
        with own.connect() as connection:
            Chat(connection).answer(at=datetime.combine(LONG_AGO, datetime.min.time(), UTC))
        words = ("backfill", "tokens_daily", "--from", str(LONG_AGO), "--to", str(LONG_AGO))
        assert own(*words).code == 0
        with own.connect() as connection:
            connection.execute("delete from public.chat_messages_v2")
        kept = own(*words)
        assert kept.code == 0, kept.said
        assert "0 changed" in kept.said
        assert (
            "tokens_daily: 1 of the messages counted are gone from the source; sealed, they stay: "
            in kept.said
        )


@pytest.mark.stack
def test_a_period_that_lacks_its_days(checkout: Checkout, server: Server) -> None:
    """A month of some of its days looks like one that is whole: it is refused, and the command does help."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        first = (TODAY.replace(day=1) - timedelta(days=40)).replace(day=1)
        day, last = (
            first + timedelta(days=14),
            (first + timedelta(days=31)).replace(day=1) - timedelta(days=1),
        )
        own.begin(first)
        with own.connect() as connection:
            Chat(connection).answer(at=datetime.combine(day, datetime.min.time(), UTC))
        done = own("backfill", "tokens_monthly", "--from", str(day), "--to", str(day))
        fix = f"backfill tokens_daily tokens_monthly --from {first} --to {last}"
        refused(done, 1, "1 month not computed; nothing was stored", f"tokens_daily: {first}", fix)
        part = own("backfill", "all", "--from", str(day), "--to", str(day))
        refused(part, 1, "1 week", "1 month", "computed and stay: tokens_weekly", f"--from {first}")
        found = stored(own)
        assert found["tokens_daily"] == (1, 1, 1)
        assert not {"tokens_weekly", "tokens_monthly"} & set(found)
        listed = json.loads(own("backfill", "--list", "--json").out)["data"]
        assert [each["state"] for each in listed] == ["failed", "failed"]
        helped = own(*fix.split())
        assert helped.code == 0, helped.said
        assert stored(own)["tokens_monthly"] == (1, 1, 1)


@pytest.mark.stack
@pytest.mark.parametrize(("answer", "computes"), [("n", False), ("", True)])
def test_a_person_is_asked(checkout: Checkout, server: Server, answer: str, computes: bool) -> None:
    """Enter goes on, as everywhere; a script is never asked."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        url = server.url(name).set(drivername="postgresql").render_as_string()
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "usage_pipeline", "backfill", "tokens_daily"]
        with subprocess.Popen(
            [*command, "--from", "yesterday", "--to", "yesterday"],
            cwd=checkout.folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=checkout.environment(USAGE_DATABASE_URL=url, USAGE_START=own.start, TERM="xterm"),
        ) as process:  # fmt: skip
            os.close(theirs)
            said = read_until(ours, "Go on? [Y/n]")
            os.write(ours, f"{answer}\n".encode())
            said += read_until(ours, None)
            assert process.wait(30) == 0, said
        os.close(ours)
        assert ("Nothing was computed." in said) is not computes
        with own.connect() as connection:
            connection.execute("set role usage_writer")
            found = connection.execute("select count(*) from usage.rollup_ledger").fetchone()
        assert found == (int(computes),)


def read_until(terminal: int, words: str | None) -> str:
    """What the terminal shows, up to these words or to its end."""
    said = b""
    while words is None or words.encode() not in said:
        try:
            said += os.read(terminal, 1000)
        except OSError:  # the program has closed its side
            break
    return said.decode()


@pytest.mark.stack
@pytest.mark.sql
def test_a_clock_that_is_behind_the_data(checkout: Checkout, server: Server) -> None:
    """By a wrong clock a day is empty, or complete, that is neither."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        with server.connect(name) as connection:
            set_clock(connection, YESTERDAY + timedelta(hours=12))
        with own.connect() as connection:
            for day in (0, 1):
                Chat(connection).answer(at=YESTERDAY + timedelta(days=day, hours=13))
        behind = f"it says {YESTERDAY:%Y-%m-%d} 12:00"
        refused(own.backfill(), 2, "has not come yet by the database's clock", behind)
        done = own("backfill", "tokens_daily", "--from", "yesterday", "--to", "yesterday")
        assert done.code == 0, done.said
        assert "2 messages lie ahead of the database's clock" in done.said
        assert f"up to {TODAY} 13:00" in done.said
        assert "1 day computed from 0 messages" in done.said
        assert "is read up to" in own("usage", "tokens", "--from", "yesterday", "--to", "yesterday").said


@pytest.mark.stack
@pytest.mark.sql
def test_a_range_is_what_was_asked_for(checkout: Checkout, server: Server) -> None:
    """A range that is cut without a word gives another number than the one that was asked for."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        with own.connect() as connection:
            for number in range(3):
                Chat(connection).answer(at=YESTERDAY - timedelta(days=number))
        first = TODAY - timedelta(days=3)
        assert own("backfill", "tokens_daily", "--from", str(first), "--to", "today").code == 0
        own.begin(YESTERDAY.date())
        found = json.loads(own("usage", "tokens", "--from", str(first), "--to", "today", "--json").out)
        assert found["meta"]["first_day"] == str(first)
        assert found["data"]["totals"]["messages"] == 3
        said = own("usage", "tokens", "--from", str(first), "--to", "today").said
        assert f"No day before {YESTERDAY:%Y-%m-%d} is computed" in said
        moved = own("sources", "start", "today")
        assert "3 messages are older: no partition holds them" in moved.said
