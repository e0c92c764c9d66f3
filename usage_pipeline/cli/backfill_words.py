"""What `backfill` says: the plan before, the sums and the differences after, and the list of all."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from usage_pipeline.warehouse.backfills import Backfill

if TYPE_CHECKING:
    from usage_pipeline.cli.backfill_job import Job
    from usage_pipeline.rollups.planning import Plan
    from usage_pipeline.rollups.rollup import Outcome

_CHANGES_SHOWN: Final = 10
_COMPARED: Final = ("message_count", "total_tokens")


def facts(job: "Job", plan: "Plan") -> Iterator[tuple[str, str]]:
    """What will be done, a fact a line."""
    yield "days", f"{plan.periods:,}, {plan.computed:,} of them computed before"
    yield "answers", _answers(plan)
    if plan.seconds is None:
        yield "estimate", "none: nothing was computed here yet, or the source cannot be asked"
    else:
        rest = 1 - (job.before.finished_count / job.asked.period_count if job.before else 0)
        left = _duration(plan.seconds * rest)
        yield "estimate", f"about {left} of work, {plan.at_once} at a time, by the last runs; some to start"
    if job.before:
        stand = f"{job.before.finished_count:,} of {job.asked.period_count:,} days stand"
        yield "resumes", f"backfill {job.before.id} of {job.before.started_at:%Y-%m-%d %H:%M} UTC: {stand}"
        yield "", "(--restart computes them again)"
    if plan.ahead_until:
        yield (
            "clock",
            f"{plan.ahead_count:,} answers lie ahead of the database's clock ({plan.clock:%Y-%m-%d %H:%M}), "
            f"up to {plan.ahead_until:%Y-%m-%d %H:%M}: they count once it gets there",
        )


def _answers(plan: "Plan") -> str:
    if plan.source_rows is None:
        return "unknown: somebody changes the source's tables"
    if plan.is_counted:
        return f"{plan.source_rows:,} in the source"
    return f"about {plan.source_rows:,} by the planner's estimate"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(outcomes: "Sequence[Outcome]", seconds: float) -> list[str]:
    """What a backfill did: the sums, and the days that were known and are different now."""
    fresh = [each for each in outcomes if not each.is_kept]
    inserted, updated, deleted = (
        sum(getattr(each, name) for each in fresh) for name in ("inserted", "updated", "deleted")
    )
    changed = sum(each.changed > 0 for each in fresh)
    answers = sum(each.entry.source_rows for each in fresh)
    kept = len(outcomes) - len(fresh)
    return [
        f"{_days(len(fresh))} computed from {answers:,} answers in {seconds:.1f} s, {changed:,} changed"
        + (f"; {kept:,} stood already" if kept else ""),
        f"rows inserted {inserted:,} · updated {updated:,} · deleted {deleted:,}",
        *_differences([each for each in fresh if each.changed and each.before]),
    ]


def _differences(changed: "Sequence[Outcome]") -> Iterator[str]:
    for each in sorted(changed, key=lambda one: one.window)[:_CHANGES_SHOWN]:
        before, now = each.before, each.entry.totals
        answers, tokens = (
            now.get(name, 0) - before.get(name, 0) for name in ("message_count", "total_tokens")
        )
        yield f"  {each.window.start:%Y-%m-%d}  {answers:+,} answers  {tokens:+,} tokens"
    if len(changed) > _CHANGES_SHOWN:
        yield f"  and {_days(len(changed) - _CHANGES_SHOWN)} more"


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"


def table(known: Sequence[Backfill]) -> list[str]:
    """The list, a line each under its heading, every column as wide as it must be."""
    rows = [("id", "state", "asset", "from", "to", "days", "started (UTC)", "took"), *map(_row, known)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in (rows if known else [])
    ]


def _row(each: Backfill) -> tuple[str, ...]:
    # What was interrupted and taken up again took its pause too, which says nothing.
    at_once = each.ended_at is not None and len(each.run_ids) == 1
    took = _duration((each.ended_at - each.started_at).total_seconds()) if each.ended_at and at_once else ""
    return (
        str(each.id), each.state, ",".join(each.asked.assets), str(each.asked.first), str(each.asked.last),
        f"{each.finished_count:,}/{each.asked.period_count:,}", f"{each.started_at:%m-%d %H:%M}", took,
    )  # fmt: skip


def document(each: Backfill) -> dict[str, object]:
    """One backfill for a program."""
    return {
        "id": each.id, "state": each.state, "assets": each.asked.assets, "from": each.asked.first,
        "to": each.asked.last, "code_version": each.asked.code_version, "finished_days": each.finished_count,
        "days": each.asked.period_count, "started_at": each.started_at, "ended_at": each.ended_at,
        "run_ids": each.run_ids,
    }  # fmt: skip
