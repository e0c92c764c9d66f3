"""A process that writes chat messages at a steady pace and says how long each took."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import psycopg

from benchmarks import stage as stages
from benchmarks.stage import Stage
from usage_pipeline.warehouse import embedded

PACE: Final = 0.004
"""Seconds between two messages."""


@dataclass
class Written:
    """How long each message took, once the writer has ended."""

    milliseconds: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[int(0.99 * (len(ordered) - 1))]


@contextmanager
def writing(stage: Stage) -> Iterator[Written]:
    """Messages are written while the body runs."""
    command = [sys.executable, "-m", "benchmarks.sides.writer", str(stage.server.sockets)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    written = Written()
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield written
        said, _ = process.communicate(b"\n", timeout=60)
        written.milliseconds = json.loads(said)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def rest(seconds: float) -> None:
    time.sleep(seconds)


def _write(host: str) -> list[float]:
    """Until somebody says a line; each message is a transaction."""
    import select

    took = []
    conversation = uuid4()
    with psycopg.connect(
        host=host, user=embedded.LOGIN, dbname=embedded.DATABASE, autocommit=True
    ) as connection:
        print("begun", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            began = time.perf_counter()
            connection.execute(
                stages.statement("writer_message"), {"id": uuid4(), "conversation": conversation}
            )
            took.append(1000 * (time.perf_counter() - began))
            time.sleep(PACE)
    return took


if __name__ == "__main__":
    print(json.dumps(_write(sys.argv[1])))
