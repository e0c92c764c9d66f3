"""What the run of one period does, decided from facts alone: no database, no clock, no family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import TypeAlias


class Intent(StrEnum):
    """Why a period is run.

    `restate` changes a sealed period, `accept` also makes it less; `user` brings one unit up to date.
    """

    RUN = "run"
    RESTATE = "restate"
    ACCEPT = "accept"
    USER = "user"


class Reason(Enum):
    """Why nothing is written. The sentences are in `words`."""

    NOT_ISOLATED = auto()
    NO_POLICY = auto()
    TO_COME = auto()
    BEFORE_FIRST_DAY = auto()
    PRUNED = auto()
    SEALED = auto()
    NOT_SEALED = auto()
    MISSING_BELOW = auto()
    OPEN_BELOW = auto()
    BEFORE_HORIZON = auto()
    ALTERED = auto()
    LOST = auto()
    MOVED = auto()
    DIFFERS_FROM_BELOW = auto()
    UNBALANCED = auto()


@dataclass(frozen=True)
class Period:
    """One period as the ledger has it; `state` is None if it was never computed."""

    starts: datetime
    ends: datetime
    state: str | None
    covered_until: datetime | None = None
    checksum: str | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    is_gone: bool = False  # never computed, and the month or year it is pruned with is pruned


@dataclass(frozen=True)
class Facts:
    """What `look` found, under its locks; `below` is None for a period that only raw rows can fill."""

    clock: datetime
    first_day: datetime
    seals_from: datetime  # the period's end plus the grace
    horizon: datetime | None
    own: Period
    below: Sequence[Period] | None


@dataclass(frozen=True)
class Refuse:
    """The run is rolled back; `periods` are those below that it is about, `found` what `prove` compared."""

    reason: Reason
    periods: tuple[Period, ...] = ()
    found: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Leave:
    """Nothing is written and the run succeeds: the period is pruned, or before the source's horizon."""

    reason: Reason


@dataclass(frozen=True)
class Compute:
    """What is read, what may be written, and what the ledger says afterwards."""

    is_raw: bool
    parts: tuple[Period, ...]  # the periods below that are read
    covered_until: datetime
    state: str
    is_unchanged: bool = False  # no row is written: the source before the horizon is gone
    is_recorded: bool = False  # each change of a row goes to `restatements`
    keeps: bool = False  # a unit that the source has less of stays as stored
    reads_one: bool = False  # only one unit is read, and so only one is written
    writes_one: bool = False  # all are read, one is written
    seals: bool = False
    below: Mapping[datetime, str | None] | None = None  # the checksums to store; None: as they are
    is_verified: bool = False  # the rows before must have the ledger's checksum
    guards_loss: bool = False  # most of a large open period must not vanish


Plan: TypeAlias = Compute | Leave | Refuse


@dataclass(frozen=True)
class _Below:
    """The periods below, sorted by what they mean for this run."""

    standing: tuple[Period, ...] = ()
    read: tuple[Period, ...] = ()
    missing: tuple[Period, ...] = ()
    gap: datetime | None = None  # where the first period that is not computed to its end stops
    is_pruned: bool = False

    @property
    def is_all_sealed(self) -> bool:
        """A period that was never computed does not count; one that only a call for one user touched does."""
        return all(each.state == "sealed" for each in self.standing) and all(
            each.state is None for each in self.missing
        )


def decide(facts: Facts, intent: Intent, *, is_one: bool = False) -> Plan:
    """Rules 4 to 6 of a period's life; `is_one`: only one unit is restated."""
    own = facts.own
    refused = _not_now(facts, intent)
    if refused:
        return refused
    if intent is Intent.USER and own.state == "open" and facts.below is not None:
        intent, is_one = Intent.RUN, False  # rows made from the periods below are made for all users at once
    below = _below(facts) if intent is not Intent.USER else _Below()
    is_raw = facts.below is None or intent is Intent.USER or below.is_pruned
    refused = _not_sealed(facts, intent, is_raw, is_one) or _not_complete(facts, below, is_raw)
    if refused:
        return refused
    is_unchanged = is_raw and facts.horizon is not None and own.starts < facts.horizon
    if is_unchanged and intent is not Intent.RUN:
        return Refuse(Reason.BEFORE_HORIZON)
    if is_unchanged and own.state is None:
        return Leave(Reason.BEFORE_HORIZON)
    return _compute(facts, intent, below, is_raw=is_raw, is_unchanged=is_unchanged, is_one=is_one)


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


def _not_sealed(facts: Facts, intent: Intent, is_raw: bool, is_one: bool) -> Refuse | None:
    """Only what is sealed is restated; a loss is also accepted for a whole open period that is over."""
    if intent not in (Intent.RESTATE, Intent.ACCEPT) or facts.own.state == "sealed":
        return None
    return None if _accepts_open(facts, intent, is_raw, is_one) else Refuse(Reason.NOT_SEALED)


def _accepts_open(facts: Facts, intent: Intent, is_raw: bool, is_one: bool) -> bool:
    own = facts.own
    is_over = facts.clock >= own.ends
    return intent is Intent.ACCEPT and is_raw and own.state == "open" and is_over and not is_one


def _not_complete(facts: Facts, below: _Below, is_raw: bool) -> Refuse | None:
    own = facts.own
    is_current = own.starts <= facts.clock < own.ends
    if is_raw:
        return None
    if below.missing and (own.state == "sealed" or not is_current):
        return Refuse(Reason.MISSING_BELOW, below.missing)
    if own.state == "sealed" and not below.is_all_sealed:
        return Refuse(Reason.OPEN_BELOW, tuple(each for each in below.standing if each.state != "sealed"))
    return None


def _below(facts: Facts) -> _Below:
    kinds = [(each, standing(each, facts)) for each in facts.below or ()]
    stands = tuple(each for each, kind in kinds if kind == "stands")
    gap = _gap(kinds)
    return _Below(
        standing=stands,
        read=stands if facts.own.state == "sealed" else _until_gap(kinds),
        missing=tuple(each for each, kind in kinds if kind in ("missing", "partial")),
        gap=gap,
        is_pruned=any(kind == "pruned" for _, kind in kinds),
    )


def _gap(kinds: Sequence[tuple[Period, str]]) -> datetime | None:
    for period, kind in kinds:
        if kind in ("missing", "partial"):
            return period.starts
        if kind == "stands" and period.covered_until is not None and period.covered_until < period.ends:
            return period.covered_until
    return None


def _until_gap(kinds: Sequence[tuple[Period, str]]) -> tuple[Period, ...]:
    """Those before the first gap, and the one that the gap is in."""
    read = []
    for period, kind in kinds:
        if kind == "stands":
            read.append(period)
        if _gap([(period, kind)]) is not None:
            break
    return tuple(read)


def _compute(
    facts: Facts, intent: Intent, below: _Below, *, is_raw: bool, is_unchanged: bool, is_one: bool
) -> Compute:
    own = facts.own
    is_sealed = own.state == "sealed"
    is_user = intent is Intent.USER
    is_accepted = intent is Intent.ACCEPT
    is_over = facts.clock >= own.ends
    is_in_grace = facts.clock < facts.seals_from
    seals = (
        not (is_sealed or is_user or is_in_grace) and below.is_all_sealed and (is_raw or not below.missing)
    )
    return Compute(
        is_raw=is_raw,
        parts=() if is_raw else below.read,
        covered_until=own.ends
        if is_sealed or seals
        else _covered(facts, below, is_raw, is_unchanged, is_user),
        state="sealed" if is_sealed or seals else (own.state or "partial") if is_user else "open",
        seals=seals,
        is_unchanged=is_unchanged,
        is_recorded=is_sealed or is_accepted,
        keeps=is_sealed and is_raw and not is_accepted,
        reads_one=is_user,
        writes_one=is_user or (is_one and is_raw),
        below=None if is_user else {each.starts: each.checksum for each in below.standing},
        is_verified=(is_sealed or (own.state is not None and (is_unchanged or is_user)))
        and (not is_accepted or is_one),
        guards_loss=is_raw and own.state == "open" and is_over and not (is_unchanged or is_accepted),
    )


def _covered(facts: Facts, below: _Below, is_raw: bool, is_unchanged: bool, is_user: bool) -> datetime:
    """Of a period that is not sealed: below this instant its rows are the answer."""
    own = facts.own
    if (is_unchanged or (is_user and own.state == "open")) and own.covered_until is not None:
        return own.covered_until
    if below.gap is not None and not is_raw:
        return below.gap
    reached = [min(facts.clock, own.ends)]
    if not is_raw:  # what was read of them counts, also when the clock was set back since
        reached += [each.covered_until for each in below.read if each.covered_until is not None]
    return max(reached)
