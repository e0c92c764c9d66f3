"""The ledger: what every period was computed from, how far, and what stands stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, RowMapping

from usage_pipeline.periods.calendar import Window
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Entry:
    """What the last run of a period found and left; below `covered_until` the stored rows are the answer."""

    state: str
    covered_until: datetime
    source_rows: int
    states: Mapping[
        str, int
    ]  # source rows by what they lack; none of a period that only one unit was read of
    stored_rows: int
    hourly_rows: Sequence[int] | None
    totals: Mapping[str, int]
    checksum: str
    kept_rows: int
    kept: Mapping[str, Mapping[str, int]]  # by unit: what is stored beyond the source, by measure

    @classmethod
    def of_nothing(cls, window: Window) -> Self:
        """Of a period that was never computed."""
        return cls("none", window.start, 0, {}, 0, None, {}, "", 0, {})

    def state_count(self, name: str) -> int:
        """So many source rows are in this state."""
        return self.states.get(name, 0)

    def kept_sum(self, measure: str) -> int:
        """What all units keep of a measure beyond the source."""
        return sum(unit.get(measure, 0) for unit in self.kept.values())


def read(connection: Connection, rollup: str, window: Window) -> Entry | None:
    """What stands of one period; None if it was never computed."""
    row = (
        statements.run(
            connection, "warehouse.sql", "ledger_row", rollup=rollup, period_start=window.start
        )
        .mappings()
        .one_or_none()
    )  # fmt: skip
    return None if row is None else entry(row)


def finished(
    connection: Connection, rollup: str, whole: Window, *, run_ids: Sequence[str], code_version: str
) -> dict[Window, Entry]:
    """The periods within a window that one of these runs has read to their end, as it left them."""
    rows = statements.run(
        connection, "warehouse.sql", "ledger_rows_of_runs",
        rollup=rollup, window_start=whole.start, window_end=whole.end,
        run_ids=list(run_ids), code_version=code_version,
    ).mappings()  # fmt: skip
    return {Window(row["period_start"], row["period_end"]): entry(row) for row in rows}


def entry(row: RowMapping | dict[str, Any]) -> Entry:
    """Of a row that has the columns by name."""
    return Entry(**{each.name: row[each.name] for each in fields(Entry)})
