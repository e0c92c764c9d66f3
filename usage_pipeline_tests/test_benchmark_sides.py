"""The sides of the benchmark on a small chat: all compute the same rows; one that does not is not timed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import pytest

from benchmarks import stage as stages
from benchmarks.rounds import Side
from benchmarks.sides import equality, floor, pull, seed, writer
from benchmarks.sides.equality import Unequal
from benchmarks.stage import Stage
from benchmarks.world.data import Shape, Size
from usage_pipeline.warehouse import embedded

SIZE: Final = Size(date(2025, 12, 28), day_count=8, conversations_per_day=30, users=40)
OTHERS: Final[dict[str, Callable[[Stage], Side]]] = {
    "pandas": lambda stage: pull.fill(stage, 1),
    "the loop with its index": lambda stage: seed.loop(stage, has_index=True),
    "the loop without": lambda stage: seed.loop(stage, has_index=False),
    "the view": seed.view,
}
pytestmark = [pytest.mark.stack, pytest.mark.slow]


@contextmanager
def held(folder: Path, shape: Shape) -> Iterator[tuple[Stage, list[str]]]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "FOLDER", folder)
        with stages.held("small", shape, SIZE, said.append) as stage:
            equality.prepare(stage, shape)
            yield stage, said


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("bench")
    with held(folder, Shape.DOCUMENTED) as (found, _):
        seed.prepare(found)
        yield found
    embedded.remove(found.server)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where stages stand; their server's data, which stand elsewhere as root, go with it."""
    yield tmp_path
    embedded.remove(embedded.of(tmp_path / "small"))


def spoil(stage: Stage, text: str, **binds: str) -> None:
    with stage.connect("postgres") as connection:
        connection.execute(b"set session_replication_role = replica")
        connection.execute(text.encode(), binds or None)


def test_the_product_computes_what_the_plain_statement_does(stage: Stage) -> None:
    """In every grain; and one token more in one row is found."""
    stage.empty()
    stage.backfill("all")
    equality.require_ours(stage, *equality.UNITS)
    _, counted = floor.count(stage, stage.first, stage.last, workers=1)
    with stage.connect("postgres") as connection:
        row = connection.execute("select sum(message_count) from bench.ours_day").fetchone()
    assert row == (counted,) == (stage.answers(8),)
    one_more = """
        update usage.user_token_usage set total_tokens = total_tokens + 1
        where (tableoid, ctid) = (
          select tableoid, ctid from usage.user_token_usage where period_type = %(grain)s limit 1)"""
    lost = """
        update usage.user_token_usage set conversation_ids = '{}'
        where (tableoid, ctid) = (select tableoid, ctid from usage.user_token_usage
          where period_type = 'monthly' limit 1)"""
    for unit, rollup in equality.UNITS.items():
        spoil(stage, one_more, grain=rollup.removeprefix("tokens_"))
        with pytest.raises(Unequal, match=f"{rollup}: 2 of"):
            equality.require_ours(stage, unit)
    stage.empty()
    stage.backfill("all")
    spoil(stage, lost)
    with pytest.raises(Unequal, match="1 rows with wrong ids"):
        equality.require_ours(stage, *equality.UNITS)


def test_part_of_the_days_is_compared_with_that_part(stage: Stage) -> None:
    stage.empty()
    stage.backfill("tokens_daily", first=date(2026, 1, 2))
    equality.require_last_days(stage, 3)
    for count in (2, 4):
        with pytest.raises(Unequal):
            equality.require_last_days(stage, count)


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_compute_it_too_or_are_not_timed(stage: Stage, name: str) -> None:
    side = OTHERS[name](stage)
    side.before()
    assert side.run() > 0
    spoil(stage, "update bench.plain_day set prompt_tokens = prompt_tokens + 1")
    try:
        side.before()
        with pytest.raises(Unequal):
            side.run()
    finally:
        spoil(stage, "update bench.plain_day set prompt_tokens = prompt_tokens - 1")


def test_tokens_in_the_list_of_calls_are_the_plain_statements_too(folder: Path) -> None:
    with held(folder, Shape.LLM_CALLS) as (stage, _):
        stage.backfill("all")
        equality.require_ours(stage, *equality.UNITS)


def test_a_stage_is_made_once_and_anew_for_other_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(folder, Shape.DOCUMENTED) as (stage, said):
        assert len(said) == 1
        before = stage.answers(8)
    with held(folder, Shape.DOCUMENTED) as (stage, said):
        assert said == []
        assert stage.answers(8) == before
    monkeypatch.setattr(stages, "_mark", lambda *_: "made of other statements")
    with held(folder, Shape.DOCUMENTED) as (_, said):
        assert len(said) == 1


def test_a_writer_tells_how_late_each_message_was_and_leaves_none(stage: Stage) -> None:
    there = b"select count(*) from public.chat_messages_v2 where message_type = 'bench'"
    few = [(count,) for count in range(51)]
    began = time.time()
    with stage.connect() as connection, writer.writing(stage) as written:
        deadline = time.monotonic() + 60
        while connection.execute(there).fetchone() in few:
            assert time.monotonic() < deadline
    due = [instant for instant, _ in written.messages]
    assert len(due) > 50
    assert began < min(due) < max(due) < time.time()
    assert 0 < written.p99() <= max(late for _, late in written.messages)
    assert written.p99(since=due[3], until=due[3]) == written.messages[3][1]
    assert stage.run("exists", name="public.chat_messages_v2") == [(True,)]
    with stage.connect() as connection:
        assert connection.execute(there).fetchone() == (0,)


def test_the_work_of_a_run_is_that_of_its_days(stage: Stage) -> None:
    """Its checks come after, in a step of their own, which is none of it."""
    stage.empty()
    stage.backfill("tokens_daily")
    ((since, until),) = stage.run("dagster_work", login="postgres", database=embedded.DAGSTER_DATABASE)
    ((seconds,),) = stage.run("dagster_instants", login="postgres", database=embedded.DAGSTER_DATABASE)
    with stage.server.connect(embedded.DAGSTER_DATABASE) as connection:
        row = connection.execute(
            "select min(extract(epoch from timestamp at time zone 'UTC')) filter"
            "  (where dagster_event_type = 'STEP_START' and step_key = 'tokens_daily_checks'),"
            " min(extract(epoch from timestamp at time zone 'UTC')) filter"
            "  (where dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED')"
            " from event_logs where run_id = (select run_id from runs order by id desc limit 1)"
        ).fetchone()
    assert row is not None
    checks, planned = row
    assert planned < since < until < checks
    assert 0 < seconds < checks - planned - (until - since)
