"""Why a run was refused, in a sentence made once for all families: what, why, and the command that helps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from usage_pipeline.engine.look import Seen
from usage_pipeline.engine.plan import Period, Reason, Refuse
from usage_pipeline.engine.prove import Found
from usage_pipeline.families.family import Family, Grain
from usage_pipeline.periods import calendar
from usage_pipeline.refusals import FAILED, REFUSED, Refusal

_MOST_NAMED: Final = 5


def refusal(
    family: Family, grain: Grain, seen: Seen, refuse: Refuse, unit: UUID | str | None = None
) -> Refusal:
    """The refusal of a run as a person reads it."""
    return _SENTENCES[refuse.reason](_Case(family, grain, seen, refuse, unit))


@dataclass(frozen=True)
class _Case:
    """One refusal, with the pieces that several sentences share."""

    family: Family
    grain: Grain
    seen: Seen
    refuse: Refuse
    unit: UUID | str | None

    @property
    def own(self) -> Period:
        return self.seen.facts.own

    @property
    def name(self) -> str:
        return f"{self.grain.name} of {period(self.grain.run_period, self.own.starts)}"

    @property
    def first(self) -> date:
        return self.own.starts.date()

    @property
    def span(self) -> str:
        return f"--from {self.first} --to {self.first}"

    @property
    def days(self) -> str:
        """Its days that have come."""
        facts = self.seen.facts
        first = max(self.first, facts.first_day.date())
        return f"--from {first} --to {min(_last_day(self.own), facts.clock.date())}"

    @property
    def backfill(self) -> str:
        return f"$ backfill {self.grain.name} {self.span}"

    def says(self, what: str, why: str, fix: str, exit_code: int = FAILED) -> Refusal:
        return Refusal(f"{self.name} {what}", why=why, fix=fix, exit_code=exit_code)


def period(grain: calendar.Grain, starts: datetime) -> str:
    """A period as every sentence names it."""
    match grain:
        case calendar.Grain.YEARLY:
            return f"{starts:%Y}"
        case calendar.Grain.MONTHLY:
            return f"{starts:%Y-%m}"
    return f"{starts:%Y-%m-%d}"


def _last_day(of: Period) -> date:
    return (of.ends - timedelta(days=1)).date()


def _to_come(case: _Case) -> Refusal:
    return case.says(
        "has not come yet by the database's clock",
        f"it says {case.seen.facts.clock:%Y-%m-%d %H:%M} (UTC)",
        "wait until it has, or set the clock that is wrong",
    )


def _before_first_day(case: _Case) -> Refusal:
    first_day = case.seen.facts.first_day.date()
    return case.says(
        f"lies before the first day {first_day}",
        "no partition begins earlier",
        f"$ sources start {case.first}",
    )


def _pruned(case: _Case) -> Refusal:
    above = " ".join(each.name for each in case.family.grains if each.below == case.grain.name)
    return case.says(
        "is pruned",
        "its rows are gone; the periods above hold them",
        f"$ backfill {above} {case.span}",
        REFUSED,
    )


def _sealed(case: _Case) -> Refusal:
    return case.says(
        "is sealed",
        "a sealed row changes only by a recorded restatement",
        f"$ restate {case.grain.name} {case.span} --{case.family.words.unit} {case.unit} --reason WHY",
        REFUSED,
    )


def _not_sealed(case: _Case) -> Refusal:
    return case.says("is not sealed", "until it is, a run makes it equal its source", case.backfill)


def _missing_below(case: _Case) -> Refusal:
    missing, below = case.refuse.periods, case.family.grain(str(case.grain.below))
    named = _named(below, missing)
    fix = f"$ backfill {below.name} --from {missing[0].starts.date()} --to {_last_day(missing[-1])}"
    return case.says("is not computed", f"never computed of {below.name}: {named}", fix)


def _named(grain: Grain, periods: Sequence[Period]) -> str:
    first = ", ".join(period(grain.run_period, each.starts) for each in periods[:_MOST_NAMED])
    others = len(periods) - _MOST_NAMED
    return f"{first} and {others} more" if others > 0 else first


def _open_below(case: _Case) -> Refusal:
    first = max(case.first, case.seen.facts.first_day.date())
    return case.says(
        "is sealed and stays",
        f"of {case.grain.below} not every period below it is",
        f"$ backfill {case.grain.below} --from {first} --to {_last_day(case.own)} seals them once their "
        f"grace of {case.seen.grace_days} days is over",
    )


def _before_horizon(case: _Case) -> Refusal:
    return case.says(
        "begins before the source's horizon",
        f"raw rows are declared whole from {case.seen.facts.horizon:%Y-%m-%d} on",
        "ask for a later period",
        REFUSED,
    )


def _altered(case: _Case) -> Refusal:
    found, left = case.refuse.found, case.seen.entry
    measure = case.family.guard[-1]
    word = measure.removeprefix("total_")
    totals = found["totals"]
    assert isinstance(totals, dict)
    if case.seen.facts.horizon is not None and case.own.starts < case.seen.facts.horizon:
        fix = "its source is gone: restore its rows from a backup"
    elif case.own.state == "sealed":
        fix = (
            f"$ restate {case.grain.name} {case.span} --reason WHY --accept-loss makes them what the source "
            "says, and with --dry-run shows it first"
        )
    else:
        fix = f"$ backfill {case.grain.name} {case.days}"
    return case.says(
        "holds rows that were altered since its last run",
        f"its {found['rows']} rows have {totals[measure]} {word}, that run left {left.stored_rows} rows and "
        f"{left.totals.get(measure)} {word}",
        fix,
    )


def _lost(case: _Case) -> Refusal:
    return _would_lose(
        case,
        "the source has {in_source}",
        f"$ restate {case.grain.name} {case.span} --reason WHY --accept-loss if they are really to go, "
        f"$ sources horizon {case.own.ends.date()} if raw rows were purged",
    )


def _moved(case: _Case) -> Refusal:
    return _would_lose(case, "{remaining} would remain", f"$ backfill {case.grain.name} {case.days}")


def _would_lose(case: _Case, then: str, fix: str) -> Refusal:
    found, covered = case.refuse.found, case.own.covered_until
    why = f"{found['held']} are stored, {then.format(**found)}"
    if case.grain.below is None and covered is not None and covered < case.own.ends:
        why += (
            f"; it is computed until {covered:%Y-%m-%d %H:%M} UTC only: its week, month and year wait for it"
        )
    return case.says(f"would lose most of its {case.family.words.events}", why, fix, REFUSED)


def _differs_from_below(case: _Case) -> Refusal:
    found, below = case.refuse.found, case.grain.below
    return case.says(
        "was not stored",
        f"of {found['name']} the rows of {below} hold {found['held']}, their last runs left {found['left']}",
        f"$ backfill {below} {case.days}",
    )


def _unbalanced(case: _Case) -> Refusal:
    found = case.refuse.found["figures"]
    assert isinstance(found, Found)
    states = ", ".join(
        f"{name} {found.computed_states[name]} computed and {stored} stored"
        for name, stored in found.states.items()
    )
    stored = found.totals[case.family.count] - found.kept_rows
    return case.says(
        "was not stored",
        f"the source has {found.source_rows} {case.family.words.events}, {found.computed_rows} were "
        f"computed, and {stored} would be stored ({states})",
        "$ migrate status reports a function that was altered; $ migrate apply creates it again",
    )


_SENTENCES: Final[dict[Reason, Callable[[_Case], Refusal]]] = {
    Reason.TO_COME: _to_come,
    Reason.BEFORE_FIRST_DAY: _before_first_day,
    Reason.PRUNED: _pruned,
    Reason.SEALED: _sealed,
    Reason.NOT_SEALED: _not_sealed,
    Reason.MISSING_BELOW: _missing_below,
    Reason.OPEN_BELOW: _open_below,
    Reason.BEFORE_HORIZON: _before_horizon,
    Reason.ALTERED: _altered,
    Reason.LOST: _lost,
    Reason.MOVED: _moved,
    Reason.DIFFERS_FROM_BELOW: _differs_from_below,
    Reason.UNBALANCED: _unbalanced,
}
