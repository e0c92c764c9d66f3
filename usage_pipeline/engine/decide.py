"""What the run of one period does, decided from facts alone: no database, no clock, no family."""

from dataclasses import dataclass
from datetime import datetime

from usage_pipeline.engine.plan import Compute, Facts, Intent, Leave, Period, Plan, Reason, Refuse


def decide(facts: Facts, intent: Intent, *, is_one: bool = False) -> Plan:
    """Rules 4 to 6 and 13 of a period's life; `is_one`: only one unit is restated."""
    refused = _not_now(facts, intent)
    if refused:
        return refused
    if intent is Intent.USER and facts.own.state == "open" and facts.below is not None:
        intent, is_one = Intent.RUN, False  # rows made from the periods below are made for all users at once
    case = _Case(facts, intent, is_one, _below(facts) if intent is not Intent.USER else _Below())
    return _not_sealed(case) or _not_complete(case) or _before_horizon(case) or _compute(case)


def standing(period: Period, facts: Facts) -> str:
    """`stands`, `pruned`, `empty`, `partial` or `missing`: what a period below means for the one above."""
    if period.state in ("open", "sealed"):
        return "stands"
    if period.state == "pruned" or period.is_gone:
        return "pruned"
    if period.ends <= facts.first_day or period.starts > facts.clock:
        return "empty"
    if period.state is None and facts.horizon is not None and period.starts < facts.horizon:
        return "empty"
    return period.state or "missing"


@dataclass(frozen=True)
class _Below:
    """The periods below, sorted by what they mean for this run."""

    standing: tuple[Period, ...] = ()
    until_gap: tuple[Period, ...] = ()  # those before the first gap, and the one that the gap is in
    missing: tuple[Period, ...] = ()
    gap: datetime | None = None  # where the first period that is not computed to its end stops
    is_pruned: bool = False

    @property
    def is_all_sealed(self) -> bool:
        """A period that was never computed does not count; one that only a call for one user touched does."""
        stand = all(each.state == "sealed" for each in self.standing)
        return stand and all(each.state is None for each in self.missing)


@dataclass(frozen=True)
class _Case:
    """One run: the facts, what it is asked, and what follows from both."""

    facts: Facts
    intent: Intent
    is_one: bool
    below: _Below

    @property
    def is_user(self) -> bool:
        return self.intent is Intent.USER

    @property
    def is_accepted(self) -> bool:
        return self.intent is Intent.ACCEPT

    @property
    def is_raw(self) -> bool:
        return self.facts.below is None or self.is_user or self.below.is_pruned

    @property
    def is_sealed(self) -> bool:
        return self.facts.own.state == "sealed"

    @property
    def is_over(self) -> bool:
        return self.facts.clock >= self.facts.own.ends

    @property
    def is_unchanged(self) -> bool:
        """What would be read is gone: the rows remain as they are."""
        facts = self.facts
        return self.is_raw and facts.horizon is not None and facts.own.starts < facts.horizon

    @property
    def seals(self) -> bool:
        """The last free run; of what is over, nothing below is missing."""
        is_free = not (self.is_sealed or self.is_user)
        return is_free and self.facts.clock >= self.facts.seals_from and self.below.is_all_sealed


def _not_now(facts: Facts, intent: Intent) -> Leave | Refuse | None:
    own = facts.own
    if facts.clock < own.starts:
        return Refuse(Reason.TO_COME)
    if own.ends <= facts.first_day:
        return Refuse(Reason.BEFORE_FIRST_DAY)
    if own.state == "pruned" or (own.state in (None, "partial") and own.is_gone):
        return Leave(Reason.PRUNED) if intent is Intent.RUN else Refuse(Reason.PRUNED)
    if intent is Intent.USER and own.state == "sealed":
        return Refuse(Reason.SEALED)
    return None


def _not_sealed(case: _Case) -> Refuse | None:
    """Only what is sealed is restated; a loss is also accepted for a whole open period that is over."""
    if case.intent not in (Intent.RESTATE, Intent.ACCEPT) or case.is_sealed:
        return None
    is_whole = case.is_raw and case.facts.own.state == "open" and case.is_over and not case.is_one
    return None if case.is_accepted and is_whole else Refuse(Reason.NOT_SEALED)


def _not_complete(case: _Case) -> Refuse | None:
    """Rule 5: a period that is over, or sealed, is made from all periods below it."""
    if case.is_raw:
        return None
    if case.below.missing and (case.is_sealed or case.is_over):
        return Refuse(Reason.MISSING_BELOW, case.below.missing)
    if case.is_sealed and not case.below.is_all_sealed:
        return Refuse(Reason.OPEN_BELOW, tuple(each for each in case.below.standing if each.state == "open"))
    return None


def _before_horizon(case: _Case) -> Leave | Refuse | None:
    if case.is_unchanged and case.intent is not Intent.RUN:
        return Refuse(Reason.BEFORE_HORIZON)
    if case.is_unchanged and case.facts.own.state is None:
        return Leave(Reason.BEFORE_HORIZON)
    return None


def _below(facts: Facts) -> _Below:
    kinds = [(each, standing(each, facts)) for each in facts.below or ()]
    gaps = [_gap(each, kind) for each, kind in kinds]
    before = next((place + 1 for place, gap in enumerate(gaps) if gap is not None), len(kinds))
    return _Below(
        standing=tuple(each for each, kind in kinds if kind == "stands"),
        until_gap=tuple(each for each, kind in kinds[:before] if kind == "stands"),
        missing=tuple(each for each, kind in kinds if kind in ("missing", "partial")),
        gap=next((gap for gap in gaps if gap is not None), None),
        is_pruned=any(kind == "pruned" for _, kind in kinds),
    )


def _gap(period: Period, kind: str) -> datetime | None:
    """Where its rows stop being the answer, if that is before its end."""
    if kind in ("missing", "partial"):
        return period.starts
    is_cut_short = period.covered_until is not None and period.covered_until < period.ends
    return period.covered_until if kind == "stands" and is_cut_short else None


def _compute(case: _Case) -> Compute:
    own, below = case.facts.own, case.below
    is_anew = case.is_raw and not case.is_unchanged  # read from raw rows, and written
    return Compute(
        is_raw=case.is_raw,
        parts=() if case.is_raw else below.until_gap,
        covered_until=_covered(case),
        state=_state(case),
        seals=case.seals,
        is_unchanged=case.is_unchanged,
        is_recorded=case.is_sealed or case.is_accepted,
        keeps=case.is_sealed and case.is_raw and not case.is_accepted,
        reads_one=case.is_user,
        writes_one=case.is_user or (case.is_one and case.is_raw),
        below=None if case.is_user else {each.starts: each.checksum for each in below.standing},
        is_verified=_is_verified(case),
        guards_loss=is_anew and own.state == "open" and case.is_over and not case.is_accepted,
    )


def _state(case: _Case) -> str:
    if case.is_sealed or case.seals:
        return "sealed"
    return (case.facts.own.state or "partial") if case.is_user else "open"


def _is_verified(case: _Case) -> bool:
    """Whether rows that somebody altered could outlive this run."""
    if case.is_sealed:
        return not case.is_accepted or case.is_one
    return case.facts.own.state is not None and (case.is_unchanged or case.is_user)


def _covered(case: _Case) -> datetime:
    """Below this instant the rows are the answer."""
    own, below = case.facts.own, case.below
    if case.is_sealed or case.seals:
        return own.ends
    is_as_before = case.is_unchanged or (case.is_user and own.state == "open")
    if is_as_before and own.covered_until is not None:
        return own.covered_until
    reached = min(case.facts.clock, own.ends)
    if case.is_raw:
        return reached
    if below.gap is not None:
        return below.gap
    # What was read of the periods below counts, also when the clock was set back since.
    read = [each.covered_until for each in below.until_gap if each.covered_until is not None]
    return max([reached, *read])
