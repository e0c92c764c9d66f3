"""What is measured, by name: a work takes the bench and gives lines of the table."""

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.bench import Bench
from benchmarks.rows import Row
from benchmarks.works import fill, memory, night, orchestration, shapes, steps, writers

Work = Callable[[Bench], Iterator[Row]]

WORKS: Final[dict[str, Work]] = {
    "fill": fill.measure,
    "night": night.measure,
    "dagster": orchestration.measure,
    "writers": writers.measure,
    "memory": memory.measure,
    "llm_calls": shapes.measure,
    "steps": steps.measure,
}
QUICK: Final = ("fill", "night")
"""The works of a quick look: the others say nothing of a tenth, or need rows of their own."""
