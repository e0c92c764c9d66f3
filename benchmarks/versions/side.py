"""One revision at work: a process whose code is that revision's, and which reads line by line what to run.

It is started with the folder of the revision first on its path, so it uses only what old revisions have too.
"""

import json
import sys
import time
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sqlalchemy import make_url

import usage_pipeline
from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.rollups import ranges
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import conftest

SESSIONS: Final = (
    "select pid from pg_catalog.pg_stat_activity"
    " where datname = current_database() and usename = session_user"
)


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
    """Compute one period; the server's processor time that it took."""
    (window,) = windows(rollup(asset).grain, *[date.fromisoformat(day)] * 2)
    rollup(asset).ensure_partitions(warehouse, window, window)
    before = _cpu(warehouse)
    outcome = rollup(asset).compute(warehouse, window, "period")
    return {"cpu": _cpu(warehouse) - before, "state": outcome.entry.state, "changed": outcome.changed}


def span(url: str, asset: str, first: str, last: str) -> dict[str, float]:
    """Compute a range as a run does: how long it took, and how long the processors of both ends worked."""
    warehouse = Warehouse(make_url(url))
    asked = list(windows(rollup(asset).grain, date.fromisoformat(first), date.fromisoformat(last)))
    rollup(asset).ensure_partitions(warehouse, asked[0], asked[-1])
    server = _cpu(warehouse)
    began, client = time.perf_counter(), time.process_time()
    for each in ranges.run(
        asked, lambda window: rollup(asset).compute(warehouse, window, "range"),
        connections=warehouse.connections,
    ):  # fmt: skip
        if isinstance(each, ranges.Failed):
            raise each.refusal
    seconds, client = time.perf_counter() - began, time.process_time() - client
    server = _cpu(warehouse) - server
    warehouse.dispose()
    return {"seconds": seconds, "server": server / 1000, "client": client}


def _cpu(warehouse: Warehouse) -> float:
    """Of all sessions of this process, in milliseconds; nobody else logs in as it does."""
    with warehouse.begin(Role.WRITER) as connection:
        pids = connection.exec_driver_sql(SESSIONS).scalars().all()
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6


def main(url: str) -> None:
    assert Path(usage_pipeline.__file__).resolve().is_relative_to(Path.cwd())
    warehouse = Warehouse(make_url(url))
    known: dict[str, Any] = {"migrate": migrate, "span": span, "period": partial(period, warehouse)}
    for line in sys.stdin:
        what, *words = json.loads(line)
        print(json.dumps(known[what](*words)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
