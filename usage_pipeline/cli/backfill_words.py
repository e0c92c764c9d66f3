"""What `backfill` says: the plan before, the sums and the differences after, and the list of all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from usage_pipeline import settings
from usage_pipeline.cli import asked
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.serving import periods
from usage_pipeline.warehouse.backfills import Backfill

if TYPE_CHECKING:
    from usage_pipeline.cli.backfill_job import Job
    from usage_pipeline.rollups.planning import Part, Plan
    from usage_pipeline.rollups.rollup import Outcome, Rollup

_CHANGES_SHOWN: Final = 10
_LEFT_OUT: Final = {
    "pruned": "stay pruned, the coarser periods hold them",
    "before the horizon": "begin before the source's horizon and count as computed and empty",
}


def facts(job: "Job", plan: "Plan") -> Iterator[tuple[str, str]]:
    """What will be done, a fact a line."""
    for part in plan.parts:
        yield part.span.rollup.name, _periods_of(part)
    if plan.reads_raw:
        yield _events(job), _rows(plan)
    yield "estimate", _estimate(plan)
    if job.before:
        stand = f"{plan.finished:,} of {job.asked.period_count:,} periods stand"
        yield "resumes", f"backfill {job.before.id} of {job.before.started_at:%Y-%m-%d %H:%M} UTC: {stand}"
        yield "", "(--restart computes them again)"
    if plan.ahead_until:
        yield (
            "clock",
            f"{plan.ahead_count:,} {_events(job)} lie ahead of the database's clock "
            f"({plan.clock:%Y-%m-%d %H:%M}), up to {plan.ahead_until:%Y-%m-%d %H:%M}: "
            "they count once it gets there",
        )


def _periods_of(part: "Part") -> str:
    from usage_pipeline.periods import partitions

    first, last = partitions.ends(part.span.rollup.grain, part.span.windows)
    which = first if first == last else f"{first} to {last}"
    how_many = count(part.span.rollup.grain, len(part.span.windows))
    return f"{how_many}, {which}, {part.computed:,} of them computed before"


def _estimate(plan: "Plan") -> str:
    if plan.seconds is None:
        return "none: nothing was computed here yet, or the source cannot be asked"
    unknown = [part.span.rollup.name for part in plan.parts if part.seconds is None]
    without = f", without {', '.join(unknown)}" if unknown else ""
    work = f"about {_duration(plan.seconds)} of work{without}, {plan.at_once} at a time"
    return f"{work}, by the last runs; some to start"


def key(rollup: "Rollup", window: Window) -> str:
    """What Dagster calls a period."""
    from usage_pipeline.periods import partitions

    return partitions.key(rollup.grain, window)


def count(grain: Grain, number: int) -> str:
    """So many days, weeks, months or years."""
    return asked.count(number, periods.UNITS[grain])


def counts(rollups: "Iterable[Rollup]") -> str:
    """How many periods of which grain these are, by the rollup of each."""
    from usage_pipeline.rollups.rollup import ROLLUPS

    given = Counter(rollups)
    each = [count(rollup.grain, given[rollup]) for rollup in ROLLUPS.values() if rollup in given]
    return " and ".join([", ".join(each[:-1]), each[-1]] if len(each) > 1 else each) or "0 periods"


def _events(job: "Job") -> str:
    return job.spans[0].rollup.family.words.events


def _rows(plan: "Plan") -> str:
    if plan.source_rows is None:
        return "unknown: somebody changes the source's tables"
    if plan.is_counted:
        return f"{plan.source_rows:,} in the source"
    return f"about {plan.source_rows:,} by the planner's estimate"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(job: "Job", outcomes: "Sequence[Outcome]", seconds: float) -> list[str]:
    """What a backfill did: the sums, and the periods that were known and are different now."""
    fresh = [each for each in outcomes if each.said == "computed" and not each.is_kept]
    changed = sum(each.changed > 0 for each in fresh)
    kept = sum(each.is_kept for each in outcomes)
    return [
        f"{counts(each.rollup for each in fresh)} computed{_source(job, fresh)} in {seconds:.1f} s, "
        f"{changed:,} changed" + (f"; {kept:,} stood already" if kept else ""),
        asked.rows(fresh),
        *_differences(job, [each for each in fresh if each.changed and each.before]),
        *_kept(job, fresh),
        *_not_computed(job, outcomes),
    ]


def _source(job: "Job", fresh: "Sequence[Outcome]") -> str:
    """Days alone are read from the source."""
    days = [each.entry.source_rows for each in fresh if each.rollup.reads_raw]
    return f" from {sum(days):,} {_events(job)}" if days else ""


def _differences(job: "Job", changed: "Sequence[Outcome]") -> Iterator[str]:
    order = [span.rollup for span in job.spans]
    for each in sorted(changed, key=lambda one: (order.index(one.rollup), one.window))[:_CHANGES_SHOWN]:
        name = f"{each.rollup.name:<14}  " if len(order) > 1 else ""
        yield f"  {name}{key(each.rollup, each.window)}  {asked.difference(each)}"
    if len(changed) > _CHANGES_SHOWN:
        yield f"  and {asked.count(len(changed) - _CHANGES_SHOWN, 'period')} more"


def _kept(job: "Job", fresh: "Sequence[Outcome]") -> Iterator[str]:
    """What sealed periods hold beyond the source: somebody deleted or edited it later."""
    for span in job.spans:
        entries = [each.entry for each in fresh if each.rollup == span.rollup]
        for measure in span.rollup.family.kept:
            kept = sum(each.kept_sum(measure.column) for each in entries)
            if kept <= 0:
                continue
            gone = f"{kept:,} of the {measure.words} counted are gone from the source"
            yield f"  {span.rollup.name}: {gone}; sealed, they stay: {settings.program()} restatements --kept"
            break


def _not_computed(job: "Job", outcomes: "Sequence[Outcome]") -> Iterator[str]:
    """What is pruned, and what begins before raw history does; neither is a failure."""
    for span in job.spans:
        for said, meaning in _LEFT_OUT.items():
            windows = [each.window for each in outcomes if (each.rollup, each.said) == (span.rollup, said)]
            if windows:
                first, last = (key(span.rollup, each) for each in (min(windows), max(windows)))
                which = first if first == last else f"{first} to {last}"
                yield f"  {span.rollup.name}: {count(span.rollup.grain, len(windows))} {meaning} ({which})"


def table(known: Sequence[Backfill]) -> list[str]:
    """The list, a line each under its heading, every column as wide as it must be."""
    rows = [("id", "state", "assets", "from", "to", "periods", "started (UTC)", "took"), *map(_row, known)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in (rows if known else [])
    ]


def _row(each: Backfill) -> tuple[str, ...]:
    # Each asset is one run; more of them were interrupted and taken up again, and took the pause too.
    at_once = len(each.run_ids) <= len(each.asked.assets)
    took = _duration((each.ended_at - each.started_at).total_seconds()) if each.ended_at and at_once else ""
    return (
        str(each.id), each.state, ",".join(each.asked.assets), str(each.asked.first), str(each.asked.last),
        f"{each.finished_count:,}/{each.asked.period_count:,}", f"{each.started_at:%m-%d %H:%M}", took,
    )  # fmt: skip


def document(each: Backfill) -> dict[str, object]:
    """One backfill for a program."""
    return {
        "id": each.id,
        "state": each.state,
        "assets": each.asked.assets,
        "from": each.asked.first,
        "to": each.asked.last,
        "code_version": each.asked.code_version,
        "finished_periods": each.finished_count,
        "periods": each.asked.period_count,
        "started_at": each.started_at,
        "ended_at": each.ended_at,
        "run_ids": each.run_ids,
    }
