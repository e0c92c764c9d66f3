"""What a run is asked, what it knows, and what may come of it: the words of `decide` and `prove`."""

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
    is_gone: bool = False  # never computed or `partial`, and the month or year it is pruned with is pruned


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
    # (and as they are also if the run is from raw rows and kept some)
    is_verified: bool = False  # the rows before must have the ledger's checksum
    guards_loss: bool = False  # most of a large open period must not vanish


Plan: TypeAlias = Compute | Leave | Refuse
