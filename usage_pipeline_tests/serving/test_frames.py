"""`read`: tidy frames with the numbers that `usage tokens` shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from usage_pipeline import settings
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import Refusal
from usage_pipeline.serving import frames, lines, periods, read
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, Chat
from usage_pipeline_tests.serving.history import START, History, prune_days
from usage_pipeline_tests.serving.test_tokens import compute, day
from usage_pipeline_tests.verbs import Verbs

TODAY = date(2026, 1, 14)


@pytest.fixture
def here(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """`read` opens this test's database."""

    @contextmanager
    def opened() -> Iterator[tuple[Settings, Warehouse]]:
        yield settings.load(), warehouse

    monkeypatch.setattr(session, "opened", opened)
    return warehouse


def test_the_same_numbers_as_the_table(chat: Chat, here: Warehouse) -> None:
    """Two ways to one number must not be two numbers."""
    keys = ("prompt_tokens", "completion_tokens", "total_tokens")
    large = {"processingDetails": dict.fromkeys(keys, 10**12)}
    owned = [chat.session(user_id=chat.user(name)) for name in ("Ada", "Grace")]
    for number in range(3):
        for each in owned:
            chat.answer(large, at=NOON + timedelta(days=number), conversation_id=each.conversation_id)
    chat.answer({"tokens": "bad"})
    compute(here, day(0), day(2))
    frame = read("tokens_daily", "2026-03", by=["user"])
    with here.begin(Role.READER) as connection:
        found = lines.by_user(connection, date(2026, 3, 1), date(2026, 3, 31))
    assert list(frame["user"]) == [line.label for line in found]
    for name in frames.COUNTS:
        assert list(frame[name]) == [getattr(line, name) for line in found]
        assert str(frame[name].dtype) == "int64"
    assert list(frame["conversations"]) == [1, 1, 1]
    daily = read("tokens_daily", "2026")
    assert len(daily) == 7
    assert int(daily["total_tokens"].sum()) == 6 * 10**12
    assert str(daily["day"].dt.tz) == "UTC"
    assert read("tokens_daily", "2026-03-04", by=[])["conversations"].tolist() == [3]


def test_a_frame_without_rows_has_its_columns_and_types(here: Warehouse) -> None:
    """Code that was tried on a full month must not fail on an empty one."""
    compute(here, day(0), day(0))
    empty = read("tokens_daily", "2026-02-01")
    assert len(empty) == 0
    assert list(empty.columns) == ["day", "user_id", "user", *frames.COUNTS, "last_activity"]
    assert str(empty["total_tokens"].dtype) == "int64"


@pytest.mark.parametrize(
    ("rollup", "period", "by"),
    [
        ("tokens_dayly", "2026", ["user"]),
        ("tokens_daily", "2026-13", ["user"]),
        ("tokens_daily", "October", ["user"]),
        ("tokens_daily", "2026", ["agent"]),
        ("tokens_daily", "20261005", ["user"]),
        ("tokens_daily", "9999", ["user"]),
        ("tokens_daily", "2026", ["week"]),
        ("tokens_weekly", "2026", ["day"]),
        ("tokens_hourly", "2026", ["user"]),
        ("tokens_weekly", "2025-W53", ["week"]),
        ("tokens_weekly", "2026-W7", ["week"]),
    ],
)
def test_words_that_mean_nothing_are_refused(rollup: str, period: str, by: list[str]) -> None:
    with pytest.raises(Refusal):
        read(rollup, period, by=by)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2024-02-28", date(2024, 2, 28), date(2024, 2, 28)),
        ("2026-W01", date(2025, 12, 29), date(2026, 1, 4)),
        ("2020-W53", date(2020, 12, 28), date(2021, 1, 3)),
    ],
)
def test_a_period_as_a_person_writes_it(text: str, first: date, last: date) -> None:
    assert periods.span(text) == (first, last)


def test_a_frame_says_what_it_lacks(chat: Chat, here: Warehouse) -> None:
    """An empty month that was never computed looks like a month without usage."""
    chat.answer()
    compute(here, day(0), day(1))
    whole = read("tokens_daily", str(day(0)))
    assert whole.attrs["complete"] is True
    lacking = read("tokens_daily", "2026-03", by=["user"])
    assert lacking.attrs["complete"] is False
    assert len(lacking.attrs["missing_days"]) == 29
    today = datetime.now(UTC).date()
    assert read("tokens_daily", f"{today:%Y-%m}").attrs["complete"] is False


@pytest.mark.parametrize(
    ("grain", "period", "its_day"),
    [
        (Grain.DAILY, "2025-12-21", "2025-12-21"),
        (Grain.WEEKLY, "2025-W51", "2025-12-15"),
        (Grain.DAILY, "2126-01-07", "2126-01-07"),
        (Grain.MONTHLY, "2126-01", "2126-01-07"),
    ],
)
def test_a_period_out_of_reach_is_refused_as_on_the_command_line(
    chat: Chat, here: Warehouse, verbs: Verbs, monkeypatch: pytest.MonkeyPatch,
    grain: Grain, period: str, its_day: str,
) -> None:  # fmt: skip
    """An empty frame of a period that nothing covers looks like a period without usage."""
    words = ("usage", "tokens", "--grain", grain.value, "--to", its_day)
    done, refused = verbs(*words), _refused(f"tokens_{grain}", period)
    assert (done.code, done.said.strip()) == (1, str(refused))
    assert "of tokens was computed yet. Fix: usage-pipeline backfill" in str(refused)
    history = _history(chat, here, monkeypatch)
    history.clock(TODAY)
    history.compute_all(TODAY)
    done, refused = verbs(*words), _refused(f"tokens_{grain}", period)
    assert done.code == refused.exit_code == 2
    assert done.said.strip().replace(f"--to {its_day}", period) == str(refused)


def test_what_has_begun_without_a_period_of_its_own(weeks: History) -> None:
    """On New Year's day the year has come, its first week has not."""
    weeks.clock(date(2027, 1, 1))
    assert _refused("tokens_weekly", "2027").what == "2027-W01 has not come yet"
    assert _refused("tokens_weekly", "2028").what == "2028 has not come yet"
    assert read("tokens_yearly", "2027").attrs["missing_years"] == [date(2027, 1, 1)]


def test_a_year_before_every_first_day_has_no_command_that_helps(weeks: History) -> None:
    assert _refused("tokens_daily", "1999").fix == f"ask for a day from {START} on"
    assert "$ sources start 2000-01-01" in _refused("tokens_daily", "2000").fix


def test_an_unknown_grain_is_refused_as_on_the_command_line(verbs: Verbs) -> None:
    known = "is not one of 'daily', 'weekly', 'monthly', 'yearly'"
    assert f"'hourly' {known}" in verbs("usage", "tokens", "--grain", "hourly").said
    refused = _refused("tokens_hourly", "2026")
    assert (refused.what.replace("tokens_", ""), refused.exit_code) == (f"'hourly' {known}", 2)
    assert _refused("tokens_daily", "2026", ["agent"]).what == "'agent' is not one of 'day', 'user'"


def _refused(rollup: str, period: str, by: list[str] | None = None) -> Refusal:
    with pytest.raises(Refusal) as found:
        read(rollup, period, by=by)
    return found.value


def _history(chat: Chat, here: Warehouse, monkeypatch: pytest.MonkeyPatch) -> History:
    """A database and settings that begin on the same day."""
    monkeypatch.setenv("USAGE_START", str(START))
    return History(chat, here)


@pytest.fixture
def weeks(chat: Chat, here: Warehouse, monkeypatch: pytest.MonkeyPatch) -> History:
    """A conversation of Ada's over New Year, and what two users share in January."""
    history = _history(chat, here, monkeypatch)
    history.clock(TODAY)
    ada, grace, shared = chat.user("Ada"), chat.user("Grace"), UUID(int=7)
    history.answers([date(2025, 12, 30), date(2026, 1, 2), date(2026, 1, 6)], user=ada, conversation=shared)
    history.answers([date(2026, 1, 6), date(2026, 1, 7)], user=grace, conversation=shared)
    keys = ("prompt_tokens", "completion_tokens", "total_tokens")
    large = {"processingDetails": dict.fromkeys(keys, 10**12)}
    for hour in (1, 2, 3):
        chat.answer(large, at=datetime(2026, 1, 12, hour, tzinfo=UTC), sender_user_id=ada)
    history.compute_all(TODAY)
    return history


@pytest.mark.parametrize(
    ("grain", "period"), [(Grain.WEEKLY, "2026"), (Grain.MONTHLY, "2026"), (Grain.YEARLY, "2026")]
)
def test_the_same_numbers_as_the_table_of_each_grain(weeks: History, grain: Grain, period: str) -> None:
    unit = periods.UNITS[grain]
    frame = read(f"tokens_{grain}", period)
    with weeks.warehouse.begin(Role.READER) as connection:
        found = lines.by_user(connection, date(2026, 1, 5), TODAY, grain=grain)
    assert list(frame.columns) == [unit, "user_id", "user", *frames.COUNTS, "last_activity"]
    oldest_first = sorted(found, key=lambda line: line.period or TODAY)
    assert [each.date() for each in frame[unit]] == [line.period for line in oldest_first]
    assert list(frame["user"]) == [line.label for line in oldest_first]
    for name in frames.COUNTS:
        assert list(frame[name]) == [getattr(line, name) for line in oldest_first]
        assert str(frame[name].dtype) == "int64"
    assert int(frame["total_tokens"].max()) > 3 * 10**12 - 1


def test_a_week_belongs_to_where_it_begins(weeks: History) -> None:
    """The week that straddles New Year stands in one year, not in both and not in none."""
    old, new = (read("tokens_weekly", year, by=["week"]) for year in ("2025", "2026"))
    assert [f"{week:%Y-%m-%d}" for week in old["week"]] == ["2025-12-29"]
    assert [f"{week:%Y-%m-%d}" for week in new["week"]] == ["2026-01-05", "2026-01-12"]
    assert int(old["messages"].sum()) == 2
    one = read("tokens_weekly", "2026-W01", by=["user"])
    assert one["messages"].tolist() == [2]
    assert len(read("tokens_daily", "2026-W01", by=["day"])) == 2


def test_conversations_of_all_users_together(weeks: History, server: Server, database: str) -> None:
    """What two users share is one; where the ids are gone nobody knows, and no type changes."""
    assert read("tokens_weekly", "2026", by=["week"])["conversations"].tolist() == [1, 3]
    assert read("tokens_weekly", "2026-W02", by=[])["conversations"].tolist() == [1]
    assert read("tokens_monthly", "2026", by=[])["conversations"].tolist() == [4]
    assert read("tokens_yearly", "2026", by=["year"])["conversations"].tolist() == [4]
    with server.connect(database) as connection:
        prune_days(connection, date(2026, 1, 5), date(2026, 1, 11))
    found = read("tokens_weekly", "2026", by=["week"])["conversations"]
    assert (str(found.dtype), found.isna().tolist(), found[1]) == ("Int64", [True, False], 3)
    weeks.clock(date(2026, 1, 21))
    assert str(read("tokens_weekly", "2026-W04", by=["week"])["conversations"].dtype) == "Int64"


@pytest.mark.parametrize(
    ("rollup", "period", "by", "fix"),
    [
        ("tokens_weekly", "2026-01", ["user"], "read it by week, or read tokens_daily"),
        ("tokens_weekly", "2026", [], "read it by week, or read tokens_daily"),
        ("tokens_yearly", "2026-10", ["year"], "no year begins in 2026-10"),
        ("tokens_weekly", "2026-01-06", ["week"], "no week begins in 2026-01-06"),
    ],
)
def test_what_would_be_a_wrong_number_is_refused(rollup: str, period: str, by: list[str], fix: str) -> None:
    with pytest.raises(Refusal, match=fix):
        read(rollup, period, by=by)


def test_a_frame_of_weeks_says_what_it_lacks(weeks: History) -> None:
    whole = read("tokens_weekly", "2026-W02").attrs
    assert whole == {
        "complete": True, "as_of": datetime(2026, 1, 12, tzinfo=UTC),
        "missing_weeks": [], "stale_weeks": [], "kept_messages": 0,
    }  # fmt: skip
    weeks.answers([date(2026, 1, 6)])
    weeks.compute(Grain.DAILY, date(2026, 1, 6))
    stale = read("tokens_weekly", "2026").attrs
    assert (stale["complete"], stale["stale_weeks"]) == (False, [date(2026, 1, 5)])
    assert stale["as_of"] == datetime(2026, 1, 14, 12, tzinfo=UTC)
    weeks.clock(date(2026, 1, 21))
    assert read("tokens_weekly", "2026").attrs["missing_weeks"] == [date(2026, 1, 19)]
