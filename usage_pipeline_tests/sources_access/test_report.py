"""What `sources` says about a source: columns, rights, indexes, states, refusals, strays."""

from datetime import UTC, date, datetime, timedelta

import pytest

from usage_pipeline.cli import console
from usage_pipeline.refusals import Refusal
from usage_pipeline.sources import report
from usage_pipeline.sources.report import Report, Stray, TableReport
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.cli.test_poor_databases import url_of
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.sources_access.test_access import MESSAGES, TABLES, alter, protect
from usage_pipeline_tests.verbs import Verbs

SESSIONS = "public.conversation_sessions"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
LONG_AGO = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)


def made(warehouse: Warehouse, since: date | None = None) -> Report:
    with warehouse.begin(Role.READER) as connection:
        return report.make(connection, None, since=since)


def table(found: Report, name: str) -> TableReport:
    (one,) = (each for each in found.tables if each.name == name)
    return one


def test_a_source_in_order_needs_no_attention(chat: Chat, warehouse: Warehouse) -> None:
    chat.answer(at=YESTERDAY)
    chat.answer({"tokens": 7}, at=YESTERDAY)
    chat.answer(None, at=YESTERDAY)
    chat.answer(at=datetime.now(UTC) - timedelta(days=8))
    found = made(warehouse)
    assert not found.needs_attention
    assert found.adapter == "supabase_chat"
    assert [each.name for each in found.tables] == TABLES
    assert found.states == {"missing": 1, "reported": 1, "total_only": 1}
    assert (found.refusals, found.strays, found.stray_count) == ((), (), 0)


def test_columns_are_found_missing_or_stood_in_for(chat: Chat, warehouse: Warehouse) -> None:
    """Whoever connects a new application reads here what it lacks."""
    alter(chat, "alter table {table} drop column updated_at")
    alter(chat, "alter table {table} drop column agent_id", SESSIONS)
    found = made(warehouse)
    assert table(found, MESSAGES).found["created_at"] == "timestamp with time zone"
    assert table(found, MESSAGES).found["role"] == "character varying(20)"
    assert "updated_at" not in table(found, MESSAGES).found
    assert "content" not in table(found, MESSAGES).found
    assert table(found, MESSAGES).defaulted == {"updated_at": "created_at"}
    assert table(found, SESSIONS).defaulted == {"agent_id": "no agent", "created_at": "started_at"}
    assert [each.missing for each in found.tables] == [(), ()]
    assert not found.needs_attention


def test_a_missing_column_is_named_and_nothing_is_read(chat: Chat, warehouse: Warehouse) -> None:
    """The report is what one reaches for when nothing works: it must not fail the same way."""
    alter(chat, "alter table {table} drop column metadata")
    found = made(warehouse)
    assert [each.missing for each in found.tables] == [("metadata",), ()]
    assert found.states is None
    assert found.needs_attention


def test_a_missing_table_is_an_obstacle(chat: Chat, warehouse: Warehouse) -> None:
    alter(chat, "drop table {table}", SESSIONS)
    found = made(warehouse)
    assert set(table(found, SESSIONS).obstacles) == {"the table does not exist"}
    assert table(found, SESSIONS).found == {}
    assert found.states is None
    assert found.needs_attention


def test_what_hinders_each_role_is_listed(chat: Chat, warehouse: Warehouse) -> None:
    """The reader too: it would show an empty tail while the writer stores full days."""
    protect(chat)
    alter(chat, "revoke select on {table} from usage_reader", SESSIONS)
    found = made(warehouse)
    reason = "row-level security is on and the policy `{}_reads` is missing or altered"
    assert table(found, MESSAGES).obstacles == (
        reason.format("usage_reader"),
        reason.format("usage_writer"),
    )
    assert table(found, SESSIONS).obstacles == ("usage_reader has no select on it",)
    assert found.states is None
    assert found.needs_attention


def test_the_indexes_a_day_walks_are_found_or_missed(chat: Chat, warehouse: Warehouse) -> None:
    """Without them a day costs as much as all years, and no error says so."""
    found = made(warehouse)
    indexes = [(each.index, each.wants_index) for each in found.tables]
    assert indexes == [
        ("chat_messages_v2_created_at", None),
        ("conversation_sessions_conversation_id_key", None),
    ]
    alter(chat, "drop index public.chat_messages_v2_created_at")
    alter(chat, "create index elsewhere on {table} (role, created_at)")
    alter(chat, "create index converted on {table} ((created_at at time zone 'UTC'))")
    alter(chat, "alter table {table} drop constraint conversation_sessions_conversation_id_key", SESSIONS)
    found = made(warehouse)
    indexes = [(each.index, each.wants_index) for each in found.tables]
    assert indexes == [(None, "created_at"), (None, "conversation_id")]


def test_an_index_over_other_rows_does_not_serve(chat: Chat, warehouse: Warehouse) -> None:
    """A partial index of the users' messages says nothing about the answers."""
    alter(chat, "drop index public.chat_messages_v2_created_at")
    alter(chat, "create index of_users on {table} (created_at) where role = 'user'")
    assert table(made(warehouse), MESSAGES).wants_index == "created_at"
    alter(chat, "create index of_answers on {table} (created_at) where role = 'assistant'")
    assert table(made(warehouse), MESSAGES).index == "of_answers"


def test_an_index_that_failed_to_build_does_not_serve(chat: Chat, warehouse: Warehouse) -> None:
    """`create index concurrently` leaves an invalid one behind, which no plan uses."""
    alter(chat, "drop index public.chat_messages_v2_created_at")
    for _ in range(2):
        chat.answer(at=YESTERDAY)
    with pytest.raises(Exception, match="could not create unique index"):
        alter(chat, "create unique index concurrently broken on {table} (created_at)")
    assert table(made(warehouse), MESSAGES).wants_index == "created_at"


def test_refused_answers_are_listed(chat: Chat, warehouse: Warehouse) -> None:
    recent = chat.answer({"tokens": "x" * 60}, at=YESTERDAY)
    old = chat.answer({"tokens": -5}, at=LONG_AGO)
    found = made(warehouse)
    assert found.states == {"refused": 1}
    assert not found.shows_all
    assert [(each.event_id, each.field, each.value) for each in found.refusals] == [
        (str(recent.id), "tokens", "x" * 40)
    ]
    assert found.needs_attention
    everything = made(warehouse, since=LONG_AGO.date())
    assert everything.shows_all
    assert everything.refusals_since == "2026-01-15"
    assert [each.event_id for each in everything.refusals] == [str(recent.id), str(old.id)]
    assert everything.refusals[1].occurred_at == "2026-01-15 08:30:00"
    assert [each.event_id for each in made(warehouse, since=date(2026, 1, 16)).refusals] == [str(recent.id)]


def test_twenty_refusals_are_shown_and_all_on_demand(chat: Chat, warehouse: Warehouse) -> None:
    for _ in range(report.SHOWN + 1):
        chat.answer({"tokens": "many"}, at=YESTERDAY)
    assert len(made(warehouse).refusals) == report.SHOWN
    assert len(made(warehouse, since=YESTERDAY.date()).refusals) == report.SHOWN + 1


def test_answers_that_belong_to_no_day_are_counted(chat: Chat, warehouse: Warehouse) -> None:
    """No period will ever hold them: only here can anybody learn that they exist."""
    expected = {
        Stray(str(chat.answer(at=at).id), shown, reason)
        for at, shown, reason in (
            (None, None, "has no instant"),
            (datetime(1999, 12, 31, 23, 59, tzinfo=UTC), "1999-12-31 23:59:00+00", "before 2000"),
            (datetime(4711, 1, 1, tzinfo=UTC), "4711-01-01 00:00:00+00", "more than a day ahead"),
        )
    }
    infinite = [chat.answer(at=YESTERDAY) for _ in range(3)]
    for message, instant in zip(infinite, ("-infinity", "infinity", "4711-01-01 BC"), strict=True):
        chat.connection.execute(
            "update public.chat_messages_v2 set created_at = %s::timestamptz where id = %s",
            [instant, message.id],
        )
    expected |= {
        Stray(str(infinite[0].id), "-infinity", "before 2000"),
        Stray(str(infinite[1].id), "infinity", "more than a day ahead"),
        Stray(str(infinite[2].id), "4711-01-01 00:00:00+00 BC", "before 2000"),
    }
    chat.answer(at=datetime(2000, 1, 1, tzinfo=UTC))
    chat.answer(role="user", sender_user_id=chat.user(), at=None)
    found = made(warehouse)
    assert set(found.strays) == expected
    assert found.stray_count == 6
    assert found.needs_attention


def test_all_strays_are_counted_and_twenty_shown(chat: Chat, warehouse: Warehouse) -> None:
    for _ in range(report.SHOWN + 1):
        chat.answer(at=None)
    found = made(warehouse)
    assert (len(found.strays), found.stray_count) == (report.SHOWN, report.SHOWN + 1)


def test_a_database_without_a_source_is_refused(chat: Chat, warehouse: Warehouse) -> None:
    for name in TABLES:
        alter(chat, "drop table {table}", name)
    with pytest.raises(Refusal, match="no source of tokens is in this database"):
        made(warehouse)


def test_no_line_for_a_person_is_broken_or_loses_a_part(
    chat: Chat,
    warehouse: Warehouse,
    verbs: Verbs,
    server: Server,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A terminal wraps a long line by itself; a number or an id with a line break in it finds nothing."""
    refused = chat.answer({"tokens": "[bold]12[/bold]"}, at=YESTERDAY)
    lost = chat.answer(at=None)
    given = {"USAGE_DATABASE_URL": url_of(server, database)}
    piped = verbs("sources", **given).out
    monkeypatch.setattr(console, "_width", lambda: 40)
    assert verbs("sources", **given).out == piped
    for whole in (
        str(refused.id),
        str(lost.id),
        "`[bold]12[/bold]`",
        "Answers of the last 7 days: refused 1",
    ):
        assert whole in piped
