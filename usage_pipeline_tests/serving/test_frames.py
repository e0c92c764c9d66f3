"""`read`: tidy frames with the numbers that `usage tokens` shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.serving import frames, lines, periods, read
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline_tests.factories import NOON, Chat
from usage_pipeline_tests.serving.test_tokens import compute, day


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
    assert read("tokens_daily", f"{today.year + 1}").attrs == {
        "complete": False, "as_of": None, "missing_days": [],
    }  # fmt: skip
    before = read("tokens_daily", "2025-12")
    assert before.attrs["complete"] is True, "no partition begins earlier: nothing is missing"
