"""One life of all periods without a database: after each run, `decide` and the oracle must agree."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from usage_pipeline.periods.calendar import Grain, Window, midnight
from usage_pipeline_tests.derived.oracle import (
    Entry,
    Intent,
    Oracle,
    Refused,
    Restated,
    Said,
    Standing,
    State,
    Why,
    shrinks,
)
from usage_pipeline_tests.derived.rows import Answer, Owner, Rows, Usage, message_count
from usage_pipeline_tests.derived.rungs import GRAINS, Ladder, Period
from usage_pipeline_tests.engine.pure import Change, Engine, Outcome, held

DAY: Final = timedelta(days=1)
FIRST_DAY: Final = date(2026, 1, 6)
USERS: Final = tuple(UUID(int=number) for number in (1, 2))
CONVERSATIONS: Final = tuple(UUID(int=number) for number in (21, 22, 23))
FIVE: Final = Usage(3, 2, 5, "reported")
LENGTHS: Final = {Grain.DAILY: (1, 0), Grain.WEEKLY: (3, 1), Grain.MONTHLY: (4, 0), Grain.YEARLY: (12, 0)}
REASONS: Final = {
    "TO_COME": Why.TO_COME,
    "BEFORE_FIRST_DAY": Why.BEFORE_THE_START,
    "PRUNED": Why.IS_PRUNED,
    "SEALED": Why.IS_SEALED,
    "NOT_SEALED": Why.IS_NOT_SEALED,
    "MISSING_BELOW": Why.IS_MISSING,
    "OPEN_BELOW": Why.IS_OPEN_BELOW,
    "BEFORE_HORIZON": Why.BEFORE_THE_HORIZON,
    "ALTERED": Why.IS_ALTERED,
    "LOST": Why.LOSES_MOST,
    "MOVED": Why.LOSES_MOST,
    "DIFFERS_FROM_BELOW": Why.DIFFERS,
}
LEFT: Final = {"PRUNED": "pruned", "BEFORE_HORIZON": "before the horizon"}


def small_window(grain: Grain, day: date) -> Window:
    """Weeks of 3 days, months of 4, years of 12: forty steps reach every state."""
    length, shift = LENGTHS[grain]
    first = day - (day - date(2026, 1, 1) - shift * DAY) % (length * DAY)
    return Window(midnight(first), midnight(first + length * DAY))


SMALL: Final = Ladder(small_window)


class Broken(AssertionError):  # noqa: N818 - what is broken is a rule
    """A rule does not hold; the story says how it came to that."""


class Life:
    """The oracle, and `decide` beside it."""

    def __init__(self, engine: Engine, ladder: Ladder = SMALL, *, grace_days: int = 2) -> None:
        self.engine = engine
        self.ladder = ladder
        self.oracle = Oracle(FIRST_DAY, grace_days * DAY, noon(FIRST_DAY), ladder=ladder)
        self.oracle.owners = dict(
            zip(CONVERSATIONS, [*(Owner(user, None) for user in USERS), Owner(None, None)], strict=True)
        )
        self.latest = self.oracle.now
        self.earliest = FIRST_DAY
        self.changed_day = FIRST_DAY
        self.happened: list[str] = []
        self.accepted: set[Period] = set()

    # What happens to the source.

    def add(self, at: datetime, conversation: UUID, usage: Usage = FIVE) -> None:
        number = UUID(int=max((each.int for each in self.oracle.answers), default=1000) + 1)
        self.put(number, Answer(conversation, Owner(None, None), at, usage))

    def put(self, number: UUID, answer: Answer) -> None:
        self.oracle.answers[number] = answer
        self.changed_day = min(answer.at.date(), self.oracle.now.date())
        self.happened.append(
            f"answer {number.int}: {answer.at:%m-%d %H:%M}, conversation {answer.conversation.int},"
            f" {answer.usage.total} tokens"
        )

    def drop(self, numbers: Iterable[UUID]) -> None:
        gone = list(numbers)
        for number in gone:
            self.changed_day = min(self.oracle.answers.pop(number).at.date(), self.oracle.now.date())
        self.happened.append(f"deleted: answers {', '.join(str(number.int) for number in gone) or 'none'}")

    def own(self, conversation: UUID, user: UUID | None) -> None:
        self.oracle.owners[conversation] = Owner(user, None)
        self.happened.append(f"conversation {conversation.int} belongs to {user and user.int}")

    # What time and the operator do.

    def clock(self, instant: datetime) -> None:
        self.oracle.now = instant
        self.latest = max(self.latest, instant)
        self.happened.append(f"it is {instant:%m-%d %H:%M}")

    def start(self, day: date) -> None:
        self.oracle.first_day = min(day, self.oracle.now.date())
        self.earliest = min(self.earliest, day)
        self.happened.append(f"the first day is {self.oracle.first_day:%m-%d}")

    def horizon(self, day: date) -> None:
        self.oracle.horizon = max(midnight(day), self.oracle.horizon or midnight(day))
        self.happened.append(f"raw rows begin on {self.oracle.horizon:%m-%d}")

    def prune(self, period: Period) -> None:
        """What retention takes together, if it is proven, whatever its age."""
        whole = period.whole
        gone = self.oracle.prunable(whole, period.grain) if whole else self.oracle.prunable_week(period)
        self.oracle.prune(gone)
        self.happened.append(f"pruned: {gone or 'nothing'}")

    def alter(self, period: Period, altered: Rows) -> None:
        """Somebody writes into the table."""
        self.oracle.alter(period, altered)
        self.happened.append(f"altered: {period}")

    # What runs do.

    def of(self, grain: Grain, day: date) -> Period:
        return self.ladder.of(grain, day)

    def night(self) -> None:
        """Everything that is due runs, finer before coarser."""
        for grain in GRAINS:
            for period in self.oracle.due(grain):
                self.do(period)

    def do(self, period: Period, intent: Intent = Intent.RUN, user: UUID | None = None) -> Said | Why:
        """One run, by `decide` and by the oracle: they say, write and record the same."""
        before = self.oracle.entries.get(period)
        found = self.engine.run(self.oracle, period, intent, user)
        recorded = len(self.oracle.restated)
        wanted, missing = self._expected(period, intent, user)
        whom = f" for {user.int}" if user else ""
        self.happened.append(f"{intent} {period}{whom}: {wanted if isinstance(wanted, Why) else wanted.word}")
        self._says_the_same(period, found, wanted, missing)
        if found.ledger:
            if intent is Intent.ACCEPT:
                self.accepted.add(period)
            self._holds_the_same(period, found, self.oracle.restated[recorded:])
            self._never_shrinks(period, before)
        return wanted

    def settle(self) -> None:
        """Altered rows are restored, losses accepted, nights go on: what is over is sealed.

        Open periods that a later first day has left behind could not be run.
        """
        self.start(self.earliest)
        for period, entry in list(self.oracle.entries.items()):
            if entry.is_altered:
                self.alter(period, dict(entry.version))
        self.clock(self.latest + 4 * DAY)
        nights = 0
        while self._settles():
            nights += 1
            due = [self.oracle.due(grain) for grain in GRAINS]
            self.require(nights < 4, "what is due", "every night", due, "nothing")
        for period in self._periods():
            is_out = self.oracle.standing(period) in (Standing.EMPTY, Standing.PRUNED)
            state = self.oracle.state(period)
            is_done = is_out or state is State.SEALED or not self.oracle.is_over(period)
            self.require(is_done, "the state in the end", period, state, State.SEALED)

    def _settles(self) -> bool:
        """Whether a night finds more to do than what happened lately."""
        lately = self.oracle.now.date() - DAY
        is_more = False
        for grain in GRAINS:
            for period in self.oracle.due(grain):
                is_more |= grain is not Grain.DAILY or period.first < lately
                if self.do(period) is Why.LOSES_MOST:
                    self.do(period, Intent.ACCEPT)
        return is_more

    def _periods(self) -> Iterable[Period]:
        for grain in GRAINS:
            yield from self.ladder.span(grain, self.oracle.first_day, self.oracle.now.date())

    def _expected(
        self, period: Period, intent: Intent, user: UUID | None
    ) -> tuple[Said | Why, Sequence[Period]]:
        try:
            return self.oracle.run(period, intent, user), ()
        except Refused as refused:
            return refused.why, refused.missing

    # What must be true.

    def _says_the_same(
        self, period: Period, found: Outcome, wanted: Said | Why, missing: Sequence[Period]
    ) -> None:
        self.require(found.is_refused is isinstance(wanted, Why), "refused", period, found.said, wanted)
        if isinstance(wanted, Said):
            word = "computed" if found.ledger else LEFT.get(found.said)
            self.require(word == wanted.word, "what is said", period, found.said, wanted)
        else:
            self.require(REASONS.get(found.said) is wanted, "why not", period, found.said, wanted)
        if wanted is Why.IS_MISSING:
            self.require(found.periods == tuple(missing), "what is named", period, found.periods, missing)

    def _holds_the_same(self, period: Period, found: Outcome, restated: Sequence[Restated]) -> None:
        wanted = held(self.oracle.entries[period])
        for name, mine, right in zip(wanted._fields, found.ledger or (), wanted, strict=True):
            self.require(mine == right, name, period, mine, right)
        changes = frozenset(Change(each.period, each.user, each.before, each.after) for each in restated)
        self.require(found.restated == changes, "restatements", period, found.restated, changes)
        if wanted.source_rows is not None:
            books = wanted.source_rows + sum(messages for messages, *_ in wanted.kept.values())
            stored = message_count(wanted.rows)
            self.require(stored == books, "books", period, stored, books)

    def _never_shrinks(self, period: Period, before: Entry | None) -> None:
        """A sealed one, but where a loss was accepted: in it, or in what it is made from."""
        if before is None or before.state is not State.SEALED:
            return
        below = {each for part in period.below for each in (part, *part.below)}
        if self.accepted & {period, *below}:
            return
        after = self.oracle.entries[period].rows
        for user, row in before.rows.items():
            is_less = shrinks(period, row, after.get(user))
            self.require(not is_less, f"user {user.int} of a sealed period", period, after.get(user), row)

    def require(self, is_so: object, what: str, of: object, found: object, wanted: object) -> None:
        if not is_so:
            story = "\n".join(f"  {line}" for line in self.happened)
            raise Broken(f"{what} of {of}\n  found  {found}\n  wanted {wanted}\nafter\n{story}")


def noon(day: date) -> datetime:
    return midnight(day) + timedelta(hours=12)
