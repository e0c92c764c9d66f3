"""What must be true of every period after every step, in plain Python: the rules of runs, seals and gaps.

Days mirror raw rows, coarser periods what stands below them; a seal keeps what the source has lost. It shares
the calendar with the code it judges, and nothing else.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple
from uuid import UUID

from usage_pipeline.periods.calendar import Grain, midnight
from usage_pipeline_tests.derived import rows, rungs
from usage_pipeline_tests.derived.rows import Answer, Measure, Owner, Row, Rows
from usage_pipeline_tests.derived.rungs import Ladder, Period

Version = frozenset[tuple[UUID, Row]]
"""What a period holds, as one value: two with the same version have the same checksum."""


class State(StrEnum):
    PARTIAL = "partial"
    OPEN = "open"
    SEALED = "sealed"
    PRUNED = "pruned"


LARGE: Final = 3
"""Messages from which on a period is not halved; `World` makes the database's guard the same."""


class Standing(StrEnum):
    """How a period looks from above."""

    STANDS = "stands"
    PRUNED = "pruned"
    EMPTY = "empty"
    MISSING = "missing"


class Intent(StrEnum):
    RUN = "run"
    RESTATE = "restate"
    ACCEPT = "accept"
    USER = "user"


class Why(StrEnum):
    """Why a run is refused, in the words that end the sentence."""

    TO_COME = "has not come yet by the database's clock"
    BEFORE_THE_START = "lies before the first day"
    IS_PRUNED = "is pruned"
    IS_SEALED = "is sealed"
    IS_NOT_SEALED = "is not sealed"
    IS_MISSING = "is not computed"
    IS_OPEN_BELOW = "is sealed and stays"
    BEFORE_THE_HORIZON = "begins before the source's horizon"
    LOSES_MOST = "would lose most of its messages"
    IS_ALTERED = "holds rows that were altered since its last run"
    DIFFERS = "was not stored"


class Refused(Exception):  # noqa: N818 - it is not an error: the rules say no
    """Nothing was done, and these periods are why."""

    def __init__(self, why: Why, missing: Sequence[Period] = ()) -> None:
        self.why = why
        self.missing = missing
        super().__init__(why)


@dataclass(frozen=True)
class Entry:
    """What the last run of a period left; of a `partial` one nothing is counted."""

    state: State
    covered_until: datetime
    rows: Rows
    source_rows: int | None = None
    source: Rows | None = None
    below: Mapping[Period, Version] = field(default_factory=dict)
    kept: Mapping[UUID, Measure] = field(default_factory=dict)
    sealed_at: datetime | None = None
    recorded: Version | None = None
    """What the last run left, where somebody has altered the rows since."""

    @cached_property
    def version(self) -> Version:
        """What the ledger's checksum and sums are of."""
        return frozenset(self.rows.items()) if self.recorded is None else self.recorded

    @cached_property
    def totals(self) -> Mapping[str, int]:
        return rows.totals(row for _, row in self.version)

    @property
    def is_altered(self) -> bool:
        return self.recorded not in (None, frozenset(self.rows.items()))

    @property
    def kept_rows(self) -> int:
        return sum(messages for messages, *_ in self.kept.values())


class Restated(NamedTuple):
    """A row of a sealed period that has changed, or of an open one whose loss was accepted."""

    period: Period
    user: UUID
    before: Row | None
    after: Row | None
    reason: str


class Said(NamedTuple):
    """What a run says it did."""

    word: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class _Reading:
    """Where a run reads, and how far; without parts, raw rows."""

    covered_until: datetime
    parts: Sequence[Period] | None
    below: Mapping[Period, Version]
    may_seal: bool


@dataclass
class Oracle:
    """The application's answers, the clock, and every period as it must stand."""

    first_day: date
    grace: timedelta
    now: datetime
    horizon: datetime | None = None
    ladder: Ladder = rungs.REAL
    answers: dict[UUID, Answer] = field(default_factory=dict)
    owners: dict[UUID, Owner] = field(default_factory=dict)
    entries: dict[Period, Entry] = field(default_factory=dict)
    pruned: set[Period] = field(default_factory=set)
    restated: list[Restated] = field(default_factory=list)
    touched: set[tuple[Period, UUID]] = field(default_factory=set)

    def state(self, period: Period) -> State | None:
        entry = self.entries.get(period)
        return entry.state if entry else None

    def standing(self, period: Period) -> Standing:
        """What is computed stands, what went with its month or year is pruned, what cannot be is empty."""
        state = self.state(period)
        if state in (State.OPEN, State.SEALED):
            return Standing.STANDS
        if state is State.PRUNED or self.is_gone(period):
            return Standing.PRUNED
        is_out = self._is_before_the_start(period) or self._is_to_come(period)
        if is_out or (state is None and self._is_before_the_horizon(period)):
            return Standing.EMPTY
        return Standing.MISSING

    def run(
        self, period: Period, intent: Intent = Intent.RUN, user: UUID | None = None, reason: str | None = None
    ) -> Said:
        """One run from its first look to its commit; a refusal leaves everything as it was."""
        if self._is_to_come(period):
            raise Refused(Why.TO_COME)
        if self._is_before_the_start(period):
            raise Refused(Why.BEFORE_THE_START)
        if self.standing(period) is Standing.PRUNED:
            if intent is not Intent.RUN:
                raise Refused(Why.IS_PRUNED)
            return Said("pruned")
        state = self.state(period)
        if intent is Intent.USER and state is State.SEALED:
            raise Refused(Why.IS_SEALED)
        is_restated = state is State.SEALED or self._accepts_open(period, intent, user)
        if intent in (Intent.RESTATE, Intent.ACCEPT) and not is_restated:
            raise Refused(Why.IS_NOT_SEALED)
        if intent is Intent.USER and state is State.OPEN and period.below:
            intent, user = Intent.RUN, None
        reading = self._reading(period, intent)
        if reading.parts is None and self._is_before_the_horizon(period):
            return self._leave_as_it_stands(period, intent, reading)
        return self._write(period, intent, user, reason, reading)

    def due(self, grain: Grain) -> list[Period]:
        """What a run would bring up to date, oldest first."""
        return [
            each for each in self.ladder.span(grain, self.first_day, self.now.date()) if self._is_due(each)
        ]

    def prunable(self, whole: Period, grain: Grain) -> list[Period]:
        """The periods that are pruned together, if each is proven; else none."""
        there = [
            each for each in self.ladder.within(grain, whole) if self.state(each) not in (None, State.PRUNED)
        ]
        return there if all(self._is_proven(each) for each in there) else []

    def prunable_week(self, week: Period) -> list[Period]:
        """A week goes by its seal alone, once the months of its days have theirs."""
        months = {day.whole for day in week.below if self.state(day)}
        settled = (State.SEALED, State.PRUNED)
        is_proven = all(month and self.state(month) in settled for month in months)
        return [week] if is_proven and self.state(week) is State.SEALED else []

    def prune(self, periods: Sequence[Period]) -> None:
        self.pruned.update(periods)
        for period in periods:
            self.entries[period] = replace(self.entries[period], state=State.PRUNED, rows={}, recorded=None)

    def alter(self, period: Period, altered: Rows) -> None:
        """Somebody writes into the table, past every guard; the ledger does not know."""
        entry = self.entries[period]
        self.entries[period] = replace(entry, rows=altered, recorded=entry.version)

    def raw(self, period: Period, until: datetime) -> Rows:
        """What the source holds of a period below an instant."""
        mine = [each for each in self.answers.values() if period.start <= each.at < until]
        return rows.of_answers(mine, self.owners, keeps=period.grain in rungs.KEEPS_CONVERSATIONS)

    def is_over(self, period: Period) -> bool:
        """Whether its grace is."""
        return self.now >= period.end + self.grace

    def _is_to_come(self, period: Period) -> bool:
        return period.start > self.now

    def _is_before_the_start(self, period: Period) -> bool:
        return period.end <= midnight(self.first_day)

    def _is_before_the_horizon(self, period: Period) -> bool:
        return self.horizon is not None and period.start < self.horizon

    def is_gone(self, period: Period) -> bool:
        """Whether it was never run and its month or year is pruned, as a whole or begun."""
        whole = period.whole
        if whole is None or not self.pruned:
            return False
        if not self.pruned.isdisjoint((whole, *period.siblings)):
            return True
        return self.state(whole) in (None, State.PARTIAL) and self.is_gone(whole)

    def _accepts_open(self, period: Period, intent: Intent, user: UUID | None) -> bool:
        """Whether an open period that is over becomes what the raw rows say because somebody accepts it."""
        is_raw = not period.below or self._is_read_from_raw(period)
        is_asked = intent is Intent.ACCEPT and user is None and period.end <= self.now
        return is_asked and is_raw and self.state(period) is State.OPEN

    def _loses_most(
        self, period: Period, entry: Entry | None, reading: _Reading, source: Rows, after: Rows
    ) -> bool:
        """Whether a large period that is over and open would be made less than half from raw rows.

        Of one user's call the source of all users counts too: such calls would halve the period one by one.
        """
        is_raw = reading.parts is None
        if not (is_raw and entry and entry.state is State.OPEN and period.end <= self.now):
            return False
        held, remain = entry.totals["messages"], rows.message_count(after)
        return held >= LARGE and remain < held and 2 * min(remain, rows.message_count(source)) < held

    def _is_read_from_raw(self, period: Period) -> bool:
        return any(self.standing(each) is Standing.PRUNED for each in period.below)

    def _reading(self, period: Period, intent: Intent) -> _Reading:
        """From what stands below, up to the first gap; from raw where that is gone, or where nothing is."""
        entry = self.entries.get(period)
        is_sealed = entry is not None and entry.state is State.SEALED
        covered_until = period.end if is_sealed else min(self.now, period.end)
        if intent is Intent.USER and entry is not None and entry.state is State.OPEN:
            covered_until = entry.covered_until
        if intent is Intent.USER or not period.below:
            return _Reading(covered_until, None, {}, True)
        standing = {each: self.standing(each) for each in period.below}
        missing = [each for each in period.below if standing[each] is Standing.MISSING]
        there = [each for each in period.below if standing[each] is Standing.STANDS]
        versions = {each: self.entries[each].version for each in there}
        is_settled = all(self.state(each) is State.SEALED for each in there)
        if Standing.PRUNED in standing.values():
            touched = any(self.state(each) is State.PARTIAL for each in missing)
            return _Reading(covered_until, None, versions, is_settled and not touched)
        if missing and (is_sealed or not period.start <= self.now < period.end):
            raise Refused(Why.IS_MISSING, missing)
        if is_sealed and not is_settled:
            raise Refused(Why.IS_OPEN_BELOW)
        parts, gap = self._up_to_the_gap(period, standing)
        read = max([covered_until, *(self.entries[each].covered_until for each in parts)])
        return _Reading(read if gap is None else gap, parts, versions, is_settled and not missing)

    def _up_to_the_gap(
        self, period: Period, standing: Mapping[Period, Standing]
    ) -> tuple[list[Period], datetime | None]:
        """A gap begins where a period is missing, or where one is covered no further.

        What is read of the periods below is covered, also where the clock was set back since.
        """
        parts: list[Period] = []
        for each in period.below:
            if standing[each] is Standing.MISSING:
                return parts, each.start
            if standing[each] is Standing.STANDS:
                parts.append(each)
                if self.entries[each].covered_until < each.end:
                    return parts, self.entries[each].covered_until
        return parts, None

    def _leave_as_it_stands(self, period: Period, intent: Intent, reading: _Reading) -> Said:
        if intent is not Intent.RUN:
            raise Refused(Why.BEFORE_THE_HORIZON)
        entry = self.entries.get(period)
        if entry is None:
            return Said("before the horizon")
        if entry.is_altered:
            raise Refused(Why.IS_ALTERED)
        below = entry.below if entry.kept else reading.below
        if entry.source is None:  # only the seed's function has touched it
            counted = rows.message_count(entry.rows)
            entry = replace(entry, source=entry.rows, source_rows=counted)
        self.entries[period] = self._sealed_if_due(period, replace(entry, below=below), reading)
        return Said("computed")

    def _write(
        self, period: Period, intent: Intent, user: UUID | None, reason: str | None, reading: _Reading
    ) -> Said:
        entry = self.entries.get(period)
        before = entry.rows if entry else {}
        if entry and entry.is_altered and not _makes_all_anew(entry, intent, user):
            raise Refused(Why.IS_ALTERED)
        source = self._source(period, reading)
        kept: Mapping[UUID, Measure] = {}
        if intent is Intent.USER:
            after = {each: row for each, row in before.items() if each != user}
            after.update({each: row for each, row in source.items() if each == user})
        elif entry and entry.state is State.SEALED and reading.parts is None:
            after, kept = kept_of(before, source, user, keeps=intent is not Intent.ACCEPT)
        else:
            after = dict(source)
        if intent is not Intent.ACCEPT and self._loses_most(period, entry, reading, source, after):
            raise Refused(Why.LOSES_MOST)
        if reading.parts is not None and self._differs_from(reading.parts, source):
            raise Refused(Why.DIFFERS)
        changes = {each for each in {*before, *after} if before.get(each) != after.get(each)}
        self.touched |= {(period, each) for each in changes}
        if entry and (entry.state is State.SEALED or self._accepts_open(period, intent, user)):
            why = reason or (
                "the source has more" if reading.parts is None else "the periods below it changed"
            )
            self.restated += [
                Restated(period, each, before.get(each), after.get(each), why) for each in sorted(changes)
            ]
        if intent is Intent.USER:
            self.entries[period] = _touched(entry, reading.covered_until, after)
        else:
            below = entry.below if entry and kept else reading.below
            written = Entry(
                entry.state if entry and entry.state is State.SEALED else State.OPEN,
                reading.covered_until, after, rows.message_count(source), source, below, kept,
                entry.sealed_at if entry else None,
            )  # fmt: skip
            self.entries[period] = self._sealed_if_due(period, written, reading)
        return Said(
            "computed",
            len(changes - set(before)),
            len(changes & set(before) & set(after)),
            len(changes - set(after)),
        )

    def _source(self, period: Period, reading: _Reading) -> Rows:
        if reading.parts is None:
            return self.raw(period, reading.covered_until)
        keeps = period.grain in rungs.KEEPS_CONVERSATIONS
        return rows.of_periods((self.entries[each].rows for each in reading.parts), keeps=keeps)

    def _differs_from(self, parts: Sequence[Period], source: Rows) -> bool:
        """Whether the rows below come to other sums than their last runs left."""
        left = Counter[str]()
        for each in parts:
            left.update(self.entries[each].totals)
        return left != Counter(rows.totals(source.values()))

    def _sealed_if_due(self, period: Period, entry: Entry, reading: _Reading) -> Entry:
        """The first run after the grace is the last free one, if everything below has had its own."""
        if entry.state is State.SEALED:
            return entry
        if self.is_over(period) and reading.may_seal:
            return replace(entry, state=State.SEALED, covered_until=period.end, sealed_at=self.now)
        return replace(entry, state=State.OPEN)

    def _is_due(self, period: Period) -> bool:
        entry = self.entries.get(period)
        if self.standing(period) is Standing.PRUNED:
            return False
        is_raw = not period.below or self._is_read_from_raw(period)
        if entry is None:
            return not (is_raw and self._is_before_the_horizon(period))
        is_recent = period.grain is Grain.DAILY and period.first >= self.now.date() - timedelta(days=1)
        if entry.state is State.PARTIAL or is_recent:
            return True
        if entry.state is not State.SEALED and self.is_over(period):
            return True
        if entry.state is not State.SEALED and self._is_cut_short(period) and period.end <= self.now:
            below = [] if is_raw else period.below
            goes_on = not (is_raw and self._is_before_the_horizon(period))
            if goes_on and not any(self._is_cut_short(each) for each in below):
                return True
        stand = [each for each in period.below if self.standing(each) is Standing.STANDS]
        return not is_raw and entry.below != {each: self.entries[each].version for each in stand}

    def _is_cut_short(self, period: Period) -> bool:
        """Whether it is computed, but not to its end."""
        entry = self.entries.get(period)
        return bool(entry and (entry.state is State.PARTIAL or entry.covered_until < period.end))

    def _is_proven(self, period: Period) -> bool:
        """Sealed, as is each period above it; and the one it is pruned with was built from what goes."""
        entry = self.entries[period]
        above = [each for each in period.above if self.state(each) is not State.PRUNED]
        if (
            entry.state is not State.SEALED
            or entry.is_altered
            or any(self.state(each) is not State.SEALED for each in above)
        ):
            return False
        return period.whole not in above or self.entries[period.whole].below.get(period) == entry.version


def shrinks(period: Period, before: Row, now: Row | None) -> bool:
    """Whether a sealed row became less.

    Conversations of a period made from others are a union: a day that keeps their number and holds others
    may leave fewer of them.
    """
    if now is None:
        return True
    if not period.below:
        return not now.holds_no_less_than(before)
    return now.messages < before.messages or now.total < before.total


def _makes_all_anew(entry: Entry, intent: Intent, user: UUID | None) -> bool:
    """Whether what somebody altered cannot outlive the run."""
    if entry.state is State.SEALED:
        return intent is Intent.ACCEPT and user is None
    return intent is not Intent.USER


def _touched(entry: Entry | None, covered_until: datetime, after: Rows) -> Entry:
    """What the seed's function leaves: an open day one row newer, any other period `partial`."""
    if entry is None or entry.state is State.PARTIAL:
        return Entry(State.PARTIAL, covered_until, after)
    return replace(entry, rows=after, recorded=None, source_rows=rows.message_count(after), source=after)


def kept_of(
    before: Rows, source: Rows, only: UUID | None, *, keeps: bool
) -> tuple[dict[UUID, Row], dict[UUID, Measure]]:
    """A sealed period read from raw: who would lose something stays as stored, and it is said by how much."""
    after: dict[UUID, Row] = {}
    kept: dict[UUID, Measure] = {}
    for user in {*before, *source}:
        old, new = before.get(user), source.get(user)
        is_meant = only in (None, user)
        loses = old is not None and (new is None or not new.holds_no_less_than(old))
        row = new if is_meant and not (keeps and loses) else old
        if row is not None:
            after[user] = row
        if row != new and (old and old.counts) != (new and new.counts):
            messages, conversations, tokens = old.measure if old else (0, 0, 0)
            fewer = new.measure if new else (0, 0, 0)
            kept[user] = (messages - fewer[0], conversations - fewer[1], tokens - fewer[2])
    return after, kept
