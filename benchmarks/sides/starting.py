"""Runs a verb of ours and tells how long after `import dagster` it sent its first statement.

The program itself is loaded first, as in every command of ours.
"""

import time

from usage_pipeline.cli import main, program  # noqa: F401 - loaded before the clock starts

began = time.perf_counter()

import dagster  # noqa: E402, F401

imported = time.perf_counter()

import sqlalchemy as sa  # noqa: E402

sent: list[float] = []


def note(*_: object) -> None:
    if not sent:
        sent.append(time.perf_counter())


sa.event.listen(sa.Engine, "before_cursor_execute", note)
try:
    main()
finally:
    print(f"{imported - began:.6f} {sent[0] - imported:.6f}", flush=True)
