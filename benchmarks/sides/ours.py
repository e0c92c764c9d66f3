"""The product's own command over all days, and what its statements took of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.rounds import Side
from benchmarks.stage import Stage


@dataclass
class Command:
    """`usage-pipeline backfill` of these assets; its statements by the product's own record."""

    stage: Stage
    assets: tuple[str, ...]
    worked: list[float] = field(default_factory=list)
    """Seconds of its statements, added up over its connections."""

    @property
    def statements(self) -> float:
        return median(self.worked)

    def side(self, name: str, before: Callable[[], None]) -> Side:
        return Side(name, self._run, before)

    def forget(self) -> None:
        """What was run so far was not measured."""
        self.worked.clear()

    def _run(self) -> float:
        """The seconds of the whole command."""
        seconds = self.stage.backfill(*self.assets).seconds
        self.worked.append(self.stage.worked(*self.assets))
        return seconds
