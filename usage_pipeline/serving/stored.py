"""The rows of any rollup as they are stored: a line for each period and key."""

from datetime import date
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from usage_pipeline.engine import rows
from usage_pipeline.families.family import Kind
from usage_pipeline.rollups.rollup import Rollup
from usage_pipeline.serving import periods

if TYPE_CHECKING:
    import pandas

_COUNTED: Final = (Kind.SUM, Kind.DISTINCT)


def frame(connection: Connection, rollup: Rollup, first: date, last: date) -> "pandas.DataFrame":
    """The periods from the one that holds one day to that of the other; a subtotal is a row like any."""
    import pandas as pd

    names = _columns(rollup)
    stored = rollup.family.table
    statement = (
        sa.select(*(stored.c[column].label(name) for name, column in names.items()))
        .where(rows.within(rollup.family, stored, rollup.level))
        .order_by(stored.c.period_start, *(stored.c[name] for name in rollup.family.key))
    )
    found = connection.execute(statement, periods.bounds(rollup.grain, first, last)).all()
    made = pd.DataFrame([tuple(row) for row in found], columns=list(names))
    start = next(iter(names))
    made[start] = pd.to_datetime(made[start], utc=True)
    return made.astype({each.named: "int64" for each in rollup.family.measures if each.kind in _COUNTED})


def _columns(rollup: Rollup) -> dict[str, str]:
    """What a column is called in the frame, and in the table."""
    family = rollup.family
    return {
        rollup.level.row_period.unit: "period_start",
        **{name: name for name in family.key},
        **{each.named: each.column for each in family.measures},
    }
