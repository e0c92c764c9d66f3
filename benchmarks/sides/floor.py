"""Counting the rows that have to be read: what no way of reading them can beat."""

from datetime import date, timedelta

from benchmarks.rounds import Side
from benchmarks.stage import Stage
from usage_pipeline.periods.calendar import midnight


def of_all_days(stage: Stage, cores: int) -> Side:
    """On every core, and one process more: on two cores that is a little faster still."""
    return Side(
        "floor: parallel count(*)",
        lambda: count(stage, stage.first, stage.last, workers=cores)[0],
        before=stage.settle,
    )


def of_the_last_day(stage: Stage) -> Side:
    """In one process, by the index."""
    return Side(
        "floor: count(*) of the day by the index",
        lambda: count(stage, stage.last, stage.last, workers=0)[0],
    )


def count(stage: Stage, first: date, last: date, *, workers: int) -> tuple[float, int]:
    """The seconds to count the answers of these days, with so many workers beside the leader; how many."""
    seconds, ((answers,),) = stage.timed(
        "floor", settings="floor_settings", workers=workers,
        first=midnight(first), until=midnight(last + timedelta(days=1)),
    )  # fmt: skip
    return seconds, int(answers)
