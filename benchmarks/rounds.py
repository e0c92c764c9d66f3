"""Sides that take turns: each runs once a round, so that whatever slows the machine slows them all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter


@dataclass
class Side:
    """One way to do the work; `run` returns the seconds, measured or, where sampled, made up to the whole."""

    name: str
    run: Callable[[], float]
    before: Callable[[], None] = lambda: None
    """What must be there first and is not measured."""
    rounds: int | None = None
    """In how many rounds it takes part; all unless said."""
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median of its rounds."""
        return median(self.times)


def alternate(sides: Iterable[Side], rounds: int, say: Callable[[str], None]) -> Sequence[Side]:
    """Every side in every round, in their order."""
    every = list(sides)
    for number in range(rounds):
        for side in every:
            if side.rounds is not None and number >= side.rounds:
                continue
            side.before()
            side.times.append(side.run())
            say(f"round {number + 1} of {rounds}: {side.name} {side.times[-1]:.3f} s")
    return every


def prove(sides: Iterable[Side]) -> None:
    """Each once, nothing said: a side that checks its rows has done so before any time is told."""
    for side in sides:
        side.before()
        side.run()


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """The same work, telling how long it took."""

    def run() -> float:
        began = perf_counter()
        work()
        return perf_counter() - began

    return run
