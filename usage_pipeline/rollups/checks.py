"""The truths that are looked at after every run: a row each. What knows the ladder stands in `derived`."""

from typing import Final

import dagster as dg

from usage_pipeline.rollups import check_runs, losses, tokens
from usage_pipeline.rollups.check import Check

_WARN: Final = dg.AssetCheckSeverity.WARN
AGAIN: Final = "$ backfill {asset} --from {first} --to {last}"
RESTATED: Final = '$ restate {asset} --from {first} --to {last} --reason "altered" --accept-loss'
MOST_ROWS: Final = 50_000
"""Once so many are read a check that reads rows looks no further: it costs the same however long the run."""

OF_EVERY_GRAIN: Final = (
    Check(
        "conservation",
        "check_conservation",
        "Every answer of the source is stored once, as what it reported, under its user or nobody.",
        "somebody altered rows or the ledger: a run stores nothing that does not add up. The command "
        "computes the periods again; of sealed ones it first shows what their source says, and asks. "
        "`$ migrate status` reports a function that was altered.",
        AGAIN,
        RESTATED,
        again={},
    ),
    Check(
        "sealed_unchanged",
        "check_sealed_unchanged",
        "Sealed rows are those that were sealed: of the run's newest periods, and of others in turn.",
        "somebody altered rows past the seal. The command shows what their source says, asks, then makes "
        "them so and records each change. Where the source is gone, restore them from a backup.",
        RESTATED,
        binds={"most_periods": 31, "most_rows": MOST_ROWS},
        again={"most_periods": 0},
    ),
)

OF_DAYS: Final = (
    Check(
        "yesterday_is_there",
        "check_yesterday_is_there",
        "Yesterday, by the database's clock, is computed to its end; until 4:00 UTC the day before.",
        "the nightly run is off, failed or came too early. `$ status` reports what runs.",
        AGAIN,
    ),
    Check(
        "source_holds_messages",
        "check_source_holds_messages",
        "The source still holds most messages of each large day of the last 35 that is computed, and of "
        "those that it had lost.",
        "raw rows were truncated or purged. What is stored stays: no run makes a large day less than half. "
        "Restore the rows, or say which of the two it was.",
        f"{losses.RESTATE}; {losses.PURGED}",
        binds={"newest_days": losses.NEWEST_DAYS, "patience_ms": losses.PATIENCE_MS},
        again={"newest_days": 0, "patience_ms": losses.PATIENCE_MS},
    ),
    Check(
        "source_fresh",
        "check_source_fresh",
        "The source holds messages, and is not silent for twice as long as it usually is and for more than a "
        "day.",
        "the application stopped writing, or writes elsewhere, or its rows are gone: `$ sources` shows which "
        "tables are read",
        severity=_WARN,
    ),
    Check(
        "unmetered_share",
        "check_share",
        "On the newest day that is complete, answers without tokens are as rare as on the 28 days before.",
        "the application reports tokens for fewer or more of its answers, or in another form: `$ sources` "
        "counts the answers of the last week by form",
        severity=_WARN,
        binds={"share": "unmetered"},
    ),
    Check(
        "unattributed_share",
        "check_share",
        "On the newest day that is complete, answers of unknown users are as rare as on the 28 days before.",
        "their conversations have no session with a user: to compute the day again helps only where such "
        "sessions have arrived since",
        severity=_WARN,
        binds={"share": "unattributed"},
    ),
)

DAILY: Final = (*OF_EVERY_GRAIN, *OF_DAYS)

tokens_daily_checks: Final = check_runs.of_asset(tokens.DAILY, DAILY)
