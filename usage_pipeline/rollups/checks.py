"""The truths that are looked at after every run: a row each, made for any family."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from usage_pipeline.families.family import Family
from usage_pipeline.rollups import check_conservation, check_ladder, losses
from usage_pipeline.rollups.check import Check
from usage_pipeline.rollups.rollup import Rollup

_WARN: Final = dg.AssetCheckSeverity.WARN
AGAIN: Final = "$ backfill {asset} --from {first} --to {last}"
RESTATED: Final = '$ restate {asset} --from {first} --to {last} --reason "altered" --accept-loss'
MOST_ROWS: Final = 50_000
"""Once so many are read a check that reads rows looks no further: it costs the same however long the run."""


def of(rollup: Rollup) -> tuple[Check, ...]:
    """Those of one asset."""
    family, below = rollup.family, rollup.below
    own = [_ladder(below.name)] if below else _of_raw(family)
    return (*own, *_of_every_grain(family))


def _of_every_grain(family: Family) -> Iterator[Check]:
    event, unit = family.words.event, family.words.unit
    yield Check(
        "conservation",
        "check_conservation",
        f"Every {event} of the source is stored once, as what it reported, under its {unit} or nobody.",
        "somebody altered rows or the ledger: a run stores nothing that does not add up. The command "
        "computes the periods again; of sealed ones it first shows what their source says, and asks. "
        "`$ migrate status` reports a function that was altered.",
        AGAIN,
        RESTATED,
        comparison=check_conservation.COMPARISON,
        again={},
    )
    yield Check(
        "sealed_unchanged",
        "check_sealed_unchanged",
        "Sealed rows are those that were sealed: of the run's newest periods, and of others in turn.",
        "somebody altered rows past the seal. The command shows what their source says, asks, then makes "
        "them so and records each change. Where the source is gone, restore them from a backup.",
        RESTATED,
        binds={"most_periods": 31, "most_rows": MOST_ROWS},
        again={"most_periods": 0},
    )


def _ladder(below: str) -> Check:
    """What is pruned below, or changed since, is not compared, and said."""
    return Check(
        "ladder",
        "check_ladder",
        f"Each row is the sum of {below}; what is distinct is at most the sum.",
        f"rows were altered past the runs. Look at the checks of {below} first; once they are green, compute "
        "these periods again; of sealed ones the command shows first what changes, and asks.",
        AGAIN,
        RESTATED,
        comparison=check_ladder.COMPARISON,
        binds={"below": below, "most_rows": MOST_ROWS},
        again={},
    )


def _of_raw(family: Family) -> Iterator[Check]:
    """Those of what is read from the source."""
    events = family.words.events
    yield Check(
        "yesterday_is_there",
        "check_yesterday_is_there",
        "Yesterday, by the database's clock, is computed to its end; until 4:00 UTC the day before.",
        "the nightly run is off, failed or came too early. `$ status` reports what runs.",
        AGAIN,
    )
    yield Check(
        f"source_holds_{events}",
        "check_source_holds_rows",
        f"The source still holds most {events} of each large day of the last {losses.NEWEST_DAYS} that is "
        "computed, and of those that it had lost.",
        "raw rows were truncated or purged. What is stored stays: no run makes a large day less than half. "
        "Restore the rows, or say which of the two it was.",
        f"{losses.RESTATE}; {losses.PURGED}",
        binds={"newest_days": losses.NEWEST_DAYS, "patience_ms": losses.PATIENCE_MS},
        again={"newest_days": 0, "patience_ms": losses.PATIENCE_MS},
    )
    yield Check(
        "source_fresh",
        "check_source_fresh",
        f"The source holds {events}, and is not silent for twice as long as it usually is and for more than "
        "a day.",
        "the application stopped writing, or writes elsewhere, or its rows are gone: `$ sources` shows which "
        "tables are read",
        severity=_WARN,
    )
    for each in family.watched:
        yield Check(
            f"{each.state}_share",
            "check_share",
            f"On the newest day that is complete, {each.which} are as rare as on the 28 days before.",
            each.when_red,
            severity=_WARN,
            binds={"share": each.state},
        )
