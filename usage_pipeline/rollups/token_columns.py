"""The columns of `usage.user_token_usage`, a row each: what it means, what counts in it, how it is made."""

from typing import Final

from usage_pipeline.rollups.columns import Column, Made

MAIN_SOURCE: Final = "chat_messages_v2"
_METADATA: Final = ("chat_messages_v2.metadata",)
_INSTANT: Final = ("chat_messages_v2.created_at",)
_CONVERSATION: Final = ("chat_messages_v2.conversation_id",)
_OWNER: Final = ("chat_messages_v2.sender_user_id", "conversation_sessions.user_id")
_AGENT: Final = ("chat_messages_v2.sender_agent_id", "conversation_sessions.agent_id")
_SPLIT: Final = (
    "Includes every call that was paid for behind an answer, helpers too. Excludes helpers answered from a "
    "cache, and all of answers that report only a total, nothing, or no sense."
)
_UNCHANGED: Final = "A run that finds nothing new writes nothing, and leaves it."

USER_TOKEN_USAGE: Final = (
    Column(
        "period_type",
        "text",
        "daily, weekly (ISO, from Monday), monthly or yearly; UTC.",
        Made("the asset's grain"),
        Made("the asset's grain"),
        "All grains share one table: a sum over it that does not name one counts everything four times.",
    ),
    Column(
        "period_start",
        "timestamp with time zone",
        "First instant of the period.",
        Made("floor of the instant", _INSTANT),
        Made("floor", ("period_start",)),
        "Includes what was written at this very instant. Every {period} begins at midnight UTC.",
    ),
    Column(
        "user_id",
        "uuid",
        "Who the tokens belong to: the sender, else the owner of the conversation;"
        " the nil UUID if neither is known.",
        Made("coalesce(sender, session's user, nil)", _OWNER),
        Made("as it is", ("user_id",)),
        "Includes accounts that are deleted by now, and people without a name. Of several sessions of one "
        "conversation those with a user decide, of these the oldest.",
    ),
    Column(
        "period_end",
        "timestamp with time zone",
        "First instant after the period.",
        Made("period_start + one period", _INSTANT),
        Made("period_start + one period", ("period_start",)),
        "Excludes what was written at this very instant: it belongs to the next {period}.",
    ),
    Column(
        "total_prompt_tokens",
        "bigint",
        "Tokens sent to the model, where reported.",
        Made("sum", _METADATA),
        Made("sum", ("total_prompt_tokens",)),
        _SPLIT,
    ),
    Column(
        "total_completion_tokens",
        "bigint",
        "Tokens the model answered with, where reported.",
        Made("sum", _METADATA),
        Made("sum", ("total_completion_tokens",)),
        _SPLIT,
    ),
    Column(
        "total_tokens",
        "bigint",
        "All tokens; at times more than prompt + completion, because some answers report only a total.",
        Made("sum of the totals as reported", _METADATA),
        Made("sum", ("total_tokens",)),
        "Includes answers that report only a total. Excludes helpers answered from a cache; unmetered and "
        "refused answers add 0.",
    ),
    Column(
        "message_count",
        "bigint",
        "Answers of the model, unmetered and refused ones included.",
        Made("count of rows with role 'assistant'", ("chat_messages_v2.role",)),
        Made("sum", ("message_count",)),
        "Includes every answer of the {period}, whatever it reports. Excludes what people, systems and tools "
        "wrote, and rows without an instant or with one before 2000 or after tomorrow.",
    ),
    Column(
        "unmetered_message_count",
        "bigint",
        "Part of message_count: answers that report no tokens.",
        Made("count where no shape has a number", _METADATA),
        Made("sum", ("unmetered_message_count",)),
        "Includes answers without metadata. Excludes refused ones, and those that report 0 tokens.",
    ),
    Column(
        "refused_message_count",
        "bigint",
        "Part of message_count: answers whose token values make no sense; they count with 0 tokens.",
        Made("count where a number is refused", _METADATA),
        Made("sum", ("refused_message_count",)),
        "Includes counts below 0, above 10¹², broken ones and words; `usage-pipeline sources --all` lists "
        "them. Excludes answers that report nothing.",
    ),
    Column(
        "conversation_count",
        "bigint",
        "Distinct conversations.",
        Made("length of conversation_ids", _CONVERSATION),
        Made("distinct", ("conversation_ids",)),
        "Includes conversations that began before the {period}, each once, however many answers it has. "
        "Excludes those without an answer in the {period}. Never add it up: a conversation may be in two.",
    ),
    Column(
        "agent_ids",
        "uuid[]",
        "Distinct agents that answered, sorted.",
        Made("distinct coalesce(sender, session's agent)", _AGENT),
        Made("distinct", ("agent_ids",)),
        "Includes agents that are deleted by now. Excludes answers of which no agent is known.",
    ),
    Column(
        "conversation_ids",
        "uuid[]",
        "Distinct conversations, sorted; on daily and monthly rows, from which coarser counts are made.",
        Made("distinct", _CONVERSATION),
        Made("distinct, on months alone", ("conversation_ids",)),
        "Excludes conversations without an answer in the {period}. NULL on weeks and years: nothing is made "
        "from them.",
    ),
    Column(
        "last_activity",
        "timestamp with time zone",
        "When the last of these answers was written.",
        Made("max", _INSTANT),
        Made("max", ("last_activity",)),
        "Excludes what people wrote, and what was written in another {period}.",
    ),
    Column(
        "id",
        "uuid",
        "A name for the row; the key is (period_type, period_start, user_id).",
        Made("made when first stored"),
        Made("made when first stored"),
        "The same for the same key, however often the {period} is computed.",
    ),
    Column(
        "created_at",
        "timestamp with time zone",
        "When the row was first stored.",
        Made("the database's clock"),
        Made("the database's clock"),
        _UNCHANGED,
    ),
    Column(
        "updated_at",
        "timestamp with time zone",
        "When a value of the row last changed.",
        Made("the database's clock"),
        Made("the database's clock"),
        _UNCHANGED,
    ),
)
"""The meanings are the comments of the table in the database: a test holds the two together."""
