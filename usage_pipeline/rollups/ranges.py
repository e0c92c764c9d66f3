"""A range of periods on several connections: oldest first, a transaction each, none held up by another."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse.failures import Unusable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Failed:
    """A period that was not computed, and why."""

    window: Window
    refusal: Refusal


@dataclass(frozen=True)
class Done(Generic[Result]):
    """A period that was computed and committed."""

    window: Window
    result: Result


def run(
    windows: Sequence[Window], compute: Callable[[Window], Result], *, connections: int
) -> Iterator[Done[Result] | Failed]:
    """Each period as it ends. One that fails does not stop the others; an unusable database does."""
    waiting = iter(windows)
    running: dict[Future[Result], Window] = {}
    with ThreadPoolExecutor(connections, thread_name_prefix="period") as pool:
        is_lost = False
        while True:
            while not is_lost and len(running) < connections and (window := next(waiting, None)):
                running[pool.submit(compute, window)] = window
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(ended, key=lambda each: running[each]):
                window = running.pop(future)
                try:
                    yield Done(window, future.result())
                except Refusal as refusal:
                    is_lost = is_lost or isinstance(refusal, Unusable)
                    yield Failed(window, refusal)
