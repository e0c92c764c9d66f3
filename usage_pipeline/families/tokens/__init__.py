"""Tokens: one row is what one user spent in one period, over all models."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from usage_pipeline.families.family import Family, Grain, Key, Kind, Measure, State, Watched, Words
from usage_pipeline.periods import calendar

_NIL: Final = "00000000-0000-0000-0000-000000000000"
_METADATA: Final = ("chat_messages_v2.metadata",)
_INSTANT: Final = ("chat_messages_v2.created_at",)
_CONVERSATION: Final = ("chat_messages_v2.conversation_id",)
_AGENT: Final = ("chat_messages_v2.sender_agent_id", "conversation_sessions.agent_id")
_INSTANT_TYPE: Final = sa.TIMESTAMP(timezone=True)

TABLE: Final = sa.Table(
    "user_token_usage",
    sa.MetaData(),
    sa.Column("period_type", sa.Text, primary_key=True),
    sa.Column("period_start", _INSTANT_TYPE, primary_key=True),
    sa.Column("user_id", pg.UUID, primary_key=True),
    sa.Column("period_end", _INSTANT_TYPE),
    sa.Column("total_prompt_tokens", sa.BigInteger),
    sa.Column("total_completion_tokens", sa.BigInteger),
    sa.Column("total_tokens", sa.BigInteger),
    sa.Column("message_count", sa.BigInteger),
    sa.Column("unmetered_message_count", sa.BigInteger),
    sa.Column("refused_message_count", sa.BigInteger),
    sa.Column("conversation_count", sa.BigInteger),
    sa.Column("agent_ids", pg.ARRAY(pg.UUID)),
    sa.Column("conversation_ids", pg.ARRAY(pg.UUID)),
    sa.Column("last_activity", _INSTANT_TYPE),
    sa.Column("id", pg.UUID),
    sa.Column("created_at", _INSTANT_TYPE),
    sa.Column("updated_at", _INSTANT_TYPE),
    schema="usage",
)

_SPLIT_INCLUDES: Final = "every call that was paid for behind an answer, helpers too"
_SPLIT_EXCLUDES: Final = (
    "helpers answered from a cache, and all of answers that report only a total, nothing, or no sense"
)

MEASURES: Final = (
    Measure(
        "total_prompt_tokens", Kind.SUM, "Tokens sent to the model, where reported.",
        _SPLIT_INCLUDES, _SPLIT_EXCLUDES, raw="sum", sources=_METADATA, called="prompt_tokens",
    ),
    Measure(
        "total_completion_tokens", Kind.SUM, "Tokens the model answered with, where reported.",
        _SPLIT_INCLUDES, _SPLIT_EXCLUDES, raw="sum", sources=_METADATA, called="completion_tokens",
    ),
    Measure(
        "total_tokens", Kind.SUM,
        "All tokens; at times more than prompt + completion, because some answers report only a total.",
        "answers that report only a total",
        "helpers answered from a cache; unmetered and refused answers add 0",
        raw="sum of the totals as reported", sources=_METADATA, called="total_tokens",
    ),
    Measure(
        "message_count", Kind.SUM, "Answers of the model, unmetered and refused ones included.",
        "every answer of the {period}, whatever it reports",
        "what people, systems and tools wrote, and rows without an instant or with one before 2000 or after "
        "tomorrow",
        raw="count of rows with role 'assistant'", sources=("chat_messages_v2.role",), called="messages",
    ),
    Measure(
        "unmetered_message_count", Kind.SUM, "Part of message_count: answers that report no tokens.",
        "answers without metadata", "refused ones, and those that report 0 tokens",
        raw="count where no shape has a number", sources=_METADATA, called="unmetered_messages",
    ),
    Measure(
        "refused_message_count", Kind.SUM,
        "Part of message_count: answers whose token values make no sense; they count with 0 tokens.",
        "counts below 0, above 10¹², broken ones and words; `usage-pipeline sources --all` lists them",
        "answers that report nothing",
        raw="count where a number is refused", sources=_METADATA, called="refused_messages",
    ),
    Measure(
        "conversation_count", Kind.DISTINCT, "Distinct conversations.",
        "conversations that began before the {period}, each once, however many answers it has",
        "those without an answer in the {period}; never add it up: a conversation may be in two",
        of="conversation_ids", raw="length of conversation_ids", sources=_CONVERSATION,
        called="conversations",
    ),
    Measure(
        "agent_ids", Kind.UNION, "Distinct agents that answered, sorted.",
        "agents that are deleted by now", "answers of which no agent is known",
        raw="distinct coalesce(sender, session's agent)", sources=_AGENT,
    ),
    Measure(
        "conversation_ids", Kind.IDS,
        "Distinct conversations, sorted; on daily and monthly rows, from which coarser counts are made.",
        excludes="conversations without an answer in the {period}; NULL on weeks and years: nothing is made "
        "from them",
        raw="distinct", sources=_CONVERSATION,
    ),
    Measure(
        "last_activity", Kind.MAX, "When the last of these answers was written.",
        excludes="what people wrote, and what was written in another {period}",
        raw="max", sources=_INSTANT,
    ),
)  # fmt: skip

TOKENS: Final = Family(
    name="tokens",
    package=__name__,
    meaning="Tokens, messages and distinct conversations of each user",
    counts="Counts every message of the model, also those that report no tokens or make no sense (with 0 "
    "tokens, in columns of their own). What belongs to no known user is stored under the nil UUID.",
    table=TABLE,
    grain_column="period_type",
    keys=(
        Key(
            "user_id",
            "Who the tokens belong to: the sender, else the owner of the conversation;"
            " the nil UUID if neither is known.",
            "accounts that are deleted by now, and people without a name; of several sessions of one "
            "conversation those with a user decide, of these the oldest",
            raw="coalesce(sender, session's user, nil)",
            sources=("chat_messages_v2.sender_user_id", "conversation_sessions.user_id"),
        ),
    ),
    unit="user_id",
    nobody={"user_id": _NIL},
    measures=MEASURES,
    guard=("message_count", "conversation_count", "total_tokens"),
    states=(
        State("total_only", "total_only_message_count", "reports a total without a split"),
        State("unmetered", "unmetered_message_count", "reports no tokens"),
        State("refused", "refused_message_count", "reports values that make no sense"),
    ),
    watched=(
        Watched(
            "unmetered",
            "messages without tokens",
            "the application reports tokens for fewer or more of its messages, or in another form: "
            "`$ sources` counts the messages of the last week by form",
        ),
        Watched(
            "unattributed",
            "messages of unknown users",
            "their conversations have no session with a user: to compute the day again helps only where such "
            "sessions have arrived since",
        ),
    ),
    contract="token_events",
    instant=_INSTANT[0],
    grains=(
        Grain(
            "tokens_daily", "daily", calendar.Grain.DAILY, calendar.Grain.DAILY, pruned_with="tokens_monthly"
        ),
        Grain(
            "tokens_weekly", "weekly", calendar.Grain.WEEKLY, calendar.Grain.WEEKLY,
            below="tokens_daily", keeps_ids=False,
        ),
        Grain(
            "tokens_monthly", "monthly", calendar.Grain.MONTHLY, calendar.Grain.MONTHLY,
            below="tokens_daily", pruned_with="tokens_yearly",
        ),
        Grain(
            "tokens_yearly", "yearly", calendar.Grain.YEARLY, calendar.Grain.YEARLY,
            below="tokens_monthly", keeps_ids=False,
        ),
    ),
    words=Words(unit="user", units="users", event="message", events="messages"),
    code_version="2",
    is_partitioned=True,
)  # fmt: skip
