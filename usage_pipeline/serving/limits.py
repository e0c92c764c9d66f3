"""What cannot be read: before the first day, to come, or of a grain that was never computed; pure."""

from datetime import date

from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.rollups.rollup import Rollup
from usage_pipeline.settings import EARLIEST_START


def require_reachable(asked: str, first: date, last: date, *, begins: date, today: date) -> None:
    """These days, in the reader's words, hold one that can be computed; the words end in the refusal."""
    if last < begins:
        earliest = max(first, EARLIEST_START)
        move = f", or move the first day: $ sources start {earliest}" if earliest <= last else ""
        raise Refusal(
            f"{asked} lies before the first day",
            why=f"no day before {begins} is computed",
            fix=f"ask for a day from {begins} on{move}",
            exit_code=USAGE,
        )
    if first > today:
        raise Refusal(f"{asked} has not come yet", fix="ask for a day up to today", exit_code=USAGE)


def nothing_computed(rollup: Rollup, *, begins: date, today: date) -> Refusal:
    """Up to yesterday, which is over; to today where nothing is. What is coarser needs what is below it."""
    assets = rollup.name if rollup.reads_raw else "all"
    newest = "yesterday" if begins < today else "today"
    return Refusal(
        f"no {rollup.grain.unit} of {rollup.family.name} was computed yet",
        fix=f"$ backfill {assets} --from {begins} --to {newest}",
    )
