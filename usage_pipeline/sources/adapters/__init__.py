"""The adapters, as data: which tables each reads, which columns it needs, and the file that maps them."""

from dataclasses import dataclass
from typing import Final

from usage_pipeline.warehouse.functions import FunctionFile


@dataclass(frozen=True)
class Column:
    """A column an adapter reads, of one of these types; `default` stands in where an application lacks it."""

    name: str
    meaning: str
    default: str | None = None
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table an adapter reads; `time_column` and `key_column` are those that want an index.

    `row_filter` is the condition under which its rows are read, as PostgreSQL prints it.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    time_column: str | None = None
    key_column: str | None = None
    row_filter: str | None = None


@dataclass(frozen=True)
class Directory:
    """Where an application keeps the names of its users: a source of its own, which no number needs.

    Any column of `table` may be missing, and the table too; the first is the user's id, the others name the
    user. `file` creates the functions that read it.
    """

    table: Table
    file: str

    @property
    def functions(self) -> FunctionFile:
        return FunctionFile("sources.adapters", self.file)


@dataclass(frozen=True)
class SessionTotals:
    """The one column of an application that we may write: what a conversation used, on its session.

    `touched`, `untrue` and `write` are statements beside the adapter's file; `searched` is the table and
    column by which the whole history of a conversation is found.
    """

    table: str
    column: str
    touched: str
    untrue: str
    write: str
    searched: tuple[str, str]


@dataclass(frozen=True)
class Adapter:
    """One application's tables as our contract; `supplies` is the function of it whose rows it gives."""

    name: str
    supplies: str
    tables: tuple[Table, ...]
    directory: Directory
    session_totals: SessionTotals | None = None

    @property
    def functions(self) -> FunctionFile:
        return FunctionFile("sources.adapters", self.name)


_UUID: Final = ("uuid",)
_INSTANT: Final = ("timestamp with time zone", "timestamp without time zone", "timestamp")

SUPABASE_CHAT: Final = Adapter(
    "supabase_chat",
    "token_events",
    (
        Table(
            "public.chat_messages_v2",
            "Chat messages of the application; an answer of the model is a row with role 'assistant'.",
            (
                Column("id", "Identity of the message.", types=_UUID),
                Column("conversation_id", "Conversation it belongs to.", types=_UUID),
                Column("sender_user_id", "User who wrote it; NULL on the model's answers.", types=_UUID),
                Column("sender_agent_id", "Agent who wrote it; NULL on a user's messages.", types=_UUID),
                Column("role", "Who speaks; only 'assistant' rows are read."),
                Column(
                    "metadata",
                    "JSON in which the tokens of an answer stand, in one of three shapes.",
                    types=("jsonb",),
                ),
                Column("created_at", "Instant of the message; it decides the day.", types=_INSTANT),
                Column(
                    "updated_at",
                    "Instant of the last change; never decides the day.",
                    "created_at",
                    types=_INSTANT,
                ),
            ),
            time_column="created_at",
            row_filter="((role)::text = 'assistant'::text)",
        ),
        Table(
            "public.conversation_sessions",
            "Sessions, which tie a conversation to its user and agent; an anonymous one has no user.",
            (
                Column("id", "Identity of the session.", types=_UUID),
                Column("conversation_id", "Conversation it owns; may be repeated in old data.", types=_UUID),
                Column("user_id", "User it belongs to; NULL for an anonymous chat.", types=_UUID),
                Column("agent_id", "Agent that answers in it.", "no agent", types=_UUID),
                Column(
                    "started_at",
                    "When it began; decides between sessions of one conversation.",
                    "created_at",
                    types=_INSTANT,
                ),
                Column(
                    "created_at",
                    "When the row was made; stands in for started_at.",
                    "started_at",
                    types=_INSTANT,
                ),
            ),
            key_column="conversation_id",
        ),
    ),
    Directory(
        Table(
            "public.profiles",
            "Names of the users; no number needs them.",
            (
                Column("id", "Identity of the user.", "users show by id"),
                Column("full_name", "Name a person goes by.", "first and last name"),
                Column("first_name", "First name; joined with the last name.", "last_name alone"),
                Column("last_name", "Last name; joined with the first name.", "first_name alone"),
                Column("display_name", "Name the application shows.", "username"),
                Column("username", "Name a person logs in with.", "name"),
                Column("name", "Name of any kind.", "email"),
                Column("email", "Address; the last that can name a user.", "users show by id"),
            ),
        ),
        file="supabase_profiles",
    ),
    SessionTotals(
        "public.conversation_sessions",
        "total_tokens_used",
        touched="supabase_chat_touched_conversations",
        untrue="supabase_chat_untrue_sessions",
        write="supabase_chat_write_session_totals",
        searched=("public.chat_messages_v2", "conversation_id"),
    ),
)

ADAPTERS: Final = {adapter.name: adapter for adapter in (SUPABASE_CHAT,)}
