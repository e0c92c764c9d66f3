"""Whether what was written may be committed: its sums agree with the source, the rows below, the ledger."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from usage_pipeline.engine.plan import Compute, Facts, Reason, Refuse

LEAST_ROWS: Final = 1000
"""A period that held fewer source rows may lose them all."""
LEAST_SHARE: Final = 0.5
"""A source that has less than this share of what a large open period holds has lost its rows."""


@dataclass(frozen=True)
class Found:
    """What `replace` did: of the source, of what was computed from it, and of what is stored then."""

    inserted: int
    updated: int
    deleted: int
    source_rows: int
    hourly_rows: Sequence[int] | None
    computed_rows: int
    computed_states: Mapping[str, int]
    stored_rows: int
    totals: Mapping[str, int]
    states: Mapping[str, int]
    checksum: str
    checksum_before: str | None = None
    totals_before: Mapping[str, int] = field(default_factory=dict)
    rows_before: int = 0
    kept_rows: int = 0
    kept: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def prove(facts: Facts, plan: Compute, found: Found, *, count: str, added: Collection[str]) -> Refuse | None:
    """None if the run may commit. `count` is the measure of source rows, `added` are those that add up."""
    refused = _altered(facts, plan, found) or _lost(facts, plan, found, count)
    if refused or plan.reads_one or plan.is_unchanged:
        return refused
    return _differs(plan, found, added) or _unbalanced(found, count)


def _altered(facts: Facts, plan: Compute, found: Found) -> Refuse | None:
    """Rule 13: altered rows would look like a loss of the source, be kept, and get a new checksum."""
    before, known = found.checksum_before or "", facts.own.checksum
    if not plan.is_verified or known is None or before == known:
        return None
    if before and before.partition(":")[0] != known.partition(":")[0]:
        return None  # another version of the checksum cannot be compared
    return Refuse(Reason.ALTERED, found={"rows": found.rows_before, "totals": found.totals_before})


def _lost(facts: Facts, plan: Compute, found: Found, count: str) -> Refuse | None:
    """Rule 4f. One unit after the other could lower a period: then the source of all units is asked."""
    held = facts.own.totals.get(count) or 0
    remaining = found.totals[count] or 0
    if not plan.guards_loss or held < LEAST_ROWS or remaining >= held:
        return None
    in_source = found.source_rows if plan.reads_one else remaining
    least = LEAST_SHARE * held
    if min(remaining, in_source) >= least:
        return None
    counts = {"held": held, "remaining": remaining, "in_source": in_source}
    return Refuse(Reason.MOVED if in_source >= least else Reason.LOST, found=counts)


def _differs(plan: Compute, found: Found, added: Collection[str]) -> Refuse | None:
    """What is added up of the rows below must be what their last runs left."""
    for name in () if plan.is_raw else added:
        if not all(name in each.totals for each in plan.parts):
            continue  # a period below was last run before this was measured
        left = sum(Decimal(each.totals[name] or 0) for each in plan.parts)  # money is text in JSON
        held = Decimal(found.totals.get(name) or 0)
        if left != held:
            return Refuse(Reason.DIFFERS_FROM_BELOW, plan.parts, {"name": name, "held": held, "left": left})
    return None


def _unbalanced(found: Found, count: str) -> Refuse | None:
    """Rule 7: every source row is stored once, in its state."""
    is_whole = found.computed_rows == found.source_rows
    is_stored = found.totals[count] == found.source_rows + found.kept_rows
    # A kept row may be in another state than what its source has become.
    is_same = found.kept or all(found.computed_states[each] == held for each, held in found.states.items())
    if is_whole and is_stored and is_same:
        return None
    return Refuse(Reason.UNBALANCED, found={"figures": found})
