"""The facts of one run, as the database holds them under the run's locks."""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from usage_pipeline.engine.plan import Facts, Period
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.periods.calendar import Window
from usage_pipeline.warehouse import failures, ledger, statements
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
    binds = {
        "family": family.name, "rollup": grain.name, "starts": window.start, "ends": window.end,
        "below": below.name if below else None, "below_unit": below.run_period.unit if below else None,
    }  # fmt: skip
    own, *lower = statements.rows(connection, statements.prepared("engine.sql", "look_at_period"), binds)
    if own["first_day"] is None:
        raise failures.pending(f"the first day of {family.name} is not recorded in the database")
    facts = Facts(
        clock=own["clock"],
        first_day=own["first_day"],
        seals_from=own["ends"] + timedelta(days=own["grace_days"]),
        horizon=own["horizon"],
        own=_period(own),
        below=[_period(each) for each in lower] if below else None,
    )
    entry = ledger.entry(own) if own["state"] else Entry.of_nothing(window)
    return Seen(facts, entry, own["grace_days"])


def _period(row: dict[str, Any]) -> Period:
    known = {**row, "totals": row["totals"] or {}, "states": row["states"] or {}}
    return Period(**{each.name: known[each.name] for each in fields(Period)})
