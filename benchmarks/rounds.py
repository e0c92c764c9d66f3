"""Sides that take turns: each runs once a round, so that whatever slows the machine slows them all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

from benchmarks.peers.place import Failed


@dataclass
class Side:
    """One way to do the work; `run` returns the seconds, measured or, where sampled, made up to the whole."""

    name: str
    run: Callable[[], float]
    before: Callable[[], None] = lambda: None
    """What must be there first and is not measured."""
    times: list[float] = field(default_factory=list)
    failure: str = ""
    """Why it takes no part any more, in one line."""

    @classmethod
    def missing(cls, name: str, reason: Exception) -> "Side":
        """One that cannot take part."""
        return cls(name, lambda: 0.0, failure=_in_a_line(reason))

    @property
    def seconds(self) -> float | None:
        """The median of its rounds; None where it failed in one."""
        return None if self.failure or not self.times else median(self.times)


def alternate(sides: Iterable[Side], rounds: int, say: Callable[[str], None]) -> None:
    """Every side in every round, in their order."""
    every = list(sides)
    for number in range(rounds):
        for side in every:
            seconds = _once(side)
            if seconds is not None:
                side.times.append(seconds)
                say(f"round {number + 1} of {rounds}: {side.name} {seconds:.3f} s")


def prove(sides: Iterable[Side]) -> None:
    """Each once, nothing said: a side that checks its rows has done so before any time is told."""
    for side in sides:
        _once(side)


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """The same work, telling how long it took."""

    def run() -> float:
        began = perf_counter()
        work()
        return perf_counter() - began

    return run


def _once(side: Side) -> float | None:
    """A tool that breaks off is out of the game; the others go on."""
    if side.failure:
        return None
    try:
        side.before()
        return side.run()
    except Failed as failure:
        side.failure = _in_a_line(failure)
        return None


def _in_a_line(failure: Exception) -> str:
    return " ".join(str(failure).split())[:200]
