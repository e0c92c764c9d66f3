"""What is measured, by name: a work takes the bench and gives lines of the table."""

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.bench import Bench
from benchmarks.rows import Row
from benchmarks.works import fill

Work = Callable[[Bench], Iterator[Row]]

WORKS: Final[dict[str, Work]] = {"fill": fill.measure}
