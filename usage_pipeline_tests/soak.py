"""`python3 dev.py soak`: thousands of histories by chance, on every core; a failure is told in words."""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, random_histories
from usage_pipeline_tests.derived.world import opened
from usage_pipeline_tests.servers import Kind

MACHINES: Final = (Anything, Aged, InTime)
BATCH: Final = 25  # histories that share a seed


@dataclass(frozen=True)
class Share:
    """What one process does: every `step`-th seed from its first, until there are enough or time is up."""

    first: int
    step: int
    batches: int
    ends_at: float

    def seeds(self) -> Iterator[int]:
        for number in islice(count(self.first, self.step), self.batches):
            if time.time() > self.ends_at:
                return
            yield number


def main() -> None:
    """Ends with 1 as soon as one history fails."""
    asked = _arguments()
    cores = os.cpu_count() or 1
    batches = -(-asked.histories // BATCH)
    cores = min(cores, batches)
    ends_at = time.time() + 60 * asked.minutes if asked.minutes else float("inf")
    start = multiprocessing.get_context("spawn").Process
    shares = [
        Share(asked.seed + place, cores, len(range(place, batches, cores)), ends_at) for place in range(cores)
    ]
    running = [start(target=_work, args=(share,)) for share in shares]
    for process in running:
        process.start()
    try:
        for process in running:
            process.join()
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(max(abs(process.exitcode or 0) for process in running) and 1)


def _work(share: Share) -> None:
    done = 0
    with Kind("18", "socket").started() as server, opened(server) as world:
        for number in share.seeds():
            try:
                random_histories(MACHINES[number % len(MACHINES)], world, BATCH, number)
            except AssertionError as error:
                print(f"seed {number} fails: {error}")
                print(f"Again: python3 dev.py soak --seed {number} --histories {BATCH}", flush=True)
                sys.exit(1)
            done += BATCH
            print(f"seed {number}: {BATCH} histories hold", flush=True)
    print(f"{done} histories in this process, none failed", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("dev.py soak", description=__doc__)
    parser.add_argument("--histories", type=int, default=3000, help="how many (3000)")
    parser.add_argument("--minutes", type=float, help="stop after this time")
    chance = time.time_ns() % 1_000_000
    parser.add_argument("--seed", type=int, default=chance, help="the first seed (by chance)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
