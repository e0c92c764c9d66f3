"""The verbs of the seal: to change a sealed number, to see who did and why, to bring one user up to date."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from usage_pipeline.cli import console
from usage_pipeline.periods.calendar import Grain, window, windows
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import embedded, horizon
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.conftest import TEMPLATE, cloned, filled
from usage_pipeline_tests.factories import Chat, set_clock, set_policy, tokens_of
from usage_pipeline_tests.stack import Checkout, Done
from usage_pipeline_tests.verbs import Verbs

START, DAY = date(2026, 1, 1), date(2026, 1, 10)
CONVERSATION = uuid4()
pytestmark = pytest.mark.once
GRAINS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY, Grain.YEARLY)
Type = Callable[..., Done]


def at(day: date, hour: int = 9) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def compute(warehouse: Warehouse, last: date, grains: tuple[Grain, ...] = GRAINS) -> None:
    """Everything from the first day to this one."""
    for grain in grains:
        asked = list(windows(grain, START, last))
        tokens_of(grain).ensure_partitions(warehouse, asked[0], asked[-1])
        for each in asked:
            tokens_of(grain).compute(warehouse, each, "test")


@pytest.fixture
def typed(verbs: Verbs, server: Server, database: str) -> Type:
    """A verb on this test's database."""
    url = server.url(database).set(drivername="postgresql").render_as_string()
    return lambda *words: verbs(*words, USAGE_DATABASE_URL=url, USAGE_START=START.isoformat())


def answer(chat: Chat, warehouse: Warehouse) -> None:
    """Two answers of Ada's on a day, and one on the day after."""
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=START, grace_days=7)
    session = chat.session(user_id=chat.user("Ada Lovelace"), conversation_id=CONVERSATION)
    for day, hour in ((DAY, 9), (DAY, 15), (date(2026, 1, 11), 9)):
        chat.answer(at=at(day, hour), conversation_id=session.conversation_id)


def answer_and_seal(chat: Chat, warehouse: Warehouse) -> None:
    """The days up to 18 January are sealed, the week of Ada's too; the month and the year are open."""
    answer(chat, warehouse)
    set_clock(chat.connection, at(date(2026, 1, 26), 12))
    compute(warehouse, date(2026, 1, 26))


@pytest.fixture(scope="module")
def answered(server: Server) -> Iterator[str]:
    with filled(server, answer) as name:
        yield name


@pytest.fixture(scope="module")
def sealed(server: Server) -> Iterator[str]:
    with filled(server, answer_and_seal) as name:
        yield name


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """With Ada's answers; sealed where a test uses what is."""
    template = request.getfixturevalue("sealed" if "sealed" in request.fixturenames else "answered")
    with cloned(server, template) as name:
        yield name


@pytest.fixture
def clock(chat: Chat) -> Callable[[date], None]:
    """What day it is by the database."""
    return lambda day: set_clock(chat.connection, at(day, 12))


@pytest.fixture
def ada(chat: Chat) -> UUID:
    (found,) = chat.connection.execute("select id from auth.users").fetchall()
    return UUID(str(found[0]))


@pytest.fixture
def reading(server: Server, database: str) -> Iterator[psycopg.Connection]:
    with server.connect(database) as connection:
        yield connection


def messages(reading: psycopg.Connection, user: UUID) -> dict[str, int]:
    """What is stored of a user in the periods that hold the day."""
    rows = reading.execute(
        "select period_type, period_start, message_count from usage.user_token_usage where user_id = %s",
        [user],
    ).fetchall()
    return {kind: count for kind, start, count in rows if start == window(Grain(kind), DAY).start}


def state(reading: psycopg.Connection, rollup: str) -> list[str]:
    rows = reading.execute(
        "select state from usage.rollup_ledger where rollup = %s order by period_start", [rollup]
    ).fetchall()
    return [name for (name,) in rows]


def refused(done: Done, code: int, *words: str) -> None:
    """One line with the fix, and nothing on standard output."""
    lines = done.said.strip().splitlines()
    assert (done.code, done.out, len(lines)) == (code, "", 1), done
    assert all(word in lines[0] for word in words), lines[0]


def daily(first: str, last: str) -> tuple[str, ...]:
    return ("restate", "tokens_daily", "--from", first, "--to", last, "--reason", "x")


RESTATE = ("restate", "tokens_daily", "--from", "2026-01-10", "--to", "2026-01-10")


def lose(chat: Chat) -> None:
    """The application deletes an answer of the day."""
    chat.connection.execute("delete from public.chat_messages_v2 where created_at = %s", [at(DAY, 15)])


@pytest.mark.usefixtures("sealed")
def test_what_shrank_is_kept_until_a_person_lets_it_go(
    chat: Chat, ada: UUID, typed: Type, reading: psycopg.Connection
) -> None:
    """Both the number and the reason stand afterwards, at every grain."""
    whole = {"daily": 2, "weekly": 3, "monthly": 3, "yearly": 3}
    assert messages(reading, ada) == whole
    lose(chat)
    kept = typed(*RESTATE, "--reason", "a look")
    assert kept.code == 0, kept.said
    assert "tokens_daily keeps 1 message, 15 tokens that the source no longer has" in kept.said
    assert messages(reading, ada) == whole
    shown = typed("restatements", "--kept", "--json", "--user", "Ada")
    (row,) = json.loads(shown.out)["data"]
    assert (row["period"], row["label"], row["messages"], row["tokens"]) == (
        "2026-01-10",
        "Ada Lovelace",
        1,
        15,
    )

    planned = typed(*RESTATE, "--accept-loss", "--reason", "test data", "--dry-run")
    assert "loses     1 message, 15 tokens that the source no longer has" in planned.out
    assert messages(reading, ada) == whole
    refused(
        typed(*RESTATE, "--accept-loss", "--reason", "test data"),
        4, "let go 1 message, 15 tokens", "nobody is there to be asked", "Fix: add --yes",
    )  # fmt: skip
    assert messages(reading, ada) == whole
    done = typed(*RESTATE, "--accept-loss", "--reason", "test data", "--yes")
    assert done.code == 0, done.said
    assert "1 period restated, rows inserted 0 · updated 1 · deleted 0" in done.said
    assert "2026-01-10  -1 messages  -15 tokens" in done.said
    assert "tokens_weekly of 2026-01-05 followed: rows inserted 0 · updated 1 · deleted 0" in done.said
    assert messages(reading, ada) == {"daily": 1, "weekly": 2, "monthly": 2, "yearly": 2}
    assert "No sealed period keeps more" in typed("restatements", "--kept").said

    listed = json.loads(typed("restatements", "--json").out)["data"]
    assert [(each["rollup"], each["period"]) for each in listed] == [
        ("tokens_weekly", "2026-01-05"), ("tokens_daily", "2026-01-10"),
    ]  # fmt: skip
    assert {(each["label"], each["reason"]) for each in listed} == {("Ada Lovelace", "test data")}
    day = listed[1]
    assert (day["messages_before"], day["messages_after"], day["tokens_before"], day["tokens_after"]) == (
        2, 1, 30, 15,
    )  # fmt: skip
    assert day["run_id"].startswith("restate ")
    table = typed("restatements", "tokens_daily")
    assert "2 → 1" in table.out
    assert "1 row restated." in table.said


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("width", [60, 80, 120, None])
def test_ids_and_numbers_of_what_changed_stay_whole(
    chat: Chat, ada: UUID, typed: Type, monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    """30 characters of an id find nobody, and those of a run no run; None is a pipe, which has no width."""
    lose(chat)
    typed(*RESTATE, "--reason", "a look")
    chat.connection.execute("delete from public.profiles")
    if width:
        monkeypatch.setattr(console, "_width", lambda: width)
    kept = typed("restatements", "--kept")
    typed(*RESTATE, "--accept-loss", "--yes", "--reason", "a reason that is longer than 40 letters [really]")
    (run_id, *_) = [each["run_id"] for each in json.loads(typed("restatements", "--json").out)["data"]]
    done = typed("restatements")
    for shown in (kept.out, done.out):
        assert str(ada) in shown
        assert max(map(len, shown.splitlines())) <= (width or 1000)
        assert all("a reason that is" in line for line in shown.splitlines() if "…" in line)
    assert "30 → 15" in done.out
    assert (run_id in done.out) == (width is None or "│" not in done.out)
    assert ("│" in done.out) == (width != 60), "six columns of text and an id do not fit into 60"


@pytest.mark.usefixtures("sealed")
def test_a_loss_without_tokens_is_a_loss(chat: Chat, typed: Type) -> None:
    """An answer that reported nothing was an answer: it must not go unasked."""
    chat.answer({}, at=at(DAY, 20), conversation_id=CONVERSATION)
    assert typed(*RESTATE, "--reason", "late").code == 0
    chat.connection.execute("delete from public.chat_messages_v2 where created_at = %s", [at(DAY, 20)])
    planned = typed(*RESTATE, "--accept-loss", "--reason", "x", "--dry-run")
    assert "loses     1 message, 0 tokens that the source no longer has" in planned.out


def on_a_terminal(server: Server, database: str, keys: bytes, *words: str) -> str:
    """What a person sees who answers the question with these keys."""
    url = server.url(database).set(drivername="postgresql").render_as_string()
    told = {"USAGE_DATABASE_URL": url, "USAGE_START": START.isoformat()}
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "usage_pipeline", *words], env={**os.environ, **told},
        stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    os.write(master, keys)
    seen = b""
    with suppress(OSError):  # so ends what a terminal shows
        while part := os.read(master, 1000):
            seen += part
    os.close(master)
    process.wait(60)
    return seen.decode()


@pytest.mark.usefixtures("sealed")
def test_a_loss_is_asked_about(
    chat: Chat, ada: UUID, server: Server, database: str, reading: psycopg.Connection
) -> None:
    """Enter, pressed out of habit, must not let a number go."""
    lose(chat)
    words = (*RESTATE, "--accept-loss", "--reason", "x")
    for keys, said, left in ((b"\n", "Nothing was restated.", 2), (b"y\n", "1 period restated", 1)):
        shown = on_a_terminal(server, database, keys, *words)
        assert "loses     1 message, 15 tokens" in shown
        assert "Go on? [y/N]" in shown
        assert said in shown
        assert messages(reading, ada)["daily"] == left


@pytest.mark.usefixtures("sealed")
def test_a_week_that_was_left_behind_follows_its_days(
    chat: Chat, ada: UUID, typed: Type, warehouse: Warehouse, reading: psycopg.Connection
) -> None:
    """Killed between the day and the week, the same command on either brings the week along."""
    lose(chat)
    tokens_of(Grain.DAILY).compute(warehouse, window(Grain.DAILY, DAY), "t", intent="accept", reason="x")
    assert messages(reading, ada)["weekly"] == 3
    done = typed("restate", "tokens_weekly", *RESTATE[2:], "--reason", "x")
    assert "1 period restated, rows inserted 0 · updated 1 · deleted 0" in done.said, done.said
    assert messages(reading, ada)["weekly"] == 2
    assert "tokens_monthly of 2026-01 followed" in typed(*RESTATE, "--reason", "x").said
    assert messages(reading, ada)["yearly"] == 2


@pytest.mark.usefixtures("sealed")
def test_what_grew_grows_and_one_user_is_not_another(
    chat: Chat, ada: UUID, typed: Type, reading: psycopg.Connection
) -> None:
    """Restated for one, a day must not take from the others."""
    grace = chat.user("Grace Hopper")
    lose(chat)
    chat.answer(at=at(DAY), conversation_id=chat.session(user_id=grace).conversation_id)
    done = typed(*RESTATE, "--user", "Grace", "--accept-loss", "--reason", "late", "--yes")
    assert done.code == 0, done.said
    assert messages(reading, grace) == {"daily": 1, "weekly": 1, "monthly": 1, "yearly": 1}
    assert messages(reading, ada)["daily"] == 2
    assert "tokens_daily keeps 1 message" in done.said


@pytest.mark.usefixtures("sealed")
def test_a_range_leaves_out_what_is_not_sealed(chat: Chat, typed: Type, reading: psycopg.Connection) -> None:
    lose(chat)
    done = typed(
        "restate",
        "tokens_daily",
        "--from",
        "2026-01-10",
        "--to",
        "2026-01-31",
        "--accept-loss",
        "--reason",
        "x",
        "--yes",
    )
    assert done.code == 0, done.said
    assert "22, 9 of them sealed" in done.said
    assert "left out  8 open: 2026-01-19, 2026-01-20" in done.said
    assert "left out  5 never computed: 2026-01-27" in done.said
    assert "1 period" not in done.said
    assert "9 periods restated, rows inserted 0 · updated 1 · deleted 0" in done.said
    assert state(reading, "tokens_daily").count("sealed") == 18


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("restate", "tokens_dialy", *RESTATE[2:], "--reason", "x"), 2, "no asset `tokens_dialy`"),
        (RESTATE, 2, "--reason is missing"),
        ((*RESTATE, "--reason", "  "), 2, "--reason is missing"),
        ((*RESTATE, "--reason", "x", "--user", "Nobody"), 2, "no user is called `Nobody`"),
        (daily("2026-01-11", "2026-01-10"), 2, "comes after"),
        (daily("2025-12-31", "2026-01-10"), 2, "before the first day"),
        (daily("2026-01-10", "2999-01-10"), 2, "has not come yet"),
        (daily("2026-01-20", "2026-01-20"), 1, "tokens_daily of 2026-01-20 is not sealed"),
        (daily("2026-01-28", "2026-01-28"), 1, "1 never computed"),
        (("restate", "tokens_monthly", *RESTATE[2:], "--reason", "x"), 1, "2026-01 is not sealed"),
    ],
)
def test_bad_input_is_one_line(
    typed: Type, reading: psycopg.Connection, words: tuple[str, ...], code: int, said: str
) -> None:
    refused(typed(*words), code, said, "Fix: ")
    assert reading.execute("select from usage.restatements").fetchall() == []


@pytest.mark.usefixtures("sealed")
def test_what_is_pruned_or_behind_the_horizon_is_not_restated(
    chat: Chat, typed: Type, reading: psycopg.Connection, ada: UUID
) -> None:
    """Its raw rows are gone: restated, a right number would become nothing."""
    assert typed("sources", "horizon", "2026-01-11").code == 0
    words = (*RESTATE, "--accept-loss", "--reason", "x")
    refused(typed(*words), 4, "before the source's horizon", "Fix: ask for days from 2026-01-11 on")
    assert messages(reading, ada)["daily"] == 2
    assert typed(*daily("2026-01-11", "2026-01-11")).code == 0
    reading.execute(
        "update usage.rollup_ledger set state = 'pruned' where rollup = 'tokens_daily' and state = 'sealed'"
    )
    refused(typed(*words), 4, "1 pruned", "restate the periods above")
    week = ("restate", "tokens_weekly", *daily("2026-01-05", "2026-01-05")[2:])
    refused(typed(*week), 4, "before the source's horizon", "Fix: ask for days from 2026-01-12 on")
    assert typed("restate", "tokens_weekly", *daily("2026-01-12", "2026-01-12")[2:]).code == 0


@pytest.mark.usefixtures("sealed")
def test_recalc_at_every_grain(chat: Chat, ada: UUID, typed: Type, reading: psycopg.Connection) -> None:
    """Open periods are brought up to date, sealed and missing ones are named with their command."""
    open_day = date(2026, 1, 20)
    chat.answer(at=at(open_day), conversation_id=chat.session(user_id=ada).conversation_id)
    other = chat.user("Grace Hopper")
    chat.answer(at=at(open_day), conversation_id=chat.session(user_id=other).conversation_id)
    done = typed("recalc", "--user", "Ada", "--from", "2026-01-17", "--to", "2026-01-28")
    assert done.code == 0, done.said
    assert "tokens_daily   8 computed, rows inserted 1 · updated 0 · deleted 0" in done.said
    assert "tokens_yearly  1 computed, rows inserted 0 · updated 1 · deleted 0" in done.said
    assert "tokens_daily left as it is, 2 sealed: 2026-01-17, 2026-01-18" in done.said
    assert f"restate tokens_daily --from 2026-01-17 --to 2026-01-18 --user {ada} --reason WHY" in done.said
    assert "2 never computed: 2026-01-27, 2026-01-28. To compute:" in done.said
    assert messages(reading, ada) == {"daily": 2, "weekly": 3, "monthly": 4, "yearly": 4}
    assert messages(reading, other) == {}
    assert "partial" not in {name for grain in GRAINS for name in state(reading, f"tokens_{grain}")}


def test_recalc_of_nothing_says_why(typed: Type) -> None:
    refused(
        typed("recalc", "--user", "Nobody", "--from", "2026-01-20", "--to", "2026-01-20"),
        2,
        "no user is called",
    )
    refused(typed("recalc", "--user", "Ada", "--from", "2026-01-20", "--to", "2026-01-10"), 2, "comes after")
    refused(
        typed("recalc", "--user", "Ada", "--from", "2026-01-20", "--to", "2026-01-21"),
        3, "days: 2 never computed", "backfill all --from 2026-01-20 --to 2026-01-21",
    )  # fmt: skip


def test_what_was_never_computed_is_named_with_a_range_that_backfill_takes(
    typed: Type, warehouse: Warehouse, clock: Callable[[date], None]
) -> None:
    """The first week begins before the first day and the year ends after today; their days may be missing."""
    clock(date(2026, 1, 5))
    compute(warehouse, date(2026, 1, 2), (Grain.DAILY,))
    done = typed("recalc", "--user", "Ada", "--from", "2026-01-01", "--to", "2026-01-02")
    assert done.code == 0, done.said
    fixes = [line.partition("usage-pipeline ")[2] for line in done.said.splitlines() if "To compute" in line]
    today = min(datetime.now(UTC).date(), date(2026, 12, 31))
    ends = ("2026-01-04", "2026-01-31", str(today))
    assert fixes == [f"backfill all --from 2026-01-01 --to {end}" for end in ends], done.said


@pytest.mark.usefixtures("sealed")
def test_the_horizon_moves_forward(typed: Type, reading: psycopg.Connection) -> None:
    """Declared carelessly, it would turn missing days into empty ones, or call a purge a loss."""
    refused(typed("sources", "horizon", "2999-01-01"), 2, "has not come yet")
    refused(typed("sources", "horizon", "2026-02-01"), 4, "6 days before 2026-02-01", "--from 2026-01-26")
    assert reading.execute("select from usage.source_horizon").fetchall() == []
    done = typed("sources", "horizon", "2026-01-05")
    assert (done.code, "from 2026-01-05 on" in done.said) == (0, True), done.said
    assert "Fixes 4 computed days before 2026-01-05 as they stand." in done.said
    assert "Raw history: from 2026-01-05 on" in typed("sources").out
    assert json.loads(typed("sources", "--json").out)["meta"]["horizon"] == "2026-01-05"
    refused(typed("sources", "horizon", "2026-01-02"), 4, "moves the horizon back from 2026-01-05", "--yes")
    refused(typed("sources", "horizon", "none"), 4, "moves the horizon back")
    assert typed("sources", "horizon", "none", "--yes").code == 0
    assert "no horizon is declared" in typed("sources").out


@pytest.mark.usefixtures("sealed")
def test_the_horizon_is_asked_about(server: Server, database: str, reading: psycopg.Connection) -> None:
    """A day mistyped on a terminal would fix months of numbers; Enter must not."""
    for keys, said, left in ((b"\n", "Nothing was declared.", 0), (b"y\n", "from 2026-01-05 on", 1)):
        shown = on_a_terminal(server, database, keys, "sources", "horizon", "2026-01-05")
        assert "Fixes 4 computed days before 2026-01-05 as they stand." in shown
        assert "Declare it? [y/N]" in shown
        assert said in shown
        assert len(reading.execute("select from usage.source_horizon").fetchall()) == left
    again = on_a_terminal(server, database, b"", "sources", "horizon", "2026-01-08", "--yes")
    assert "Fixes 3 computed days" in again
    assert "Declare it?" not in again


def declare_in_haste(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql("set local lock_timeout = '200ms'")
        horizon.declare(connection, "tokens", at(DAY))


@pytest.mark.usefixtures("sealed")
def test_a_week_made_from_days_is_not_said_to_be_restated_for_one_user(typed: Type) -> None:
    """Everybody's rows follow their days: the plan must not promise that the others stay."""
    words = ("--from", "2026-01-10", "--to", "2026-01-10", "--user", "Ada", "--reason", "x", "--dry-run")
    week, day = (typed("restate", asset, *words).out for asset in ("tokens_weekly", "tokens_daily"))
    assert "alone" not in week
    assert "users     all: what is made from the periods below" in week
    assert "Ada Lovelace alone" in day
    assert "users     all" not in day


def test_the_horizon_asks_about_a_day_that_was_read_in_part(
    chat: Chat, warehouse: Warehouse, clock: Callable[[date], None], typed: Type
) -> None:
    """It would seal as it stands, and what came after the last run of the day be lost without a word."""
    set_clock(chat.connection, at(DAY, 12))
    compute(warehouse, DAY, (Grain.DAILY,))
    clock(date(2026, 1, 26))
    words = ("1 days before 2026-01-11", "--from 2026-01-10 --to 2026-01-10")
    refused(typed("sources", "horizon", "2026-01-11"), 4, *words)
    compute(warehouse, DAY, (Grain.DAILY,))
    assert typed("sources", "horizon", "2026-01-11").code == 0


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    "words",
    [
        ("restatements", "--to", "9999-12-31"),
        ("usage", "tokens", "--from", "9999-12-31"),
        ("recalc", "--user", "Ada", "--from", "2026-01-10", "--to", "9999-12-31"),
        ("restate", "tokens_yearly", "--from", "9999-01-01", "--to", "9999-12-31", "--reason", "x"),
    ],
)
def test_the_last_day_of_all_is_no_traceback(typed: Type, words: tuple[str, ...]) -> None:
    refused(typed(*words), 2, "give a day before 9999")


def test_the_horizon_waits_for_the_runs_at_work(
    warehouse: Warehouse, server: Server, database: str, typed: Type
) -> None:
    """Purged while a run still reads, a day would lose what it had."""
    with server.connect(database, embedded.LOGIN) as run, run.transaction():
        run.execute("select pg_advisory_xact_lock_shared(hashtextextended('usage.erasure', 0))")
        with pytest.raises(Refusal, match="lock was not had"):
            declare_in_haste(warehouse)
    assert typed("sources", "horizon", "2026-01-01").code == 0


@pytest.mark.stack
def test_dagsters_page_shows_what_a_verb_changed(server: Server) -> None:
    """It would show the old numbers until the next run, which a sealed period may never have."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    day = ("--from", str(DAY), "--to", str(DAY))
    recent = ("--from", str(yesterday), "--to", str(yesterday))
    with stack.checked_out("usage-seal-") as checkout, cloned(server, TEMPLATE) as name:
        url = server.url(name).set(drivername="postgresql").render_as_string()
        told = {"USAGE_DATABASE_URL": url, "USAGE_START": str(DAY)}
        writer = Warehouse(server.url(name))
        with writer.begin(Role.WRITER) as policy:
            set_policy(policy, first_day=DAY, grace_days=7)
        writer.dispose()
        with server.connect(name, embedded.LOGIN) as connection:
            chat = Chat(connection)
            session = chat.session(user_id=chat.user("Ada Lovelace"))
            for each in (DAY, yesterday):
                chat.answer(at=at(each), conversation_id=session.conversation_id)
        week = ("tokens_daily", "tokens_weekly", "--from", str(DAY), "--to", "2026-01-11")
        for asked in (week, ("tokens_daily", *recent)):
            first = checkout.usage_pipeline("backfill", *asked, **told)
            assert first.code == 0, first.said
        before = materialized(checkout)
        with server.connect(name, embedded.LOGIN) as connection:
            for each in (DAY, yesterday):
                Chat(connection).answer(at=at(each, 15), conversation_id=session.conversation_id)
        for words in (
            ("restate", "tokens_daily", *day, "--reason", "late"),
            ("recalc", "--user", "Ada", *recent),
        ):
            done = [checkout.usage_pipeline(*words, **told) for _ in range(2)]  # the second changes nothing
            assert [each.code for each in done] == [0, 0], done
            assert "Dagster" not in done[0].said, done
        assert materialized(checkout)[len(before) :] == [
            ("tokens_daily", str(DAY), 2),
            ("tokens_weekly", "2026-01-05", 2),
            ("tokens_daily", str(yesterday), 2),
        ]  # fmt: skip


def materialized(checkout: Checkout) -> list[tuple[str, str, int]]:
    """What Dagster's storage holds, oldest first: the asset, the partition, its messages."""
    with (
        embedded.held(embedded.of(checkout.folder / ".usage")) as storage,
        storage.connect(embedded.DAGSTER_DATABASE, embedded.LOGIN) as connection,
    ):
        rows = connection.execute(
            "select asset_key, partition, event from event_logs"
            " where dagster_event_type = 'ASSET_MATERIALIZATION' order by id"
        ).fetchall()
    return [(json.loads(key)[0], partition, _messages(event)) for key, partition, event in rows]


def _messages(event: str) -> int:
    stored = json.loads(event)["dagster_event"]["event_specific_data"]["materialization"]
    numbers = {each["label"]: each["entry_data"].get("value") for each in stored["metadata_entries"]}
    return int(numbers["messages"])


@pytest.mark.usefixtures("sealed")
def test_without_dagsters_storage_a_verb_says_so_and_succeeds(
    chat: Chat, ada: UUID, server: Server, database: str, verbs: Verbs, reading: psycopg.Connection
) -> None:
    """The numbers are committed by then; a lost page must not look like a lost change."""
    chat.answer(at=at(DAY), conversation_id=chat.session(user_id=ada).conversation_id)
    told = {
        "USAGE_DATABASE_URL": server.url(database).set(drivername="postgresql").render_as_string(),
        "USAGE_START": START.isoformat(),
        "DAGSTER_PG_URL": "postgresql://u:pa55word@127.0.0.1:1/d",
    }
    done = verbs(*RESTATE, "--reason", "late", **told)
    assert (done.code, messages(reading, ada)["daily"]) == (0, 3), done.said
    assert done.said.count("Dagster's page will show what changed after the next run") == 1
    assert "pa55" not in done.said
    assert "Dagster" not in verbs(*RESTATE, "--reason", "late", **told).said, "nothing changed"


def test_nothing_to_show(typed: Type) -> None:
    for words, said in (
        (("restatements",), "No period was restated."),
        (("restatements", "--kept"), "No sealed period keeps more than its source."),
    ):
        done = typed(*words)
        assert (done.code, done.out, done.said.strip()) == (0, "", said)
    refused(typed("restatements", "tokens_hourly"), 2, "no asset `tokens_hourly`")
    refused(typed("restatements", "--user", "Nobody Known"), 2, "no user is called")
