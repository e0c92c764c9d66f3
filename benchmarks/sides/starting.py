"""Imports Dagster, runs a verb of ours, and tells how long after the import it sent its first statement."""

import time

import dagster  # noqa: F401 - the clock starts when it is there

imported = time.perf_counter()

import sqlalchemy as sa  # noqa: E402

from usage_pipeline.cli import main  # noqa: E402

sent: list[float] = []


def note(*_: object) -> None:
    if not sent:
        sent.append(time.perf_counter())


sa.event.listen(sa.Engine, "before_cursor_execute", note)
try:
    main()
finally:
    print(f"{sent[0] - imported:.6f}", flush=True)
