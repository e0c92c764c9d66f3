"""Toy: one row is what one agent did through one channel in one hour; every kind of measure there is."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.families.family import Family, Grain, Key, Kind, Measure, State, Watched, Words
from usage_pipeline.periods import calendar

_INSTANT: Final = sa.TIMESTAMP(timezone=True)
WHOLE: Final = ""
"""The channel of a row that holds all channels of its agent."""

TOY: Final = Family(
    name="toy",
    package=__name__,
    meaning="Calls of each agent and channel",
    counts="Counts every call, also those that failed.",
    table=sa.Table(
        "toy_usage",
        sa.MetaData(),
        sa.Column("grain", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("period_end", _INSTANT),
        sa.Column("calls", sa.BigInteger),
        sa.Column("failed", sa.BigInteger),
        sa.Column("cost", sa.Numeric(20, 6)),
        sa.Column("fastest_ms", sa.BigInteger),
        sa.Column("slowest_ms", sa.BigInteger),
        sa.Column("ms_sum", sa.BigInteger),
        sa.Column("people", sa.BigInteger),
        sa.Column("person_ids", pg.ARRAY(pg.UUID)),
        sa.Column("regions", pg.ARRAY(sa.Text)),
        sa.Column("bucket_ids", pg.ARRAY(sa.SmallInteger)),
        sa.Column("bucket_counts", pg.ARRAY(sa.BigInteger)),
        sa.Column("average_ms", sa.Numeric),
        sa.Column("updated_at", _INSTANT),
        schema="usage",
    ),
    grain_column="grain",
    keys=(Key("agent", "Who called; nobody if unknown."), Key("channel", "How; empty: all channels.")),
    unit="agent",
    nobody={"agent": "nobody"},
    subtotal={"channel": WHOLE},
    measures=(
        Measure("calls", Kind.SUM, "Calls."),
        Measure("failed", Kind.SUM, "Part of calls: those that failed."),
        Measure("cost", Kind.SUM_OR_NULL, "What they cost; NULL where no call says."),
        Measure("fastest_ms", Kind.MIN, "Of the fastest; NULL where no call says."),
        Measure("slowest_ms", Kind.MAX, "Of the slowest; NULL where no call says."),
        Measure("ms_sum", Kind.SUM, "Of all calls that say."),
        Measure("people", Kind.DISTINCT, "Distinct people.", of="person_ids"),
        Measure("person_ids", Kind.IDS, "They; NULL on years."),
        Measure("regions", Kind.UNION, "Distinct regions, sorted."),
        Measure("bucket_ids", Kind.HISTOGRAM, "Tens of ms.", of="bucket_counts"),
        Measure("bucket_counts", Kind.COUNTS, "Calls in each.", of="bucket_ids"),
        Measure("average_ms", Kind.GENERATED, "ms_sum by calls."),
    ),
    guard=("calls",),
    states=(
        State("untimed", "untimed", "does not say how long it took"),
        State("failed", "failed", "failed"),
    ),
    watched=(Watched("untimed", "calls without a time", "the agents measure nothing"),),
    contract="toy_events",
    instant="toy_calls.called_at",
    grains=(
        Grain(
            "toy_hourly", "HOURLY", calendar.Grain.HOURLY, calendar.Grain.DAILY, pruned_with="toy_daily"
        ),
        Grain(
            "toy_daily", "DAILY", calendar.Grain.DAILY, calendar.Grain.DAILY,
            below="toy_hourly", pruned_with="toy_monthly",
        ),
        Grain(
            "toy_monthly", "MONTHLY", calendar.Grain.MONTHLY, calendar.Grain.MONTHLY,
            below="toy_daily", pruned_with="toy_yearly",
        ),
        Grain(
            "toy_yearly", "YEARLY", calendar.Grain.YEARLY, calendar.Grain.YEARLY,
            below="toy_monthly", keeps_ids=False,
        ),
    ),
    words=Words(unit="agent", units="agents", event="call", events="calls"),
    code_version="1",
)  # fmt: skip
