"""What `backfill` says at its end, of outcomes that the rollups themselves gave."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from usage_pipeline import settings
from usage_pipeline.cli import backfill_blame, backfill_words
from usage_pipeline.cli.backfill_job import Job
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups.rollup import Outcome, Span
from usage_pipeline.warehouse.backfills import Asked, Backfill
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.serving.history import ROLLUPS, START, History

pytestmark = pytest.mark.command

TODAY = date(2026, 1, 14)
GAP = date(2026, 1, 13)


@pytest.fixture
def history(chat: Chat, warehouse: Warehouse) -> History:
    found = History(chat, warehouse)
    found.clock(TODAY)
    return found


def job_of(last: date, *grains: Grain) -> Job:
    spans = tuple(Span.holding(ROLLUPS[grain], START, last) for grain in grains)
    return Job(spans, Asked(tuple(each.rollup.name for each in spans), START, last, "1", 1))


def gaps(job: Job, outcomes: Sequence[Outcome], start: date = START) -> list[str]:
    found = replace(settings.load(), start=start)
    return [line.strip() for line in backfill_blame.gaps(found, job, outcomes, TODAY)]


def test_a_month_up_to_a_gap_is_told(history: History) -> None:
    """A month with a hole looks like any other: its sum would be taken for the month's."""
    history.compute(Grain.DAILY, START, GAP - timedelta(days=1))
    history.compute(Grain.DAILY, TODAY)
    outcomes = history.compute(Grain.MONTHLY, START, TODAY)
    told = "tokens_monthly 2026-01 is computed up to 2026-01-13 00:00 UTC"
    close = "Days are missing below: usage-pipeline backfill tokens_daily tokens_monthly"
    assert gaps(job_of(TODAY, Grain.MONTHLY), outcomes) == [told, f"{close} --from {GAP} --to {TODAY}"]
    outcomes += history.compute(Grain.WEEKLY, TODAY) + history.compute(Grain.YEARLY, TODAY)
    lines = gaps(job_of(GAP, *ROLLUPS), outcomes)
    assert [line.partition(" is ")[0] for line in lines[:-1]] == [
        "tokens_weekly 2026-W03", "tokens_monthly 2026-01", "tokens_yearly 2026",
    ]  # fmt: skip
    assert lines[-1].endswith(f"usage-pipeline backfill all --from {GAP} --to {GAP}")
    before = gaps(job_of(date(2026, 1, 5), *ROLLUPS), outcomes)
    assert before[-1].endswith(f"--from {GAP} --to {TODAY}"), "the range asked for ends before the gap"
    later = gaps(job_of(TODAY, *ROLLUPS), outcomes, start=TODAY)
    assert later[-1].endswith(f"--from {TODAY} --to {TODAY}"), "no day before the first is computed"


def test_a_period_up_to_now_lacks_nothing(history: History) -> None:
    history.compute(Grain.DAILY, START, TODAY)
    outcomes = history.compute(Grain.WEEKLY, START, TODAY)
    assert gaps(job_of(TODAY, Grain.WEEKLY), outcomes) == [
        "tokens_weekly 2026-W03 is computed up to 2026-01-14 12:00 UTC"
    ]


def test_many_gaps_are_counted(history: History) -> None:
    history.compute(Grain.DAILY, START, GAP - timedelta(days=1))
    outcomes = history.compute(Grain.WEEKLY, TODAY) * 8
    assert gaps(job_of(TODAY, Grain.WEEKLY), outcomes)[5] == "and 3 more"


def test_answers_are_told_where_days_were_read(history: History) -> None:
    """Weeks made from days have read no answers, which is not the same as none."""
    job = job_of(TODAY, *ROLLUPS)
    days = history.compute(Grain.DAILY, START, TODAY)
    weeks = history.compute(Grain.WEEKLY, START, TODAY)
    assert "computed from 0 messages in" in backfill_words.summary(job, days, 1)[0]
    kept = [replace(each, is_kept=True) for each in days]
    assert backfill_words.summary(job, [*kept, *weeks], 1)[0].startswith("4 weeks computed in 1.0 s")


@pytest.mark.parametrize(("runs", "took"), [(1, "2 min"), (2, "2 min"), (3, "")])
def test_how_long_it_took(runs: int, took: str) -> None:
    """Each asset is a run; more runs than these were interrupted, and a pause is no work."""
    began = datetime(2026, 1, 10, 3, tzinfo=UTC)
    asked = Asked(("tokens_daily", "tokens_weekly"), began.date(), began.date(), "1", 2)
    ids = tuple(map(str, range(runs)))
    ended = Backfill(7, asked, ids, began, began + timedelta(minutes=2), "done", 2)
    assert backfill_words.table([ended])[1].endswith(f"01-10 03:00    {took}".rstrip())
