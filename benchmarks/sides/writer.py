"""A process that writes a chat message at each beat of a clock and says how late each was there."""

import json
import select
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

BEAT: Final = 0.005
"""Seconds from one message to the next, however long one takes."""


@dataclass
class Written:
    """When each message was due and how many milliseconds later it stood; there once the writer has ended."""

    messages: list[tuple[float, float]] = field(default_factory=list)

    def p99(self, since: float = 0, until: float = float("inf")) -> float:
        """The slowest hundredth of the messages that were due between two instants."""
        late = sorted(ms for due, ms in self.messages if since <= due <= until)
        return late[int(0.99 * (len(late) - 1))]


@contextmanager
def writing(stage: Stage) -> Iterator[Written]:
    """Messages are written while the body runs, and are gone afterwards."""
    command = [sys.executable, "-m", "benchmarks.sides.writer", str(stage.server.sockets)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    written = Written()
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield written
        said, _ = process.communicate(b"\n", timeout=60)
        written.messages = [(due, ms) for due, ms in json.loads(said)]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        stage.run("writer_forget")


def _write(host: str) -> list[tuple[float, float]]:
    """Until somebody says a line; each message is a transaction, and one that waits makes the next late."""
    stored = []
    conversation = uuid4()
    with psycopg.connect(
        host=host, user=embedded.LOGIN, dbname=embedded.DATABASE, autocommit=True
    ) as connection:
        print("begun", flush=True)
        due = time.time()
        while not select.select([sys.stdin], [], [], 0)[0]:
            connection.execute(
                stages.statement("writer_message"), {"id": uuid4(), "conversation": conversation}
            )
            stored.append((due, 1000 * (time.time() - due)))
            due += BEAT
            time.sleep(max(0.0, due - time.time()))
    return stored


if __name__ == "__main__":
    print(json.dumps(_write(sys.argv[1])))
