"""The columns of the aggregates as the catalogue shows them: what each means, and what it is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg


@dataclass(frozen=True)
class Column:
    """One column: `sources` are `table.column` of the contract's half it is read from, `rule` says how."""

    name: str
    type: str
    meaning: str
    rule: str
    sources: tuple[str, ...] = ()


_MESSAGES: Final = "chat_messages_v2"
_METADATA: Final = ("chat_messages_v2.metadata",)
_INSTANT: Final = ("chat_messages_v2.created_at",)
_CONVERSATION: Final = ("chat_messages_v2.conversation_id",)
_OWNER: Final = ("chat_messages_v2.sender_user_id", "conversation_sessions.user_id")
_AGENT: Final = ("chat_messages_v2.sender_agent_id", "conversation_sessions.agent_id")

USER_TOKEN_USAGE: Final = (
    Column(
        "period_type",
        "text",
        "daily, weekly (ISO, from Monday), monthly or yearly; UTC.",
        "the asset's grain",
    ),
    Column(
        "period_start",
        "timestamp with time zone",
        "First instant of the period.",
        "floor of the instant",
        _INSTANT,
    ),
    Column(
        "user_id",
        "uuid",
        "Who the tokens belong to: the sender, else the owner of the conversation;"
        " the nil UUID if neither is known.",
        "coalesce(sender, session's user, nil)",
        _OWNER,
    ),
    Column(
        "period_end",
        "timestamp with time zone",
        "First instant after the period.",
        "period_start + one period",
        _INSTANT,
    ),
    Column("total_prompt_tokens", "bigint", "Tokens sent to the model, where reported.", "sum", _METADATA),
    Column(
        "total_completion_tokens",
        "bigint",
        "Tokens the model answered with, where reported.",
        "sum",
        _METADATA,
    ),
    Column(
        "total_tokens",
        "bigint",
        "All tokens; at times more than prompt + completion, because some answers report only a total.",
        "sum of the totals as reported",
        _METADATA,
    ),
    Column(
        "message_count",
        "bigint",
        "Answers of the model, unmetered and refused ones included.",
        "count of rows with role 'assistant'",
        ("chat_messages_v2.role",),
    ),
    Column(
        "unmetered_message_count",
        "bigint",
        "Part of message_count: answers that report no tokens.",
        "count where no shape has a number",
        _METADATA,
    ),
    Column(
        "refused_message_count",
        "bigint",
        "Part of message_count: answers whose token values make no sense; they count with 0 tokens.",
        "count where a number is refused",
        _METADATA,
    ),
    Column(
        "conversation_count",
        "bigint",
        "Distinct conversations.",
        "length of conversation_ids",
        _CONVERSATION,
    ),
    Column(
        "agent_ids",
        "uuid[]",
        "Distinct agents that answered, sorted.",
        "distinct coalesce(sender, session's agent)",
        _AGENT,
    ),
    Column(
        "conversation_ids",
        "uuid[]",
        "Distinct conversations, sorted; on daily and monthly rows, from which coarser counts are made.",
        "distinct",
        _CONVERSATION,
    ),
    Column(
        "last_activity",
        "timestamp with time zone",
        "When the last of these answers was written.",
        "max",
        _INSTANT,
    ),
    Column(
        "id",
        "uuid",
        "A name for the row; the key is (period_type, period_start, user_id).",
        "made when first stored",
    ),
    Column(
        "created_at",
        "timestamp with time zone",
        "When the row was first stored.",
        "the database's clock",
    ),
    Column(
        "updated_at",
        "timestamp with time zone",
        "When a value of the row last changed.",
        "the database's clock",
    ),
)
"""The sentences are the comments of the table in the database: a test holds the two together."""


def schema(columns: Sequence[Column], key: str) -> dg.TableSchema:
    """The columns as Dagster's page lists them, with the table's key."""
    return dg.TableSchema(
        columns=[dg.TableColumn(each.name, each.type, description=each.meaning) for each in columns],
        constraints=dg.TableConstraints(other=[f"primary key ({key})"]),
    )


def mapping(columns: Sequence[Column]) -> dg.TableMetadataValue:
    """From which column each comes and how: a table, because the page draws no lineage of columns."""
    heading = f"made from {_MESSAGES}"
    records = [dg.TableRecord({"column": each.name, heading: _origin(each)}) for each in columns]
    return dg.MetadataValue.table(records)


def _origin(column: Column) -> str:
    """In few letters: a third column, or a longer word, would be cut off by the page."""
    sources = ", ".join(each.removeprefix(f"{_MESSAGES}.") for each in column.sources)
    return f"{column.rule} ← {sources}" if sources else column.rule


def lineage(columns: Sequence[Column]) -> dg.TableColumnLineage:
    """The same for programs that ask Dagster's API."""
    return dg.TableColumnLineage(
        {
            each.name: [
                dg.TableColumnDep(dg.AssetKey(table), column)
                for table, column in (source.split(".") for source in each.sources)
            ]
            for each in columns
            if each.sources
        }
    )
