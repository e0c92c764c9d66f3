"""What Dagster itself costs: a run over a year of quiet days, and the way to the first statement."""

from collections.abc import Iterator
from statistics import median
from typing import Final

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.rows import Row, at_most
from benchmarks.sides import equality
from benchmarks.stage import Stage
from usage_pipeline.warehouse import embedded

LOADING: Final = "`import dagster` itself"
WHOLE: Final = "a whole command for a day that holds next to nothing"
ALL_LOADED: Final = "what such a command loads: Python modules, Dagster's above all"


def measure(bench: Bench) -> Iterator[Row]:
    """By the instants that Dagster itself notes, and by a command that notes when it starts."""
    stage = bench.quiet_year()
    stage.empty()
    stage.backfill("tokens_daily")
    equality.require_ours(stage, "day")
    writing, starting, loading, whole, all_loaded = [], [], [], [], []
    for number in range(2 * bench.rounds - 1):
        stage.empty()
        stage.backfill("tokens_daily")
        writing.append(_writing(stage))
        seconds, loaded, sent = _starting(stage)
        whole.append(seconds)
        starting.append(sent)
        all_loaded.append(_loading(stage))
        loading.append(loaded)
        bench.say(
            f"round {number + 1}: {writing[-1]:.3f} s of events, {starting[-1]:.3f} s to the first statement"
        )
    count = stage.size.day_count
    yield Row(
        "dagster",
        f"Dagster's events of a run of {count} partitions, a partition",
        1000 * median(writing) / count,
        unit="ms",
        bar=at_most(1),
        note="by the instants in its own log",
    )
    yield Row(
        "dagster",
        "from `import dagster` to the first statement",
        median(starting),
        bar=at_most(0.5),
        note="the import itself not counted",
    )
    yield Row("dagster", LOADING, median(loading))
    yield Row("dagster", WHOLE, median(whole))
    yield Row("command", ALL_LOADED, median(all_loaded), other=WHOLE, theirs=median(whole))


def _writing(stage: Stage) -> float:
    """Seconds in which the newest run wrote what it plans and what it has computed."""
    ((seconds,),) = stage.run("dagster_instants", login="postgres", database=embedded.DAGSTER_DATABASE)
    return float(seconds)


def _starting(stage: Stage) -> tuple[float, float, float]:
    """Seconds of a command, of its import of Dagster, and from there to the first statement."""
    ran = stage.backfill("tokens_daily", last=stage.first, module="benchmarks.sides.starting")
    loaded, sent = ran.printed.splitlines()[-1].split()
    return ran.seconds, float(loaded), float(sent)


def _loading(stage: Stage) -> float:
    """Seconds until all that a command needs is loaded, nothing done."""
    return float(child.run(stage.home, "benchmarks.sides.loading", (), {}).printed.splitlines()[-1])
