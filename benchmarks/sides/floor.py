"""Counting the rows that have to be read: what no way of reading them can beat."""

import time
from datetime import date, timedelta

from benchmarks import stage as stages
from benchmarks.rounds import Side
from benchmarks.stage import Stage


def of_all_days(stage: Stage, cores: int) -> Side:
    """On every core, and one process more: on two cores that is a little faster still."""
    return Side(
        "floor: parallel count(*)",
        lambda: count(stage, stage.first, stage.last, workers=cores)[1],
        before=stage.settle,
    )


def of_the_last_day(stage: Stage) -> Side:
    """In one process, by the index."""
    return Side(
        "floor: count(*) of the day by the index",
        lambda: count(stage, stage.last, stage.last, workers=0)[1],
    )


def count(stage: Stage, first: date, last: date, *, workers: int) -> tuple[int, float]:
    """The answers of these days and the seconds to count them, with so many workers beside the leader."""
    binds = {"first": first, "until": last + timedelta(days=1)}
    with stage.connect() as connection:
        connection.execute("select set_config('max_parallel_workers_per_gather', %s, false)", [str(workers)])
        began = time.perf_counter()
        row = connection.execute(stages.statement("floor"), binds).fetchone()
        seconds = time.perf_counter() - began
    assert row is not None
    return int(row[0]), seconds
