"""One revision at work: a process whose code is that revision's, and which is told line by line what to run.

It is started with the folder of the revision first on its path, so it uses only what old revisions have too.
"""

import json
import sys
import time
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.rollups import ranges
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import conftest


def rollup(asset: str) -> Any:
    """The asset's rollup, where this revision has it."""
    try:
        return import_module("usage_pipeline.rollups.rollup").ROLLUPS[asset]
    except AttributeError:
        return import_module("usage_pipeline.rollups.tokens").rollup(Grain(asset.removeprefix("tokens_")))


def migrate(url: str, first_day: str) -> None:
    """Everything of the revision, in a database that holds the application's tables."""
    conftest.migrate(Warehouse(make_url(url)), date.fromisoformat(first_day))


def period(warehouse: Warehouse, asset: str, day: str) -> dict[str, Any]:
    """Compute one period; the server's processor time, of the session that did it."""
    (window,) = windows(rollup(asset).grain, *[date.fromisoformat(day)] * 2)
    rollup(asset).ensure_partitions(warehouse, window, window)
    before = _cpu(warehouse)
    outcome = rollup(asset).compute(warehouse, window, "period")
    return {"cpu": _cpu(warehouse) - before, "state": outcome.entry.state, "changed": outcome.changed}


def span(url: str, asset: str, first: str, last: str) -> dict[str, Any]:
    """Compute a range as a run does; how long it took."""
    warehouse = Warehouse(make_url(url))
    asked = list(windows(rollup(asset).grain, date.fromisoformat(first), date.fromisoformat(last)))
    rollup(asset).ensure_partitions(warehouse, asked[0], asked[-1])
    began = time.perf_counter()
    ended = ranges.run(
        asked,
        lambda each: rollup(asset).compute(warehouse, each, "range"),
        connections=warehouse.connections,
    )
    done = sum(isinstance(each, ranges.Done) for each in ended)
    seconds = time.perf_counter() - began
    warehouse.dispose()
    return {"seconds": seconds, "done": done}


def _cpu(warehouse: Warehouse) -> float:
    """Of the pooled session of the writer, in milliseconds."""
    with warehouse.begin(Role.WRITER) as connection:
        pid = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def main(url: str) -> None:
    warehouse = Warehouse(make_url(url))
    known: dict[str, Any] = {"migrate": migrate, "span": span, "period": partial(period, warehouse)}
    for line in sys.stdin:
        what, *words = json.loads(line)
        print(json.dumps(known[what](*words)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
