"""`usage tokens` at every grain, as a person or a program reads it."""

import csv
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Final
from uuid import uuid4

import click
import pytest
from rich.cells import cell_len

from usage_pipeline.cli import console, program, usage
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.cli.test_poor_databases import url_of
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, set_policy
from usage_pipeline_tests.serving.history import START, History, Templates, made_once_each, prune_days
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs

pytestmark = pytest.mark.once
TODAY = date(2026, 1, 14)
APRIL = date(2026, 4, 3)
UNNAMED = [uuid4() for _ in range(3)]
Ask = Callable[..., Done]


def answered(found: History) -> None:
    """Ada and Grace around New Year; nothing is computed yet."""
    found.clock(TODAY)
    ada, grace = found.chat.user("Ada"), found.chat.user("Grace")
    found.answers([date(2025, 12, 30), date(2026, 1, 2), date(2026, 1, 6), TODAY], user=ada)
    found.answers([date(2026, 1, 6), date(2026, 1, 7), date(2026, 1, 8)], user=grace)


def all_computed(found: History) -> None:
    answered(found)
    found.clock(date(2026, 1, 12), 0)
    found.compute_all(date(2026, 1, 11))


def computed_today(found: History) -> None:
    answered(found)
    found.compute_all(TODAY)


def computed_in_april(found: History) -> None:
    answered(found)
    found.clock(APRIL)
    found.compute_all(APRIL)


def of_many(found: History) -> None:
    """53 users with a day each, the first the biggest; Ada and Grace, and what belongs to nobody."""
    answered(found)
    for number in range(53):
        user = found.chat.user(f"User {number:02}")
        found.answers([date(2026, 1, 5)] * (60 - number), user=user)
    found.answers([date(2026, 1, 5)])
    found.compute_all(TODAY)


def of_long_words(found: History) -> None:
    """Large numbers, of users with long names and of users without any."""
    answered(found)
    keys = ("prompt_tokens", "completion_tokens", "total_tokens")
    large = {"processingDetails": dict.fromkeys(keys, 10**12)}
    long = found.chat.user("Ada Augusta Byron King-Noel, Countess of Lovelace, of 12345678901234567890")
    for user in (*UNNAMED, long, found.chat.user("計算機" * 12)):
        found.chat.answer(large, at=datetime(2026, 1, 13, 9, tzinfo=UTC), sender_user_id=user)
    found.answers([date(2025, 12, 31)], user=UNNAMED[0])
    found.compute_all(TODAY)


HISTORIES: Final = {
    "history": answered,
    "computed": all_computed,
    "current": computed_today,
    "idle": computed_in_april,
    "crowd": of_many,
    "wide": of_long_words,
}
"""What the history of each fixture is; it is made once, and each test has a clone."""


@pytest.fixture(scope="module")
def templates(server: Server) -> Iterator[Templates]:
    with made_once_each(server) as found:
        yield found


@pytest.fixture
def database(server: Server, templates: Templates, request: pytest.FixtureRequest) -> Iterator[str]:
    """With the history of the fixture that the test asks for, if any."""
    named = [make for name, make in HISTORIES.items() if name in request.fixturenames]
    with cloned(server, templates(*named) if named else TEMPLATE) as name:
        yield name


def history_of(chat: Chat, warehouse: Warehouse) -> History:
    return History(chat, warehouse)


history, computed, current, idle, crowd, wide = (pytest.fixture(history_of, name=name) for name in HISTORIES)


@pytest.fixture
def ask(verbs: Verbs, server: Server, database: str) -> Ask:
    given = {"USAGE_DATABASE_URL": url_of(server, database), "USAGE_START": str(START)}

    def asked(*words: str) -> Done:
        return verbs("usage", "tokens", *words, **given)

    return asked


def lines_of(done: Done) -> list[list[str]]:
    """The cells of the table's rows."""
    assert done.code == 0, done.said
    shown = [line for line in done.out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in shown]


def test_weeks_of_everybody(ask: Ask, computed: History) -> None:
    """Without dates the newest computed week; with them every week, the newest first."""
    done = ask("--grain", "weekly")
    assert "Tokens by user, 2026-01-05 to 2026-01-11 (UTC)" in done.out
    assert [row[:4] for row in lines_of(done)] == [
        ["2026-W02", "Grace", "3", "1"], ["2026-W02", "Ada", "1", "1"], ["Total", "", "4", "2"],
    ]  # fmt: skip
    assert "Complete for this week (open), as of 2026-01-12 00:00 UTC." in done.said
    several = ask("--grain", "weekly", "--from", "2025-12-31")
    assert [row[:4] for row in lines_of(several)][2:] == [
        ["2026-W01", "Ada", "2", "1"],
        ["Total", "", "6", ""],
    ]
    assert "Complete for these weeks (1 sealed, 1 open)" in several.said


def test_periods_of_one_user(ask: Ask, computed: History) -> None:
    """The oldest first, as days are; how many there are depends on the grain."""
    for grain, labels, conversations in (
        ("weekly", ["2026-W01", "2026-W02"], ""), ("monthly", ["2025-12", "2026-01"], "1"),
        ("yearly", ["2025", "2026"], ""),
    ):  # fmt: skip
        rows = lines_of(ask("--grain", grain, "--user", "Ada"))
        assert [row[0] for row in rows] == [*labels, "Total"]
        assert [row[2] for row in rows] == ["1", "1", conversations]


@pytest.mark.parametrize(
    ("grain", "first", "last"),
    [
        ("weekly", "2026-01-12", "2026-04-05"),
        ("monthly", "2025-12-01", "2026-04-30"),
        ("yearly", "2025-01-01", "2026-12-31"),
    ],
)
def test_how_far_back_one_user_is_shown(ask: Ask, idle: History, grain: str, first: str, last: str) -> None:
    """Twelve weeks; twelve months and all years, but none before the first day."""
    meta = json.loads(ask("--grain", grain, "--user", "Ada", "--json").out)["meta"]
    assert (meta["first_day"], meta["last_day"]) == (first, last)


@pytest.mark.parametrize("words", [(), ("--user", "Ada"), ("--to", "2025-12-22")])
@pytest.mark.parametrize("grain", ["weekly", "monthly", "yearly"])
def test_a_history_that_begins_within_the_newest_period(
    ask: Ask, history: History, grain: str, words: tuple[str, ...]
) -> None:
    """The period begins before the first day, which is no reason to show nothing."""
    history.clock(START)
    history.compute_all(START)
    assert lines_of(ask("--grain", grain, *words))[-1][0] == "Total"


def test_dates_stand_for_the_period_that_holds_them(ask: Ask, computed: History) -> None:
    words = ("--from", "2025-12-31", "--to", "2025-12-31", "--json")
    for grain, first in (("weekly", "2025-12-29"), ("monthly", "2025-12-01"), ("yearly", "2025-01-01")):
        data = json.loads(ask("--grain", grain, *words).out)["data"]
        assert [row["period_start"] for row in data["rows"]] == [first]


def test_json_of_weeks(ask: Ask, computed: History) -> None:
    document = json.loads(ask("--grain", "weekly", "--from", "2026-01-01", "--json").out)
    first, *_, last = document["data"]["rows"]
    assert list(first) == [
        "grain", "period_start", "user_id", "label", "messages", "conversations", "prompt_tokens",
        "completion_tokens", "total_tokens", "unmetered_messages", "refused_messages", "last_activity",
        "share_ratio",
    ]  # fmt: skip
    assert [first["grain"], first["period_start"], last["period_start"]] == [
        "weekly", "2026-01-05", "2025-12-29",
    ]  # fmt: skip
    assert document["data"]["totals"] == {
        "messages": 6, "conversations": None, "prompt_tokens": 60, "completion_tokens": 30,
        "total_tokens": 90,
    }  # fmt: skip
    meta = document["meta"]
    assert (meta["grain"], meta["complete"], meta["missing_weeks"], meta["stale_weeks"]) == (
        "weekly", True, [], [],
    )  # fmt: skip
    one = json.loads(ask("--grain", "monthly", "--user", "Ada", "--json").out)["data"]["rows"]
    assert [(row["period_start"], row["label"]) for row in one] == [
        ("2025-12-01", "2025-12"), ("2026-01-01", "2026-01"),
    ]  # fmt: skip


def test_csv_of_months(ask: Ask, computed: History) -> None:
    rows = list(csv.DictReader(ask("--grain", "monthly", "--csv", "--from", "2025-12-01").out.splitlines()))
    assert [(row["grain"], row["period_start"], row["label"], row["messages"]) for row in rows] == [
        ("monthly", "2026-01-01", "Grace", "3"), ("monthly", "2026-01-01", "Ada", "2"),
        ("monthly", "2025-12-01", "Ada", "1"),
    ]  # fmt: skip
    (header, *_) = ask("--grain", "monthly", "--csv", "--user", "Ada").out.splitlines()
    assert header.startswith("grain,period_start,label,messages,")


@pytest.mark.parametrize(
    ("grain", "at", "shown", "newer"),
    [
        ("weekly", date(2026, 1, 12), "2026-01-05 to 2026-01-11", "weeks without usage: 1, up to 2026-W03"),
        ("monthly", date(2026, 1, 1), "2025-12-01 to 2025-12-31", "months without usage: 1, up to 2026-01"),
        ("yearly", date(2026, 1, 1), "2025-01-01 to 2025-12-31", "years without usage: 1, up to 2026"),
    ],
)
def test_a_period_that_has_just_begun_hides_nobody(
    ask: Ask, history: History, grain: str, at: date, shown: str, newer: str
) -> None:
    """On a Monday, the first of a month and New Year's day the newest period is empty."""
    history.clock(at, 6)
    history.compute_all(at)
    done = ask("--grain", grain)
    assert f"Tokens by user, {shown} (UTC)" in done.out
    assert lines_of(done)[-1][2] != "0"
    assert f"Newer {newer} (open), computed up to {at} 06:00 UTC." in done.said
    meta = json.loads(ask("--grain", grain, "--json").out)["meta"]
    assert f"{meta['first_day']} to {meta['last_day']}" == shown
    asked_for = ask("--grain", grain, "--from", str(at))
    assert f"Tokens by user, {at} to" in asked_for.out, "who names a period gets it"
    assert "Newer" not in asked_for.said


def test_a_newer_period_that_was_not_computed_is_named(ask: Ask, computed: History) -> None:
    computed.clock(date(2026, 1, 27))
    computed.chat.connection.execute("delete from public.chat_messages_v2 where created_at > '2026-01-12'")
    computed.compute(Grain.DAILY, date(2026, 1, 12), date(2026, 1, 18))
    computed.compute(Grain.WEEKLY, date(2026, 1, 12))
    done = ask("--grain", "weekly")
    assert [row[0] for row in lines_of(done)] == ["2026-W02", "2026-W02", "Total"]
    assert "Newer weeks without usage: 1, up to 2026-W03 (sealed).\n" in done.said
    assert (
        "Newer weeks never computed: 2, the first is 2026-W04: usage-pipeline backfill tokens_daily "
        "tokens_weekly --from 2026-01-19 --to 2026-01-27"
    ) in done.said


def test_nothing_was_ever_used(ask: Ask, chat: Chat, warehouse: Warehouse) -> None:
    """Where no period has rows the newest computed one is shown, and that there is nothing to look for."""
    history = History(chat, warehouse)
    history.clock(TODAY)
    history.compute_all(TODAY)
    for grain in ("daily", "weekly", "yearly"):
        done = ask("--grain", grain)
        assert [row[0] for row in lines_of(done)] == ["Total"]
        assert "No usage is stored in any period." in done.said
        assert "Newer" not in done.said


def test_an_idle_month_of_everybody(ask: Ask, idle: History) -> None:
    """An empty table of 30 days says where the numbers are."""
    done = ask()
    assert (
        "No usage is stored from 2026-03-05 to 2026-04-03; the newest usage stored is of 2026-01-14: "
        "usage-pipeline usage tokens --to 2026-01-14"
    ) in done.said
    assert lines_of(ask("--to", "2026-01-14"))[-1][1] == "7"


def test_an_idle_user(ask: Ask, idle: History) -> None:
    """Silence could be a lost user; the last activity and the command that shows it are one sentence."""
    ada = json.loads(ask("--user", "Ada", "--json").out)["meta"]
    assert ada["last_activity"] == "2026-01-14T09:00:00+00:00"
    done = ask("--user", "Ada")
    assert (
        "No usage of Ada is stored from 2026-03-05 to 2026-04-03; the last activity stored is of 2026-01-14: "
        f"usage-pipeline usage tokens --user {ada['user_id']} --to 2026-01-14"
    ) in done.said
    assert [row[0] for row in lines_of(ask("--user", ada["user_id"], "--to", "2026-01-14"))] == [
        "2025-12-30", "2026-01-02", "2026-01-06", "2026-01-14", "Total",
    ]  # fmt: skip
    later = ask("--grain", "monthly", "--user", "Ada", "--from", "2026-02-01")
    assert f"--user {ada['user_id']} --grain monthly --to 2026-01-14" in later.said
    assert "last activity" not in ask("--user", "Ada", "--to", "2026-01-14").said


def test_an_idle_user_whose_days_are_pruned(ask: Ask, idle: History, server: Server, database: str) -> None:
    """The command names a grain that still holds the last activity."""
    with server.connect(database) as connection:
        prune_days(connection, START, date(2026, 1, 31))
    done = ask("--user", "Grace")
    assert "the last activity stored is of 2026-01-08: usage-pipeline usage tokens --user" in done.said
    assert "--grain weekly --to 2026-01-08" in done.said


def test_an_idle_user_from_before_the_first_day(
    current: History, verbs: Verbs, server: Server, database: str
) -> None:
    """`--to` a day before the first one is refused: the command that helps moves it back."""
    moved = date(2026, 1, 10)
    with current.warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=moved, grace_days=7)
    given = {"USAGE_DATABASE_URL": url_of(server, database), "USAGE_START": str(moved)}
    done = verbs("usage", "tokens", "--user", "Grace", **given)
    assert "the last activity stored is of 2026-01-08: usage-pipeline sources start 2026-01-08" in done.said


def test_users_without_any_usage(ask: Ask, computed: History) -> None:
    computed.chat.user("Émile [Borel]")
    done = ask("--user", "émile [borel]")
    assert "No usage of Émile [Borel] is stored in any period." in done.said
    assert json.loads(ask("--user", "émile [borel]", "--json").out)["meta"]["last_activity"] is None
    nobody = ask("--user", "unattributed")
    assert "No usage of (unattributed) is stored in any period." in nobody.said


def test_nobodys_last_activity_is_asked_for_by_its_word(ask: Ask, history: History) -> None:
    history.answers([date(2026, 1, 2)])
    history.clock(APRIL)
    history.compute_all(APRIL)
    assert "usage tokens --user unattributed --to 2026-01-02" in ask("--user", "unattributed").said
    assert lines_of(ask("--user", "unattributed", "--to", "2026-01-02"))[0][0] == "2026-01-02"


def test_days_are_as_they_were(ask: Ask, computed: History) -> None:
    """Whoever parses the daily output must not notice that there are other grains."""
    document = json.loads(ask("--json").out)
    assert list(document["meta"]) == [
        "first_day", "last_day", "complete", "as_of", "missing_days", "user_id", "timezone",
    ]  # fmt: skip
    assert list(document["data"]["rows"][0])[:2] == ["user_id", "label"]
    assert document == json.loads(ask("--grain", "daily", "--json").out)
    assert ask("--csv").out.splitlines()[0] == (
        "user_id,label,messages,conversations,prompt_tokens,completion_tokens,total_tokens,"
        "unmetered_messages,refused_messages,last_activity,share_ratio"
    )
    assert ask("--csv", "--user", "Ada").out.startswith("day,label,messages,")
    done = ask("--user", "Ada")
    assert [row[0] for row in lines_of(done)] == ["2025-12-30", "2026-01-02", "2026-01-06", "Total"]
    assert "Complete for these days, as of 2026-01-12 00:00 UTC." in done.said


def test_a_grain_that_is_none(ask: Ask) -> None:
    done = ask("--grain", "hourly")
    assert (done.code, done.out) == (2, "")
    assert "'hourly' is not one of 'daily', 'weekly', 'monthly', 'yearly'" in done.said


def test_nothing_was_computed_of_a_grain(ask: Ask, history: History) -> None:
    history.compute(Grain.DAILY, START, TODAY)
    done = ask("--grain", "monthly")
    assert done.code == 1
    assert "no month of tokens was computed yet" in done.said
    assert f"usage-pipeline backfill all --from {START} --to yesterday" in done.said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-01-09", "--to", "2026-01-07"), "--from 2026-01-09 comes after --to 2026-01-07"),
        (("--to", "2026-01-19"), "--to 2026-01-19 has not come yet"),
        (("--from", "2025-12-01", "--to", "2025-12-21"), "--to 2025-12-21 lies before the first day"),
    ],
)
def test_dates_that_make_no_sense(ask: Ask, current: History, words: tuple[str, ...], said: str) -> None:
    done = ask("--grain", "weekly", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.said
    straddling = ask("--grain", "weekly", "--from", "2025-12-01", "--to", "2025-12-22")
    assert straddling.code == 0, "its week holds the first day"


def test_a_day_to_come_of_a_period_that_has_begun(ask: Ask, current: History) -> None:
    """A day stands for the period that holds it, and the current year is as good as any."""
    for grain, last in (("weekly", "2026-01-18"), ("monthly", "2026-01-31"), ("yearly", "2026-12-31")):
        done = ask("--grain", grain, "--from", "2026-01-12", "--to", last)
        assert lines_of(done)[-1][0] == "Total"
        assert f"--to {TODAY}" in done.said, "no command names a day to come"
    done = ask("--to", "2026-01-15")
    assert (done.code, "--to 2026-01-15 has not come yet" in done.said) == (2, True)


def test_weeks_that_were_never_computed(ask: Ask, history: History) -> None:
    history.compute(Grain.DAILY, START, TODAY)
    history.compute(Grain.WEEKLY, START)
    done = ask("--grain", "weekly", "--to", str(TODAY), "--from", str(START))
    assert (
        "Incomplete, weeks never computed: 3, the first is 2026-W01: "
        "usage-pipeline backfill tokens_daily tokens_weekly --from 2025-12-29 --to 2026-01-14"
    ) in done.said


def test_a_command_names_no_day_before_the_first(ask: Ask, history: History) -> None:
    """A backfill of them is refused."""
    history.compute(Grain.DAILY, START, TODAY)
    history.compute(Grain.MONTHLY, START, TODAY)
    history.compute(Grain.YEARLY, TODAY)
    done = ask("--grain", "yearly", "--from", "2025-01-01")
    assert "never computed: 1, the first is 2025: usage-pipeline backfill tokens_daily" in done.said
    assert f"tokens_yearly --from {START} --to 2025-12-31" in done.said


def test_an_open_year_names_what_is_to_run(ask: Ask, current: History) -> None:
    """Running the year alone would change nothing: it goes as far as its months, and they as their days."""
    done = ask("--grain", "yearly")
    assert (
        "Incomplete: 2026 is computed up to 2026-01-14 12:00 UTC: usage-pipeline backfill tokens_daily "
        "tokens_monthly tokens_yearly --from 2026-01-14 --to 2026-01-14"
    ) in done.said


def test_a_period_that_is_older_than_its_days(ask: Ask, computed: History) -> None:
    computed.answers([date(2026, 1, 6)])
    computed.compute(Grain.DAILY, date(2026, 1, 6))
    assert (
        "Incomplete, weeks built from an older version of what is below them: 1, the first is 2026-W02: "
        "usage-pipeline backfill tokens_weekly --from 2026-01-05 --to 2026-01-11"
    ) in ask("--grain", "weekly").said
    assert (
        "backfill tokens_monthly tokens_yearly --from 2026-01-01 --to 2026-01-12"
        in ask("--grain", "yearly").said
    )
    computed.compute(Grain.WEEKLY, date(2026, 1, 6))
    assert "Complete for this week (open)" in ask("--grain", "weekly").said


def test_sealed_and_kept(ask: Ask, current: History) -> None:
    """A week may hold more than its source does today: a reader must hear it, or calls it a mistake."""
    current.chat.connection.execute("delete from public.chat_messages_v2")
    current.compute(Grain.DAILY, date(2025, 12, 30))
    done = ask("--grain", "weekly", "--to", "2026-01-01")
    assert "Complete for this week (sealed), as of 2026-01-05 00:00 UTC." in done.said
    assert (
        "1 message is stored that the source no longer has: usage-pipeline restatements --kept" in done.said
    )


def test_pruned_days_name_the_months(ask: Ask, computed: History, server: Server, database: str) -> None:
    with server.connect(database) as connection:
        prune_days(connection, START, date(2025, 12, 31))
    done = ask("--from", str(START), "--to", "2026-01-02")
    assert (
        "Incomplete, days whose rows were pruned: 8, the first is 2025-12-24: "
        "usage-pipeline usage tokens --grain monthly"
    ) in done.said
    assert json.loads(ask("--from", str(START), "--to", str(START), "--json").out)["meta"][
        "missing_days"
    ] == [str(START)]


def test_the_first_50_users_and_the_others_as_one_line(ask: Ask, crowd: History) -> None:
    """Two thousand lines hide the biggest, and a list without its tail does not add up."""
    rows = lines_of(ask())
    assert [rows[0][0], rows[49][0]] == ["User 00", "User 49"]
    assert [row[0] for row in rows[50:]] == ["and 5 more users", "(unattributed)", "Total"]
    for place in (1, 3, 4, 5):
        cells = [int(row[place].replace(",", "")) for row in rows]
        assert sum(cells[:-1]) == cells[-1]
    assert [row[2] for row in rows[50:]] == ["", "1", "56"], "distinct ones do not add up: not counted"
    assert sum(float(row[6].rstrip("%")) for row in rows[:-1]) == pytest.approx(100, abs=3)


def test_every_user_where_it_is_asked_for(ask: Ask, crowd: History) -> None:
    every = lines_of(ask("--all"))
    assert len(every) == 53 + 2 + 2
    assert not any("more user" in row[0] for row in every)
    rows = json.loads(ask("--json").out)["data"]["rows"]
    assert len(rows) == 56
    assert all(row["user_id"] and row["conversations"] for row in rows)
    assert ask("--json").out == ask("--json", "--all").out
    assert len(ask("--csv").out.splitlines()) == 57
    said = ask("--help").out
    assert "Every user, not only the 50" in " ".join(said.split())


def test_the_others_of_each_period(ask: Ask, crowd: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each period has its own first 50; one user more is one line as well."""
    weeks = lines_of(ask("--grain", "weekly", "--from", "2025-12-29"))
    assert [row[:3] for row in weeks if "more user" in row[1] or row[0] == "2026-W01"] == [
        ["2026-W02", "and 5 more users", "31"], ["2026-W01", "Ada", "2"],
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(usage, "_MOST", 54)
        assert "│ and 1 more user " in ask().out


def test_users_without_a_label_are_ids(ask: Ask, crowd: History) -> None:
    """The application's directory may be closed, empty, or full of blanks."""
    ids = {row["user_id"] for row in json.loads(ask("--json").out)["data"]["rows"]}
    crowd.chat.connection.execute("update public.profiles set full_name = '  '")
    blank = lines_of(ask())
    crowd.chat.connection.execute("delete from public.profiles")
    assert {row[0] for row in lines_of(ask())[:50]} <= ids
    assert {row[0] for row in blank[:50]} <= ids
    assert "None" not in ask("--user", "User").said


@pytest.mark.parametrize("width", [60, 80, 120, None])
@pytest.mark.parametrize("words", [(), ("--grain", "weekly"), ("--grain", "weekly", "--from", "2025-12-29")])
def test_ids_and_numbers_stay_whole(
    ask: Ask, wide: History, monkeypatch: pytest.MonkeyPatch, width: int | None, words: tuple[str, ...]
) -> None:
    """A cut id finds nobody and a cut number is another number; None is a pipe, which has no width."""
    _narrow(monkeypatch, width)
    shown = ask(*words).out
    for whole in (*map(str, UNNAMED), "1,000,000,000,000", "5,000,000,000,", "Ada Augusta Byron King"):
        assert whole in shown
    assert all(cell_len(line) <= (width or 1000) for line in shown.splitlines())
    for line in shown.splitlines():
        before, mark, _ = line.partition("…")
        assert not mark or any(name in before for name in ("Ada Augusta", "計算機")), line
    assert ("Last activity" in shown) == (width is None or "│" not in shown)


def test_what_does_not_fit_in_columns_is_a_list(
    ask: Ask, computed: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several periods of users without a name, in 40 columns: cell by cell, none left out."""
    computed.chat.connection.execute("delete from public.profiles")
    ids = [row["user_id"] for row in json.loads(ask("--json").out)["data"]["rows"]]
    _narrow(monkeypatch, 50)
    shown = ask("--grain", "weekly", "--from", "2025-12-29").out
    assert "│" not in shown
    assert all(f"User           {each}\n" in shown for each in ids)
    assert shown.count("Period         2026-W02\n") == 2
    assert "Period         Total\nMessages       6\n" in shown
    assert "Last activity  2026-01-08 09:00" in shown


def test_two_forms_at_once_are_an_error(ask: Ask) -> None:
    """The last one given won, and a script that added --csv to its words was handed JSON."""
    for words in (("--json", "--csv"), ("--csv", "--json", "--all")):
        done = ask(*words)
        assert (done.code, done.out) == (2, "")
        assert "--json and --csv exclude each other. Fix: give one of them" in done.said


def test_no_other_verb_has_two_forms() -> None:
    """A verb that gets a second form has to refuse both at once, as `usage tokens` does."""
    assert [name for name, options in _verbs(program.program) if {"--json", "--csv"} <= options] == [
        "usage tokens"
    ]


def _verbs(group: click.Group, before: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        options = {word for each in command.params for word in each.opts}
        yield f"{before}{name}", options
        if isinstance(command, click.Group):
            yield from _verbs(command, f"{before}{name} ")


def _narrow(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    """A terminal of this width; None leaves the pipe."""
    if width:
        monkeypatch.setattr(console, "_width", lambda: width)


def test_a_narrow_terminal_keeps_periods_and_names(
    ask: Ask, computed: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that is cut is a line about nobody."""
    wide = ask("--grain", "weekly")
    _narrow(monkeypatch, 60)
    rows = lines_of(ask("--grain", "weekly"))
    assert [row[:2] for row in rows[:2]] == [["2026-W02", "Grace"], ["2026-W02", "Ada"]]
    assert all("…" not in cell for row in rows for cell in row)
    assert len(rows[0]) < len(lines_of(wide)[0])
