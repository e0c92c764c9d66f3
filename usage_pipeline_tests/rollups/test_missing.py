"""A table, a column or a function that is gone in the middle of a run: which, whose, and what to do."""

from typing import Final

import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain, Window, windows
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import ranges
from usage_pipeline.rollups.ranges import Done, Failed
from usage_pipeline.rollups.rollup import Outcome
from usage_pipeline.serving import read
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.cli.test_poor_databases import url_of
from usage_pipeline_tests.factories import NOON, Chat, tokens_of
from usage_pipeline_tests.verbs import Verbs

DAY: Final = NOON.date()
DAYS: Final = list(windows(Grain.DAILY, DAY, DAY.replace(day=DAY.day + 2)))
MESSAGES: Final = "public.chat_messages_v2"
CHANGES: Final = {
    "alter table public.chat_messages_v2 rename column metadata to data": (
        f"the source table {MESSAGES} has no column `metadata`: the adapter `supabase_chat` reads it"
    ),
    "alter table public.chat_messages_v2 alter column metadata type text": (
        f"the source column {MESSAGES}.metadata is of type text: the adapter `supabase_chat` reads jsonb"
    ),
    "alter table public.chat_messages_v2 alter column created_at drop default,"
    " alter column created_at type text": f"the source column {MESSAGES}.created_at is of type text",
    "alter table public.chat_messages_v2 rename to chat_messages_v3": (
        f"the source table {MESSAGES} does not exist: the adapter `supabase_chat` reads it"
    ),
    "drop table public.conversation_sessions cascade": (
        "the source table public.conversation_sessions does not exist: the adapter `supabase_chat` reads it"
    ),
    "alter table public.conversation_sessions drop column user_id": (
        "the source table public.conversation_sessions has no column `user_id`"
    ),
}
"""What an application does to its tables, and what a run says of it."""


def compute(warehouse: Warehouse, window: Window) -> Outcome:
    return tokens_of(Grain.DAILY).compute(warehouse, window, "test")


@pytest.mark.parametrize("change", CHANGES)
def test_a_period_names_what_the_application_changed(chat: Chat, warehouse: Warehouse, change: str) -> None:
    """In the middle of a range, after everything was checked; what is committed stays."""
    chat.answer(at=NOON)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAYS[0], DAYS[-1])

    def changing(window: Window) -> Outcome:
        if window == DAYS[1]:
            chat.connection.execute(change.encode())
        return compute(warehouse, window)

    done, *failed = ranges.run(DAYS, changing, connections=1)
    assert isinstance(done, Done)
    assert len(failed) == 2
    for each in failed:
        assert isinstance(each, Failed)
        assert CHANGES[change] in str(each.refusal)
        assert each.refusal.fix
        assert "migrations" not in str(each.refusal)


@pytest.mark.parametrize("change", CHANGES)
def test_every_verb_names_it_too(server: Server, database: str, verbs: Verbs, change: str) -> None:
    """Whoever reads "migrations are pending" runs them, and is where he was."""
    with server.connect(database, embedded.LOGIN) as connection:
        chat = Chat(connection)
        user = chat.user("Ada")
        chat.answer(conversation_id=chat.session(user_id=user).conversation_id)
        connection.execute(change.encode())
    url = url_of(server, database)
    span = ("--from", str(DAY), "--to", str(DAY))
    for words in (
        ("migrate", "apply"),
        ("recalc", "--user", str(user), *span),
        ("restate", "tokens_daily", *span, "--reason", "a test"),
        ("sources",),
        ("doctor",),
    ):
        done = verbs(*words, USAGE_DATABASE_URL=url)
        assert done.code in (1, 3), done.said
        assert "migrations are pending" not in done.out + done.said
        name = CHANGES[change].split(":")[0].removeprefix("the source table ").split(" ")[0]
        assert name in done.out + done.said, words


OURS: Final = {
    "drop function usage_private.tokens_of_window(timestamptz, timestamptz, uuid)": (
        "migrations are pending: not applied yet: functions of tokens_of_window."
    ),
    "drop function usage.token_events(timestamptz, timestamptz)": (
        "migrations are pending: not applied yet: functions of supabase_chat."
    ),
    "update usage_private.schema_version set version_num = '0004';"
    " alter table usage.rollup_ledger rename column kept to was_kept": (
        "migrations are pending: not applied yet: 0005_families."
    ),
    "drop policy writer_writes on usage.rollup_ledger": (
        "migrations are pending: not applied yet: rights (1 statement)."
    ),
    "revoke insert on usage.user_token_usage from usage_writer": (
        "migrations are pending: not applied yet: rights (1 statement)."
    ),
    "alter table usage.rollup_ledger rename to ledger": (
        "the database holds only a part of our objects: missing: table usage.rollup_ledger"
    ),
}
"""What is done to our own schema: `migrate apply` helps against all but the last."""


@pytest.mark.parametrize("change", OURS)
def test_a_run_that_misses_something_of_ours(
    chat: Chat, superuser: psycopg.Connection, warehouse: Warehouse, change: str
) -> None:
    chat.answer(at=NOON)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAYS[0], DAYS[-1])
    superuser.execute(change.encode())
    with pytest.raises(Refusal) as caught:
        compute(warehouse, DAYS[0])
    assert str(caught.value).startswith(OURS[change])


READING: Final = {
    "update usage_private.schema_version set version_num = '0004';"
    " drop table usage.user_token_usage cascade": ("not applied yet: 0005_families"),
    "drop schema usage cascade; drop schema usage_private cascade": "not applied yet: 0001_ledger",
}


@pytest.mark.parametrize("change", READING)
def test_what_is_read_of_an_older_schema_is_pending(
    superuser: psycopg.Connection, warehouse: Warehouse, server: Server, database: str,
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch, change: str,
) -> None:  # fmt: skip
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAYS[0], DAYS[-1])
    compute(warehouse, DAYS[0])
    superuser.execute(change.encode())
    url = url_of(server, database)
    done = verbs("usage", "tokens", "--from", str(DAY), "--to", str(DAY), USAGE_DATABASE_URL=url)
    assert done.code == 3
    assert done.said.startswith("migrations are pending: ")
    assert READING[change] in done.said
    monkeypatch.setenv("USAGE_DATABASE_URL", url)
    with pytest.raises(Refusal, match="migrations are pending") as caught:
        read("tokens_daily", str(DAY))
    assert READING[change] in str(caught.value)


VIEW: Final = "alter table {0} rename to messages; create view {0} as select * from public.messages"
GRANTED: Final = "grant select on {0} to usage_reader, usage_writer"


def as_view(chat: Chat, *statements: str) -> None:
    for each in (VIEW, *statements, GRANTED):
        chat.connection.execute(each.format(MESSAGES).encode())


def test_a_source_that_became_a_view_is_read(chat: Chat, warehouse: Warehouse) -> None:
    chat.answer(at=NOON)
    as_view(chat)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAYS[0], DAYS[-1])
    assert compute(warehouse, DAYS[0]).entry.totals["message_count"] == 1


REFUSED_VIEWS: Final = {
    "alter table public.messages enable row level security": "it is a view over messages",
    "drop view {0}; create view {0} as select message.id, message.conversation_id, message.sender_user_id,"
    " message.sender_agent_id, message.role, message.content, (message.metadata::text || (1 / 0))::jsonb"
    " as metadata, message.created_at from public.messages message": "division by zero",
    "drop view {0}; create view {0} as select id, role from public.messages": (
        f"the source table {MESSAGES} has no column `conversation_id`"
    ),
}


@pytest.mark.parametrize("statement", REFUSED_VIEWS)
def test_a_view_that_hides_or_fails_is_refused_in_one_line(
    chat: Chat, warehouse: Warehouse, statement: str
) -> None:
    """Nothing is half-written: what was computed before stays."""
    chat.answer(at=NOON)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, DAYS[0], DAYS[-1])
    before = compute(warehouse, DAYS[0]).entry
    chat.answer(at=NOON)
    as_view(chat, statement)
    with pytest.raises(Refusal) as caught:
        compute(warehouse, DAYS[0])
    assert REFUSED_VIEWS[statement] in str(caught.value)
    assert caught.value.fix
    assert "\n" not in str(caught.value)
    chat.connection.execute(f"drop view {MESSAGES}".encode())
    chat.connection.execute(f"alter table public.messages rename to {MESSAGES.split('.')[1]}".encode())
    chat.connection.execute(f"alter table {MESSAGES} disable row level security".encode())
    assert before.totals["message_count"] == 1
    assert compute(warehouse, DAYS[0]).before["message_count"] == 1
