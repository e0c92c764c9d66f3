"""Pull, group, write: a day's answers into pandas and back, as many a Dagster project does it."""

import time
from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd
import sqlalchemy as sa

from benchmarks import stage as stages
from benchmarks.rounds import Side
from benchmarks.sides import equality
from benchmarks.stage import Stage
from usage_pipeline.periods.calendar import midnight
from usage_pipeline.warehouse import embedded


def days(stage: Stage, every: int) -> Sequence[date]:
    """A day of every so many."""
    return [stage.first + timedelta(days=number) for number in range(every // 2, stage.size.day_count, every)]


def fill(stage: Stage, every: int) -> Side:
    """All days, made up from one of every so many, whose rows are compared each time."""
    chosen = days(stage, every)

    def before() -> None:
        stage.run("pulled_create")
        stage.settle()

    def run() -> float:
        engine = sa.create_engine(stage.server.url(embedded.DATABASE))
        began = time.perf_counter()
        for day in chosen:
            _write(engine, day, _grouped(_pulled(engine, day)))
        seconds = time.perf_counter() - began
        engine.dispose()
        stage.run("pulled_expected", login="postgres", days=[midnight(day) for day in chosen])
        equality.require(stage, "pandas", "bench.pulled", "bench.pulled_expected")
        return seconds * stage.size.day_count / len(chosen)

    return Side("pandas", run, before)


def _pulled(engine: sa.Engine, day: date) -> pd.DataFrame:
    window = {"first": midnight(day), "until": midnight(day + timedelta(days=1))}
    return pd.read_sql(sa.text(stages.statement("pull").decode()), engine, params=window)


def _grouped(answers: pd.DataFrame) -> pd.DataFrame:
    return (
        answers.groupby("user_id")
        .agg(
            prompt_tokens=("prompt_tokens", "sum"),
            completion_tokens=("completion_tokens", "sum"),
            total_tokens=("total_tokens", "sum"),
            message_count=("conversation_id", "size"),
            conversation_count=("conversation_id", "nunique"),
            agent_ids=("agent_id", lambda ids: sorted(set(ids))),
            last_activity=("created_at", "max"),
        )
        .reset_index()
    )


def _write(engine: sa.Engine, day: date, grouped: pd.DataFrame) -> None:
    grouped.insert(0, "day", midnight(day))
    with engine.begin() as connection:
        connection.execute(sa.text(stages.statement("pulled_forget").decode()), {"day": midnight(day)})
        grouped.to_sql(
            "pulled", connection, schema="bench", if_exists="append", index=False, chunksize=5_000,
            dtype={"user_id": sa.Uuid(), "agent_ids": sa.ARRAY(sa.Uuid())},
        )  # fmt: skip
