"""A history: each step is taken in the database and in the oracle, and afterwards both say the same."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from usage_pipeline.derived import due
from usage_pipeline.periods.calendar import Grain, midnight
from usage_pipeline.refusals import Refusal
from usage_pipeline_tests.derived import rows, rungs
from usage_pipeline_tests.derived.oracle import (
    Entry,
    Intent,
    Oracle,
    Refused,
    Said,
    Standing,
    State,
    Version,
    Why,
    shrinks,
)
from usage_pipeline_tests.derived.rows import NOBODY, Answer, Owner, Rows
from usage_pipeline_tests.derived.rungs import GRAINS, Period
from usage_pipeline_tests.derived.world import AGENTS, CONVERSATIONS, USERS, Recorded, Stored, World
from usage_pipeline_tests.factories import tokens_of

GRACE: Final = timedelta(days=2)
GUARD: Final = ("message_count", "conversation_count", "total_tokens")
OWNERS: Final = {
    CONVERSATIONS[0]: Owner(USERS[0], AGENTS[0]),
    CONVERSATIONS[1]: Owner(USERS[1], None),
    CONVERSATIONS[2]: Owner(None, AGENTS[1]),
}
Said_or_why = Said | Why


class History:
    """What has happened so far, in words, and the two that have lived through it."""

    def __init__(self, world: World, first_day: date, now: datetime) -> None:
        self.world = world
        self.oracle = Oracle(first_day, GRACE, now, owners=dict(OWNERS))
        self.told = [f"the first day is {first_day}, and it is {now:%Y-%m-%d %H:%M}"]
        self.latest = now
        self.changed_day = first_day
        self.is_broken = False
        self.accepted: set[Period] = set()
        self.refused: list[Period] = []
        self._stored: Mapping[tuple[Period, UUID], Stored] = {}
        self._ledger: Mapping[Period, Recorded] = {}
        self._checksums: dict[tuple[Grain, Version], str] = {}
        world.empty(OWNERS)
        world.set_policy(first_day, GRACE.days)
        world.set_clock(now)

    @property
    def today(self) -> date:
        return self.oracle.now.date()

    def tell(self, words: str) -> None:
        self.told.append(words)

    # What the application does.

    def write(self, answers: Mapping[UUID, Answer]) -> None:
        for number, answer in answers.items():
            before = self.oracle.answers.get(number)
            self.tell(f"answer {number.int} {'is now' if before else 'comes in:'} {_in_words(answer)}")
            self.changed_day = min(answer.at.date(), self.today)
        self.oracle.answers.update(answers)
        self.world.write(answers)

    def add(self, *answers: Answer) -> None:
        first = max((number.int for number in self.oracle.answers), default=1000) + 1
        self.write({UUID(int=first + place): answer for place, answer in enumerate(answers)})

    def delete(self, is_meant: Callable[[Answer], bool]) -> None:
        gone = [number for number, answer in self.oracle.answers.items() if is_meant(answer)]
        self.tell(f"deleted: answers {', '.join(str(number.int) for number in gone) or 'none'}")
        for number in gone:
            self.changed_day = min(self.oracle.answers.pop(number).at.date(), self.today)
        self.world.delete(gone)

    def own(self, conversation: UUID, owner: Owner) -> None:
        self.tell(f"conversation {conversation.int} belongs to {owner.user and owner.user.int}")
        self.oracle.owners[conversation] = owner
        self.world.set_owner(conversation, owner)

    # What time and the operator do.

    def clock(self, instant: datetime) -> None:
        self.tell(f"it is {instant:%Y-%m-%d %H:%M}")
        self.oracle.now = instant
        self.latest = max(self.latest, instant)
        self.world.set_clock(instant)

    def reconnect(self) -> None:
        """What a session has planned or remembers must not matter."""
        self.tell("a new session")
        self.world.warehouse.dispose()

    def start(self, first_day: date) -> None:
        self.tell(f"the first day is now {first_day}")
        self.oracle.first_day = first_day
        self.world.set_policy(first_day, GRACE.days)

    def horizon(self, day: date) -> None:
        """Raw rows before it are gone, and it is said."""
        self.tell(f"raw rows begin on {day}")
        self.delete(lambda answer: answer.at < midnight(day))
        self.oracle.horizon = midnight(day)
        self.world.set_horizon(midnight(day))

    def prune(self, whole: Period, grain: Grain) -> None:
        """The days of a month, the months of a year: if each is proven."""
        self._prune(self.oracle.prunable(whole, grain))

    def prune_week(self, week: Period) -> None:
        self._prune(self.oracle.prunable_week(week))

    def _prune(self, gone: Sequence[Period]) -> None:
        self.tell(f"pruned: {', '.join(map(repr, gone)) or 'nothing'}")
        self.oracle.prune(gone)
        self.world.prune(gone)
        self._forget(gone)

    def _forget(self, gone: Sequence[Period]) -> None:
        self._stored = {key: row for key, row in self._stored.items() if key[0] not in gone}
        self._ledger = {key: entry for key, entry in self._ledger.items() if key not in gone}

    # What runs do.

    def run(self, period: Period) -> Said_or_why:
        return self._both(period, Intent.RUN, None, None)

    def restate(self, period: Period, user: UUID | None, *, accept: bool) -> Said_or_why:
        intent = Intent.ACCEPT if accept else Intent.RESTATE
        said = self._both(period, intent, user, "a person says so")
        if accept and isinstance(said, Said):
            self.accepted.add(period)
        return said

    def call(self, period: Period, user: UUID) -> Said_or_why:
        return self._both(period, Intent.USER, user, None)

    def due(self, grain: Grain) -> list[tuple[Period, str]]:
        """What the ledger says is due, and why."""
        said = due.periods(self.world.warehouse, self.world.rollups[grain])
        found = [(rungs.of(grain, each.window.start.date()), each.reason) for each in said]
        wanted = self.oracle.due(grain)
        self._require([period for period, _ in found] == wanted, f"due of {grain}", found, wanted)
        return found

    def night(self) -> set[str]:
        """Everything that is due runs, finer before coarser; the reasons there were."""
        reasons = set()
        self.refused.clear()
        for grain in GRAINS:
            for period, reason in self.due(grain):
                if self.run(period) is Why.LOSES_MOST:
                    self.refused.append(period)
                reasons.add(reason)
        self.compare()
        return reasons

    def settle(self) -> None:
        """Nights go on and nothing else: every period whose grace is over is sealed, and stays as it is."""
        nights = 0
        while self.night() - {"recent"}:
            nights += 1
            for period in self.refused:
                self.restate(period, None, accept=True)
            self._require(nights < 4, "still due", [self.due(grain) for grain in GRAINS], "nothing")
        for grain in GRAINS:
            for period in rungs.span(grain, self.oracle.first_day, self.today):
                state, standing = self.oracle.state(period), self.oracle.standing(period)
                is_done = state in (State.SEALED, State.PRUNED) or standing in (
                    Standing.EMPTY,
                    Standing.PRUNED,
                )
                is_late = self.oracle.is_over(period) and not is_done
                self._require(not is_late, f"{period} never seals", state, State.SEALED)

    def _both(self, period: Period, intent: Intent, user: UUID | None, reason: str | None) -> Said_or_why:
        found, checksum = self._run(period, intent, user, reason)
        expected, missing = self._expect(period, intent, user, reason)
        whom = f" for {user.int}" if user else ""
        self.tell(
            f"{intent} {period}{whom}: {found if isinstance(found, Refusal) else ' '.join(map(str, found))}"
        )
        if isinstance(expected, Why):
            is_so = isinstance(found, Refusal) and re.search(rf"{expected}( [-\d]+)?$", found.what)
            is_named = isinstance(found, Refusal) and all(each.words in found.why for each in missing[:5])
            self._require(bool(is_so and is_named), f"{intent} {period}", found, (expected, missing))
        elif intent is Intent.USER:
            self._require(isinstance(found, Said), f"{intent} {period}", found, expected)
        else:
            self._require(found == expected, f"{intent} {period}", found, expected)
            if checksum and period in self.oracle.entries:
                self._learn(period, checksum)
        return expected

    def _expect(
        self, period: Period, intent: Intent, user: UUID | None, reason: str | None
    ) -> tuple[Said_or_why, Sequence[Period]]:
        try:
            return self.oracle.run(period, intent, user, reason), ()
        except Refused as refused:
            return refused.why, refused.missing

    def _run(
        self, period: Period, intent: Intent, user: UUID | None, reason: str | None
    ) -> tuple[Said | Refusal, str]:
        """What is said, and the checksum of what stands now."""
        try:
            if intent is Intent.USER:
                assert user
                self.world.call(user, period)
                return Said("computed"), ""
            ended = tokens_of(period.grain).compute(self.world.warehouse, period.window, "test",
                intent=intent, unit=user, reason=reason,
            )  # fmt: skip
        except Refusal as refusal:
            return refusal, ""
        is_there = ended.said == "computed"
        said = Said(ended.said, ended.inserted, ended.updated, ended.deleted)
        return said, ended.entry.checksum if is_there else ""

    # What must be true after every step.

    def compare(self) -> None:
        """All that is stored and recorded is what the oracle says, and only what changed was written."""
        stored, ledger = self.world.stored(), self.world.ledger()
        wanted = {
            (period, user): row
            for period, entry in self.oracle.entries.items()
            for user, row in entry.rows.items()
        }
        self._equal("stored", {key: each.row for key, each in stored.items()}, wanted)
        self._equal("ledger", *self._entries(ledger))
        self._equal(
            "restatements",
            dict(enumerate(self.world.restatements())),
            {
                place: (
                    each.period.rollup, each.period.first, each.user,
                    each.before and each.before.total, each.after and each.after.total, each.reason,
                )
                for place, each in enumerate(self.oracle.restated)
            },
        )  # fmt: skip
        self._written_only_where_changed(stored)
        self._sealed_never_shrinks(stored)
        self._books_balance(ledger)
        self._stored, self._ledger = stored, ledger
        self.oracle.touched.clear()

    def reads_as_true(self) -> None:
        """While answers arrive in time, the stored row and the raw tail above it are the truth."""
        for period, recorded in self._ledger.items():
            if recorded.state not in (State.OPEN, State.SEALED):
                continue
            covered, entry = recorded.covered_until, self.oracle.entries[period]
            later = [answer for answer in self.oracle.answers.values() if covered <= answer.at < period.end]
            tail = rows.of_answers(later, self.oracle.owners, keeps=True)
            truth = self.oracle.raw(period, period.end)
            for user in {*entry.rows, *tail, *truth}:
                parts = [each[user] for each in (entry.rows, tail) if user in each]
                read = sum(row.total for row in parts), sum(row.messages for row in parts)
                true = (truth[user].total, truth[user].messages) if user in truth else (0, 0)
                self._require(read == true, f"a reader of {period}, user {user.int}", read, true)

    def _entries(self, ledger: Mapping[Period, Recorded]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        for period, recorded in ledger.items():
            if period in self.oracle.entries and recorded.state != State.PRUNED:
                self._learn(period, recorded.checksum)
        return (
            {period: _found(recorded) for period, recorded in ledger.items()},
            {period: self._wanted(period, entry) for period, entry in self.oracle.entries.items()},
        )

    def _learn(self, period: Period, checksum: str) -> None:
        """Equal rows have equal checksums, and no others."""
        version = (period.grain, self.oracle.entries[period].version)
        known = self._checksums.setdefault(version, checksum)
        others = {
            other for other, mark in self._checksums.items() if mark == checksum and other[0] == period.grain
        }
        self._require(known == checksum and others == {version}, f"checksum of {period}", checksum, known)

    def _wanted(self, period: Period, entry: Entry) -> tuple[object, ...]:
        source = entry.source
        states = {} if source is None else _states(source)
        return (
            entry.state, entry.covered_until, entry.sealed_at, entry.source_rows,
            states, entry.kept_rows,
            {str(user): dict(zip(GUARD, kept, strict=True)) for user, kept in entry.kept.items()},
            {
                each.first.isoformat(): self._checksums[each.grain, version]
                for each, version in entry.below.items()
            },
            None if entry.state is State.PRUNED
            else (len(entry.rows), self._checksums.get((period.grain, entry.version))),
        )  # fmt: skip

    def _written_only_where_changed(self, stored: Mapping[tuple[Period, UUID], Stored]) -> None:
        both = stored.keys() & self._stored.keys()
        written = {key for key in both if stored[key].version != self._stored[key].version}
        self._require(
            written <= self.oracle.touched, "written without a change", written - self.oracle.touched, set()
        )

    def _sealed_never_shrinks(self, stored: Mapping[tuple[Period, UUID], Stored]) -> None:
        free = set(self.accepted)
        for period in list(free):
            free |= {*period.above, *(each for upper in period.above for each in upper.above)}
        for (period, user), before in self._stored.items():
            was = self._ledger.get(period)
            if was is None or was.state != State.SEALED or period in free:
                continue
            now = stored.get((period, user))
            is_less = shrinks(period, before.row, now and now.row)
            self._require(not is_less, f"sealed {period}, user {user.int}", now, before)

    def _books_balance(self, ledger: Mapping[Period, Recorded]) -> None:
        for period, recorded in ledger.items():
            if recorded.source_rows is None or recorded.state == State.PRUNED:
                continue
            books = recorded.source_rows + recorded.kept_rows
            self._require(
                recorded.message_count == books, f"the books of {period}", recorded.message_count, books
            )
            if recorded.hourly_rows is not None:
                hours = sum(recorded.hourly_rows)
                self._require(
                    hours == recorded.source_rows, f"hours of {period}", hours, recorded.source_rows
                )

    def _equal(self, what: str, found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
        """Only what differs is told."""
        keys = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        for key in keys:
            self._require(False, f"{what} of {key}", found.get(key), wanted.get(key))

    def _require(self, is_so: bool, what: str, found: object, wanted: object) -> None:
        if not is_so:
            self.is_broken = True
            story = "\n".join(f"  {line}" for line in self.told)
            raise AssertionError(f"{what}\n  found  {found}\n  wanted {wanted}\nafter\n{story}")


def _states(source: Rows) -> dict[str, int]:
    """Of its source rows; how many report only a total no stored row says."""
    return {
        "unattributed": source[NOBODY].messages if NOBODY in source else 0,
        "unmetered": sum(row.unmetered for row in source.values()),
        "refused": sum(row.refused for row in source.values()),
    }


def _found(recorded: Recorded) -> tuple[object, ...]:
    return (
        recorded.state, recorded.covered_until, recorded.sealed_at, recorded.source_rows,
        {name: count for name, count in recorded.states.items() if name != "total_only"}, recorded.kept_rows,
        recorded.kept, recorded.below,
        None if recorded.state == State.PRUNED else (recorded.stored_rows, recorded.checksum),
    )  # fmt: skip


def _in_words(answer: Answer) -> str:
    usage = f"{answer.usage.total} tokens, {answer.usage.state}"
    return f"{answer.at:%Y-%m-%d %H:%M}, conversation {answer.conversation.int}, {usage}"
