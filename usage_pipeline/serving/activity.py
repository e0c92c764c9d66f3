"""When somebody was last active, however long ago, and in which grain that can still be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.serving import periods, tokens
from usage_pipeline.warehouse import statements


@dataclass(frozen=True)
class Activity:
    """The newest day known, the instant where it is known, and a grain whose stored rows hold it."""

    day: date
    at: datetime | None
    grain: Grain


def of_user(connection: Connection, user_id: UUID, wanted: Grain) -> Activity | None:
    """The last one ever stored; of the wanted grain where its rows hold it, else of the finest that does."""
    rows = statements.run(connection, "serving.sql", "newest_rows_of_user", user_id=user_id).all()
    if not rows:
        return None
    at: datetime = max(row.last_activity for row in rows)
    holding = {Grain(row.period_type): at.date() for row in rows if row.last_activity == at}
    grain = _first(holding, wanted)
    return Activity(holding[grain], at, grain)


def of_everybody(connection: Connection, wanted: Grain) -> Activity | None:
    """The first day of the newest period that has rows, read from the ledger alone."""
    newest = {
        grain: tokens.latest_day(connection, periods.asset(grain), with_rows=True) for grain in periods.GRAINS
    }
    holding = {grain: day for grain, day in newest.items() if day is not None}
    if not holding:
        return None
    grain = _first(holding, wanted)
    return Activity(holding[grain], None, grain)


def _first(holding: Mapping[Grain, date], wanted: Grain) -> Grain:
    return next(grain for grain in (wanted, *periods.GRAINS) if grain in holding)
