"""`sources enable | disable session-totals`: a right on one column, refused where it would reach further."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from usage_pipeline import settings
from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.sources_access.test_access import alter
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs

SESSIONS: Final = "public.conversation_sessions"
GRANT: Final = f"grant update (total_tokens_used) on {SESSIONS} to usage_writer"
POLICY: Final = (
    f"create policy usage_writer_updates on {SESSIONS}"
    " for update to usage_writer using (true) with check (true)"
)
Typed = Callable[..., Done]


@pytest.fixture
def typed(verbs: Verbs, server: Server, database: str, tmp_path: Path) -> Typed:
    """Verbs on this test's database, in a stack's folder of its own."""
    url = server.url(database).render_as_string(hide_password=False)
    given = {"USAGE_DATABASE_URL": url, "USAGE_HOME": str(tmp_path)}
    return lambda *words, **more: verbs(*words, **{**given, **more})


def enable(typed: Typed) -> Done:
    return typed("sources", "enable", "session-totals")


def disable(typed: Typed) -> Done:
    return typed("sources", "disable", "session-totals")


def protect(chat: Chat) -> None:
    """Row-level security as an application switches it on, with the policies that let us read."""
    alter(chat, "alter table {table} enable row level security", SESSIONS)
    for role in ("usage_writer", "usage_reader"):
        reads = "create policy {role}_reads on {table} for select to {role} using (true)"
        alter(chat, reads.replace("{role}", role), SESSIONS)


def stands(chat: Chat) -> Sequence[object]:
    """Every right and policy on the table, and every column's."""
    return chat.connection.execute(
        "select relacl::text from pg_class where oid = 'public.conversation_sessions'::regclass"
        " union all select attname || coalesce(attacl::text, '') from pg_attribute"
        " where attrelid = 'public.conversation_sessions'::regclass and attacl::text <> '{}'"
        " union all select polname || ' ' || polcmd::text from pg_policy"
        " where polrelid = 'public.conversation_sessions'::regclass order by 1"
    ).fetchall()


def is_on(home: Path) -> bool:
    """Whether Dagster may run the asset, by the settings."""
    return settings.load({"USAGE_HOME": str(home)}).session_totals


def of_the_report(typed: Typed) -> dict[str, object]:
    found: dict[str, object] = json.loads(typed("sources", "--json").out)["data"]["session_totals"]
    return found


@pytest.mark.parametrize("is_protected", [False, True])
def test_disabling_undoes_all_that_enabling_did(
    chat: Chat, typed: Typed, tmp_path: Path, is_protected: bool
) -> None:
    if is_protected:
        protect(chat)
    before = stands(chat)
    done = enable(typed)
    assert (done.code, done.out) == (0, "")
    assert "Session totals are on: the asset session_totals may write" in done.said
    assert len(stands(chat)) == len(before) + 1 + is_protected
    assert enable(typed).said.startswith("Session totals are on already")
    assert is_on(tmp_path)
    assert disable(typed).said == "Session totals are off.\n"
    assert stands(chat) == before
    assert disable(typed).said == "Session totals are off already.\n"
    assert not is_on(tmp_path)


def test_the_report_says_whether_it_is_on(chat: Chat, typed: Typed) -> None:
    off = typed("sources")
    assert "Session totals: off" in off.out
    assert "usage-pipeline sources enable session-totals" in off.out
    assert enable(typed).code == 0
    on = typed("sources")
    assert on.code == 0
    assert "Session totals: on (public.conversation_sessions.total_tokens_used is written)" in on.out
    assert of_the_report(typed)["is_enabled"] is True
    trigger(chat, "before update")
    hindered = typed("sources")
    assert hindered.code == 3
    assert "Session totals: on, but an update of total_tokens_used fires its trigger touch" in hindered.out


def test_row_security_that_is_switched_on_later_is_noticed(chat: Chat, typed: Typed) -> None:
    """An update that no policy allows changes nothing, and says nothing."""
    assert enable(typed).code == 0
    protect(chat)
    assert "`usage_writer_updates` is missing or altered" in str(of_the_report(typed)["obstacle"])
    assert enable(typed).code == 0
    assert of_the_report(typed)["obstacle"] is None


def test_an_altered_policy_is_made_anew(chat: Chat, typed: Typed) -> None:
    protect(chat)
    altered = "create policy usage_writer_updates on {table} for update to usage_writer using (false)"
    alter(chat, altered, SESSIONS)
    assert enable(typed).code == 0
    assert of_the_report(typed)["obstacle"] is None


def trigger(chat: Chat, when: str, each: str = "row", function: str = "public.nothing()") -> None:
    chat.connection.execute(
        "create or replace function public.nothing() returns trigger language plpgsql as"
        " $$ begin return new; end $$"
    )
    chat.connection.execute(
        f"create trigger touch {when} on {SESSIONS} for each {each} execute function {function}".encode()
    )


TRIGGERS: Final = {
    "before": ("before update", "row"),
    "before inserts too": ("before insert or update", "row"),
    "of the column": ("before update of message_count, total_tokens_used", "row"),
    "after": ("after update", "row"),
    "of statements": ("before update", "statement"),
    "after statements": ("after update", "statement"),
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_table_that_cannot_be_written_safely_is_refused(chat: Chat, typed: Typed, name: str) -> None:
    """What a trigger writes cannot be read off it: it may be last_active, or another table."""
    trigger(chat, *TRIGGERS[name])
    before = stands(chat)
    refused(enable(typed), 4, SESSIONS, "trigger touch", "may write other columns", "`update of`")
    assert stands(chat) == before


@pytest.mark.parametrize("state", ["enable always", "enable replica", "disable"])
def test_a_trigger_counts_if_it_fires(chat: Chat, typed: Typed, state: str) -> None:
    trigger(chat, "before update")
    alter(chat, f"alter table {{table}} {state} trigger touch", SESSIONS)
    assert enable(typed).code == (4 if state == "enable always" else 0)


@pytest.mark.parametrize(
    ("when", "function"),
    [
        ("before update of last_active", "public.nothing()"),
        ("before insert", "public.nothing()"),
        ("after delete", "public.nothing()"),
        ("before update", "pg_catalog.suppress_redundant_updates_trigger()"),
    ],
)
def test_a_trigger_that_does_not_concern_us_is_let_be(
    chat: Chat, typed: Typed, when: str, function: str
) -> None:
    """Refusing every table with a trigger would be an asset for nobody."""
    trigger(chat, when, function=function)
    assert enable(typed).code == 0


def test_a_trigger_of_a_partition_counts(chat: Chat, typed: Typed) -> None:
    alter(chat, "alter table {table} rename to old_sessions", SESSIONS)
    alter(chat, "create table {table} (like public.old_sessions) partition by hash (id)", SESSIONS)
    alter(chat, "grant select on {table} to usage_writer, usage_reader", SESSIONS)
    for number in range(2):
        alter(
            chat, f"create table public.part_{number} partition of {{table}}"
            f" for values with (modulus 2, remainder {number})", SESSIONS,
        )  # fmt: skip
    assert enable(typed).code == 0
    assert disable(typed).code == 0
    trigger(chat, "before update")
    alter(chat, "drop trigger touch on {table}", SESSIONS)
    alter(
        chat, "create trigger of_one before update on public.part_1"
        " for each row execute function public.nothing()",
    )  # fmt: skip
    refused(enable(typed), 4, "trigger of_one")


UNFIT: Final = {
    "it has no column total_tokens_used": "alter table {table} drop total_tokens_used",
    "is of type text": "alter table {table} alter total_tokens_used drop default,"
    " alter total_tokens_used type text",
    "is of type double precision": "alter table {table} alter total_tokens_used type double precision",
    "is of type numeric(3,-2)": "alter table {table} alter total_tokens_used type numeric(3,-2)",
    "is generated": "alter table {table} drop total_tokens_used, add total_tokens_used integer"
    " generated always as (message_count) stored",
    "its rule elsewhere rewrites": "create rule elsewhere as on update to {table} do also notify x",
    "a view or a foreign table": "alter table {table} rename to hidden;"
    " create view {table} as select * from public.hidden",
    "the table does not exist": "drop table {table}",
}


@pytest.mark.parametrize("why", UNFIT)
def test_an_unfit_column_is_refused_in_one_line(chat: Chat, typed: Typed, why: str) -> None:
    for statement in UNFIT[why].split("; "):
        alter(chat, statement, SESSIONS)
    refused(enable(typed), 4 if "rule" in why else 1, SESSIONS, why)


def test_a_restrictive_policy_is_refused_by_name(chat: Chat, typed: Typed) -> None:
    """It narrows what every other policy allows: some sessions would never be written."""
    protect(chat)
    alter(chat, "create policy office_hours on {table} as restrictive for update using (false)", SESSIONS)
    before = stands(chat)
    refused(enable(typed), 1, "restrictive policy `office_hours`")
    assert stands(chat) == before


@pytest.fixture
def stranger(verbs: Verbs, server: Server, database: str) -> Iterator[Typed]:
    """The verbs of a login that may act as our roles and owns no table of the application."""
    with server.connect() as connection:
        connection.execute("create role visitor login")
        connection.execute("grant usage_owner, usage_writer, usage_retention, usage_reader to visitor")
    url = server.url(database, login="visitor").render_as_string(hide_password=False)
    yield lambda *words: verbs(*words, USAGE_DATABASE_URL=url)
    with server.connect() as connection:
        connection.execute("drop role visitor")


@pytest.mark.parametrize("is_protected", [False, True])
def test_without_the_right_the_statements_are_printed(
    chat: Chat, stranger: Typed, is_protected: bool
) -> None:
    """Half of it, the grant without the policy, would be a run that writes nothing."""
    if is_protected:
        protect(chat)
    before = stands(chat)
    done = enable(stranger)
    assert done.code == 3
    assert done.out.splitlines() == [f"{GRANT};"] + [f"{POLICY};"] * is_protected
    assert stands(chat) == before
    chat.connection.execute(done.out.encode())
    assert enable(stranger).said.startswith("Session totals are on already")
    undone = disable(stranger)
    assert (undone.code, len(undone.out.splitlines())) == (3, 1 + is_protected)
    chat.connection.execute(undone.out.encode())
    assert stands(chat) == before
    assert disable(stranger).said == "Session totals are off already.\n"


def test_a_busy_table_is_not_waited_for(chat: Chat, typed: Typed, server: Server, database: str) -> None:
    """A policy locks the table whole: a verb that waits for it makes every chat wait behind it."""
    protect(chat)
    before = stands(chat)
    with server.connect(database, embedded.LOGIN) as application, application.transaction():
        application.execute("select from public.conversation_sessions")
        began = time.monotonic()
        refused(enable(typed), 1, "a lock was not had in time")
        assert time.monotonic() - began < 5
    assert stands(chat) == before
    assert enable(typed).code == 0


def test_without_an_index_a_word_is_said(chat: Chat, typed: Typed) -> None:
    """On a chat of millions every batch would read all of it."""
    assert "No index" not in enable(typed).said
    chat.connection.execute("drop index public.chat_messages_v2_conversation")
    assert "No index of public.chat_messages_v2 begins with conversation_id" in enable(typed).said


def test_before_the_migrations_it_is_refused(verbs: Verbs, server: Server, bare_database: str) -> None:
    with server.connect(bare_database, embedded.LOGIN) as connection:
        loading.create_application(connection)
    url = server.url(bare_database).render_as_string(hide_password=False)
    done = verbs("sources", "enable", "session-totals", USAGE_DATABASE_URL=url)
    refused(done, 3, "migrations are pending", "usage-pipeline migrate apply")


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_what_cannot_be_switched_is_said(typed: Typed, verb: str) -> None:
    done = typed("sources", verb, "session_total")
    assert done.code == 2
    assert "'session_total' is not 'session-totals'" in done.said


def test_migrate_keeps_to_its_own(chat: Chat, typed: Typed) -> None:
    """Neither on nor off is it anything pending, and applying again takes nothing back."""
    assert typed("migrate", "status").code == 0
    assert enable(typed).code == 0
    before = stands(chat)
    assert typed("migrate", "apply").code == 0
    assert stands(chat) == before
    assert typed("migrate", "status").code == 0
