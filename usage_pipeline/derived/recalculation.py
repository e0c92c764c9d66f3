"""One user's rows brought up to date at every grain a range touches; what is sealed or missing is left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from uuid import UUID

from usage_pipeline.derived import restatement
from usage_pipeline.derived.restatement import Standing
from usage_pipeline.rollups import ranges
from usage_pipeline.rollups.ranges import Done, Failed
from usage_pipeline.rollups.rollup import ROLLUPS, Outcome, Rollup
from usage_pipeline.warehouse.connections import Warehouse


@dataclass(frozen=True)
class Part:
    """The periods of one grain, of which the open ones are recalculated."""

    rollup: Rollup
    periods: tuple[Standing, ...]

    @property
    def open(self) -> tuple[Standing, ...]:
        return tuple(each for each in self.periods if each.stands("open"))


def parts(warehouse: Warehouse, first: date, last: date) -> list[Part]:
    """Days first, then the weeks, months and years that hold them."""
    rollups = ROLLUPS.values()
    return [Part(each, tuple(restatement.standing(warehouse, each, first, last))) for each in rollups]


def run(
    warehouse: Warehouse, chosen: Sequence[Part], user_id: UUID, run_id: str
) -> Iterator[Done[Outcome] | Failed]:
    """Each period as it ends, in a transaction of its own, partitions made before."""
    for part in chosen:
        windows = [each.window for each in part.open]
        if not windows:
            continue
        part.rollup.ensure_partitions(warehouse, windows[0], windows[-1])
        compute = partial(part.rollup.compute, warehouse, run_id=run_id, intent="user", unit=user_id)
        yield from ranges.run(windows, compute, connections=1)
