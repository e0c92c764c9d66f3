"""What every work is given: the stages, how often to measure, whom to tell."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta

from benchmarks import stage as stages
from benchmarks.sides import equality
from benchmarks.stage import Stage
from benchmarks.world import data
from benchmarks.world.data import Shape, Size


@dataclass
class Bench:
    """One measurement of the whole table, or of a part of it."""

    is_quick: bool
    running: ExitStack
    say: Callable[[str], None]
    _stages: dict[str, Stage] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        return data.QUICK if self.is_quick else data.FULL

    @property
    def rounds(self) -> int:
        return 1 if self.is_quick else 3

    @property
    def cores(self) -> int:
        """As the product counts them."""
        return os.cpu_count() or 1

    def documented(self) -> Stage:
        """The chat whose answers report their tokens in the documented shape."""
        return self._stage("documented", Shape.DOCUMENTED, self.size)

    def llm_calls(self) -> Stage:
        """The same chat, tokens in the list of calls behind each answer."""
        return self._stage("llm-calls", Shape.LLM_CALLS, self.size)

    def last_days(self, count: int) -> Stage:
        """A chat of the same size a day that is only so old, and ends on the same day."""
        first = self.size.first_day + timedelta(days=self.size.day_count - count)
        shorter = replace(self.size, first_day=first, day_count=count)
        return self._stage(f"last-{count}-days", Shape.DOCUMENTED, shorter)

    def quiet_year(self) -> Stage:
        """A conversation a day: what is left is the cost of the partitions."""
        year = Size(self.size.first_day, day_count=365, conversations_per_day=1, users=20)
        return self._stage("quiet-year", Shape.DOCUMENTED, year)

    def _stage(self, name: str, shape: Shape, size: Size) -> Stage:
        """Opened by the first work that needs it, for all."""
        if name not in self._stages:
            folder = f"quick-{name}" if self.is_quick else name
            self._stages[name] = self.running.enter_context(stages.held(folder, shape, size, self.say))
            equality.prepare(self._stages[name], shape)
        return self._stages[name]
