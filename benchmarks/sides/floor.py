"""Counting the rows that have to be read: what no way of reading them can beat."""

import time
from datetime import date, timedelta

from benchmarks import stage as stages
from benchmarks.stage import Stage


def count(stage: Stage, first: date, last: date, *, workers: int = 3) -> tuple[int, float]:
    """The answers of these days and the seconds to count them, with so many workers beside the leader."""
    binds = {"first": first, "until": last + timedelta(days=1)}
    with stage.connect() as connection:
        connection.execute("select set_config('max_parallel_workers_per_gather', %s, false)", [str(workers)])
        began = time.perf_counter()
        row = connection.execute(stages.statement("floor"), binds).fetchone()
        seconds = time.perf_counter() - began
    assert row is not None
    return int(row[0]), seconds
