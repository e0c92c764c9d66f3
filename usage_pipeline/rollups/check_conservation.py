"""Whether every source row is stored once, as what it is: the ledger's counts against the rows now stored.

attributed + unattributed = source, each state as the source has it, stored = source + kept. In what state the
kept ones were is not known: there the states are not compared.
"""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import func

from usage_pipeline.engine import figures, rows
from usage_pipeline.families.family import Family
from usage_pipeline.rollups.check import Comparison, Row
from usage_pipeline.rollups.rollup import Rollup


def _stored(rollup: Rollup) -> sa.Select[Any]:
    family, stored = rollup.family, rollup.family.table.alias("stored")
    start = func.date_trunc(rollup.grain.unit, stored.c.period_start, "UTC")
    return (
        sa.select(
            start.label("period_start"),
            figures.totals(family, stored).label("totals"),
            figures.states(family, stored).label("states"),
        )
        .where(rows.within(family, stored, rollup.level))
        .group_by(start)
    )


def _judged(rollup: Rollup, ledger: Row, stored: Row) -> Row:
    family, events = rollup.family, rollup.family.words.events
    totals, states = stored.get("totals", {}), stored.get("states", {})
    units = ledger["kept"].values()
    kept = {each: sum(unit.get(each.column, 0) for unit in units) for each in family.kept}
    broken = next(_broken(family, ledger, totals, states), None)
    held = ", ".join(f"{amount:,} {each.words}" for each, amount in kept.items())
    return {
        "period_start": ledger["period_start"],
        "verdict": "broken" if broken else "holds",
        "why": broken or (f"it holds; {held} are stored that the source no longer has" if units else None),
        "is_sealed": ledger["is_sealed"],
        f"source_{events}": ledger["source_rows"],
        f"stored_{events}": totals.get(family.count, 0),
        **{f"kept_{each.named}": amount for each, amount in kept.items()},
        **{f"{name}_{events}": count for name, count in states.items()},
    }


def _broken(family: Family, ledger: Row, totals: Row, states: Row) -> Iterator[str]:
    """What does not add up, the worst first."""
    events, known, source = family.words.events, ledger["states"], ledger["source_rows"]
    nobody = str(family.nobody.get(family.unit))
    of_nobody = states.get("unattributed", 0)
    expected = known.get("unattributed", 0) + ledger["kept"].get(nobody, {}).get(family.count, 0)
    stored = totals.get(family.count, 0)
    if stored != source + ledger["kept_rows"] or of_nobody != expected:
        yield (
            f"{source:,} {events} in the source, {known.get('unattributed', 0):,} of them of no known "
            f"{family.words.unit}; stored are {stored - of_nobody:,} of {family.words.units} and "
            f"{of_nobody:,} of nobody, {ledger['kept_rows']:,} kept"
        )
    for each in family.states:
        if not ledger["kept"] and each.name in states and states[each.name] != known.get(each.name, 0):
            yield (
                f"{known.get(each.name, 0):,} of {source:,} {events} in the source are {each.name}; "
                f"stored are {states[each.name]:,}"
            )
    for measure in family.measures:
        there, left = totals.get(measure.column) or 0, ledger["totals"].get(measure.column) or 0
        if measure.column in family.added and there != left:
            yield f"{_number(there)} {measure.words} are stored, its last run left {_number(left)}"


def _number(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


COMPARISON: Final = Comparison(_stored, _judged)
