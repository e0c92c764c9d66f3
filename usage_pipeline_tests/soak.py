"""`python3 dev.py soak`: thousands of histories by chance, on every core; a failure is told in words."""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, random_histories
from usage_pipeline_tests.derived.world import opened
from usage_pipeline_tests.engine.lives import failing
from usage_pipeline_tests.engine.pure import Engine
from usage_pipeline_tests.servers import Kind

MACHINES: Final = (Anything, Aged, InTime)
BATCH: Final = 25  # histories that share a seed
LIVES: Final = 500  # of them, where there is no database


@dataclass(frozen=True)
class Share:
    """What one process does: every `step`-th seed from its first, until there are enough or time is up."""

    first: int
    step: int
    batches: int
    ends_at: float
    is_decide: bool

    @property
    def size(self) -> int:
        return LIVES if self.is_decide else BATCH

    def seeds(self) -> Iterator[int]:
        for number in islice(count(self.first, self.step), self.batches):
            if time.time() > self.ends_at:
                return
            yield number


def main() -> None:
    """Ends with 1 as soon as one history fails."""
    asked = _arguments()
    batches = -(-asked.histories // (LIVES if asked.decide else BATCH))
    cores = min(os.cpu_count() or 1, batches)
    ends_at = time.time() + 60 * asked.minutes if asked.minutes else float("inf")
    start = multiprocessing.get_context("spawn").Process
    shares = [
        Share(asked.seed + place, cores, len(range(place, batches, cores)), ends_at, asked.decide)
        for place in range(cores)
    ]
    running = [start(target=_decide if asked.decide else _run, args=(share,)) for share in shares]
    for process in running:
        process.start()
    try:
        for process in running:
            process.join()
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(max(abs(process.exitcode or 0) for process in running) and 1)


def _run(share: Share) -> None:
    """Histories on a database of this process."""
    with Kind("18", "socket").started() as server, opened(server) as world:
        _each(share, lambda seed: random_histories(MACHINES[seed % len(MACHINES)], world, BATCH, seed))


def _decide(share: Share) -> None:
    """Lives of periods in dicts."""
    engine = Engine()

    def live(seed: int) -> None:
        for number in range(seed * LIVES, (seed + 1) * LIVES):
            if broken := failing(engine, number):
                raise broken

    _each(share, live)


def _each(share: Share, histories: Callable[[int], None]) -> None:
    done = 0
    for seed in share.seeds():
        try:
            histories(seed)
        except AssertionError as error:
            print(f"seed {seed} fails: {error}")
            which = "--decide " if share.is_decide else ""
            print(f"Again: python3 dev.py soak {which}--seed {seed} --histories {share.size}", flush=True)
            sys.exit(1)
        done += share.size
        print(f"seed {seed}: {share.size} histories hold", flush=True)
    print(f"{done} histories in this process, none failed", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("dev.py soak", description=__doc__)
    parser.add_argument("--decide", action="store_true", help="what a run decides, without a database")
    parser.add_argument("--histories", type=int, help="how many (3000; of --decide 100,000)")
    parser.add_argument("--minutes", type=float, help="stop after this time")
    chance = time.time_ns() % 1_000_000
    parser.add_argument("--seed", type=int, default=chance, help="the first seed (by chance)")
    asked = parser.parse_args()
    asked.histories = asked.histories or (100_000 if asked.decide else 3000)
    return asked


if __name__ == "__main__":
    main()
