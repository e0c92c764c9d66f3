"""What `backfill` says of periods that are missing or not whole at its end: which, why, and what helps."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, TypeAlias

from usage_pipeline import settings
from usage_pipeline.cli import asked, backfill_words
from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.serving import periods

if TYPE_CHECKING:
    from usage_pipeline.cli.backfill_job import Job
    from usage_pipeline.rollups.ranges import Failed
    from usage_pipeline.rollups.rollup import Outcome, Span
    from usage_pipeline.settings import Settings

Broken: TypeAlias = "tuple[Span, Sequence[Failed]]"
"""The periods of one asset that were refused."""

_GAPS_SHOWN: Final = 5


def broken_off(outcomes: "Sequence[Outcome]", reason: str) -> Refusal:
    """A run that could not go on: the same command does."""
    return Refusal(f"the run failed; {_stay(outcomes)}", why=reason)


def incomplete(
    found: "Settings", job: "Job", broken: Sequence[Broken], outcomes: "Sequence[Outcome]"
) -> Refusal:
    """Runs that came to their end and left periods out; the reason is the first one's of the finest asset."""
    lacking = [span.rollup for span, failed in broken for _ in failed]
    span, failed = broken[0]
    first = min(failed, key=lambda each: each.window)
    return Refusal(
        f"{backfill_words.counts(lacking)} not computed; {_stay(outcomes)}",
        why=_reason(span, first),
        fix=_fix(first.refusal, _command(found, job.asked.assets, broken)),
    )


def gaps(found: "Settings", job: "Job", outcomes: "Sequence[Outcome]", today: date) -> Iterator[str]:
    """Computed periods that are not whole: up to where, and what closes the gap unless that is just now."""
    short = [
        (span.rollup, each)
        for span in job.spans
        for each in sorted(outcomes, key=lambda one: one.window)
        if each.rollup == span.rollup and not span.rollup.reads_raw and _is_short(each)
    ]
    for rollup, each in short[:_GAPS_SHOWN]:
        which = periods.label(rollup.grain, each.window.start.date())
        yield f"  {rollup.name} {which} is computed up to {each.entry.covered_until:%Y-%m-%d %H:%M} UTC"
    if len(short) > _GAPS_SHOWN:
        yield f"  and {len(short) - _GAPS_SHOWN:,} more"
    since = min((each.entry.covered_until.date() for _, each in short), default=today)
    if since < today:
        yield f"  Days are missing below: {_closing(found, job, since, today)}"


def _is_short(outcome: "Outcome") -> bool:
    return outcome.said == "computed" and outcome.entry.covered_until < outcome.window.end


def _closing(found: "Settings", job: "Job", gap: date, today: date) -> str:
    from usage_pipeline.rollups.rollup import ROLLUPS

    names = list(_with_those_below(job.asked.assets))
    assets = "all" if len(names) == len(ROLLUPS) else " ".join(names)
    first = max(gap, found.first_day)
    last = job.asked.last if first <= job.asked.last < today else today
    return f"{settings.program()} backfill {assets} --from {first} --to {last}"


def _stay(outcomes: "Sequence[Outcome]") -> str:
    if not outcomes:
        return "nothing was stored"
    rollups = [each.rollup for each in outcomes]
    stay = "was computed and stays" if len(rollups) == 1 else "were computed and stay"
    return f"{backfill_words.counts(rollups)} {stay}"


def _reason(span: "Span", failed: "Failed") -> str:
    """What our own functions refuse names its period itself."""
    what, why = failed.refusal.what, failed.refusal.why
    said = f"{what}: {why}" if why else what
    if what.startswith(span.rollup.name):
        return said
    return f"{span.rollup.name} of {backfill_words.key(span.rollup, failed.window)}: {said}"


def _fix(refusal: Refusal, command: str) -> str:
    """The refusal's own fix comes first, unless it is a backfill, which the command holds."""
    if refusal.fix.startswith("$ backfill"):
        return command
    return f"{refusal.fix or 'mend that'}; then {command}"


def _command(found: "Settings", assets: Sequence[str], broken: Sequence[Broken]) -> str:
    names = " ".join(_with_those_below(assets))
    whole = _range([each.window for each in broken[0][1]])
    others = [each.window for _, failed in broken[1:] for each in failed]
    if not broken[0][0].rollup.reads_raw or any(not _meet(each, whole) for each in others):
        whole = _range([each.window for _, failed in broken for each in failed])
    return f"$ backfill {names} {asked.bounds([whole], found.first_day)}"


def _with_those_below(names: Sequence[str]) -> Iterator[str]:
    """These assets and what they are made from, in their order."""
    from usage_pipeline.rollups.rollup import ROLLUPS, chain

    wanted = {each.name for name in names for each in chain(ROLLUPS[name])}
    return (name for name in ROLLUPS if name in wanted)


def _range(windows: Sequence[Window]) -> Window:
    return Window(min(each.start for each in windows), max(each.end for each in windows))


def _meet(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end
