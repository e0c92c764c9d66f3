"""How far a range of tokens is computed: what is incomplete, and as of when."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Grain, floor, windows
from usage_pipeline.rollups.rollup import Rollup, chain
from usage_pipeline.serving import periods
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Coverage:
    """How far a range of periods is computed; each is named by its first day.

    `missing` ones never were, `partial` ones only up to some instant, the rows of `pruned` ones are gone, and
    `stale` ones are older than something below them: what has to be computed for them is `stale_grains`.
    `newest` is the last computed one.
    Below `as_of` the stored rows of the others are the whole answer.
    """

    grain: Grain
    is_derived: bool
    first: date
    last: date
    missing: tuple[date, ...]
    partial: tuple[date, ...]
    pruned: tuple[date, ...]
    stale: tuple[date, ...]
    stale_grains: tuple[Grain, ...]
    computed_count: int
    newest: date | None
    sealed: tuple[date, ...]
    kept_messages: int
    as_of: datetime

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.partial or self.pruned or self.stale)

    def facts(self) -> dict[str, object]:
        """The same for a program."""
        unit = periods.UNITS[self.grain]
        known: dict[str, object] = {
            "complete": self.is_complete,
            "as_of": self.as_of,
            f"missing_{unit}s": sorted([*self.missing, *self.pruned]),
        }
        if self.is_derived:
            known |= {f"stale_{unit}s": list(self.stale), "kept_messages": self.kept_messages}
        return known


def today(connection: Connection) -> date:
    """The day it is by the database's clock, which decides what has come."""
    now: datetime = statements.run(connection, "warehouse.sql", "clock").scalar_one()
    return now.date()


def latest_day(connection: Connection, rollup: str, *, with_rows: bool = False) -> date | None:
    """The first day of the newest period that was ever computed, or of the newest that has rows."""
    found = statements.run(
        connection, "serving.sql", "latest_period", rollup=rollup, with_rows=with_rows
    ).scalar_one()
    return found.date() if isinstance(found, datetime) else None


def coverage(
    connection: Connection, first: date, last: date, *, grain: Grain = Grain.DAILY, begins: date = date.min
) -> Coverage:
    """What the ledger says of the tokens of these days."""
    return of_rollup(connection, periods.rollup(grain), first, last, begins=begins)


def of_rollup(connection: Connection, rollup: Rollup, first: date, last: date, *, begins: date) -> Coverage:
    """What the ledger says of the periods that hold these days; one before the first partition is no gap."""
    grain = rollup.grain
    binds = periods.bounds(grain, first, last)
    rows = statements.run(
        connection, "serving.sql", "standing_periods", rollup=rollup.name, **binds
    ).mappings()
    computed = {row["period_start"].date(): row for row in rows}
    ends = {each.start.date(): each.end for each in windows(grain, first, last)}
    stale = {name for row in computed.values() for name in row["stale_rollups"]}
    partial = [day for day, row in computed.items() if row["covered_until"] < ends[day]]
    return Coverage(
        grain,
        not rollup.reads_raw,
        floor(grain, first),
        periods.last_day(grain, last),
        missing=tuple(day for day in ends if day not in computed and ends[day].date() > begins),
        partial=tuple(partial),
        pruned=tuple(day for day, row in computed.items() if row["state"] == "pruned"),
        stale=tuple(day for day, row in computed.items() if row["stale_rollups"]),
        stale_grains=tuple(each.grain for each in chain(rollup) if each.name in stale),
        computed_count=len(computed),
        newest=max(computed, default=None),
        sealed=tuple(day for day, row in computed.items() if row["state"] == "sealed"),
        kept_messages=sum(row["kept_rows"] for row in computed.values()),
        as_of=computed[partial[0]]["covered_until"] if partial else binds["window_end"],
    )
