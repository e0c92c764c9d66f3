"""The facts of one run, as the database holds them under the run's locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from usage_pipeline.engine.decide import Facts, Period
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.periods.calendar import Window
from usage_pipeline.warehouse import failures, statements
from usage_pipeline.warehouse.ledger import Entry


@dataclass(frozen=True)
class Seen:
    """The facts that a run decides from, and the period's row of the ledger as it was."""

    facts: Facts
    entry: Entry
    grace_days: int


def look(connection: Connection, family: Family, grain: Grain, window: Window) -> Seen:
    """Lock the period and those below it, then read what is known of them."""
    below = family.below(grain)
    own, *lower = statements.run(
        connection, "engine.sql", "look_at_period",
        family=family.name, rollup=grain.name, starts=window.start, ends=window.end,
        below=below.name if below else None, below_unit=below.run_period.unit if below else None,
    )  # fmt: skip
    if own.first_day is None:
        raise failures.pending(f"the first day of {family.name} is not recorded in the database")
    facts = Facts(
        clock=own.clock,
        first_day=own.first_day,
        seals_from=own.ends + timedelta(days=own.grace_days),
        horizon=own.horizon,
        own=_period(own),
        below=[_period(each) for each in lower] if below else None,
    )
    return Seen(facts, _entry(own, window), own.grace_days)


def _period(row: Row[Any]) -> Period:
    return Period(
        row.starts, row.ends, row.state, row.covered_until, row.checksum, row.totals or {}, row.states or {},
        row.is_gone,
    )  # fmt: skip


def _entry(row: Row[Any], window: Window) -> Entry:
    if row.state is None:
        return Entry.of_nothing(window)
    hours: Sequence[int] | None = row.hourly_rows
    return Entry(
        state=row.state, covered_until=row.covered_until, source_rows=row.source_rows or 0, states=row.states,
        stored_rows=row.stored_rows, hourly_rows=hours, totals=row.totals, checksum=row.checksum,
        kept_rows=row.kept_rows, kept=row.kept,
    )  # fmt: skip
