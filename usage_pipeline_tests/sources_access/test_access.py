"""What our roles may read of a source: a table that hides rows is refused by name, never an empty day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from usage_pipeline import settings
from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import readiness
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources import access
from usage_pipeline.sources.access import Grant
from usage_pipeline.sources.adapters import SUPABASE_CHAT, Table
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, Chat, set_policy, tokens_of

TABLES = [table.name for table in SUPABASE_CHAT.tables]
MESSAGES = "public.chat_messages_v2"
SESSIONS = "public.conversation_sessions"


def protect(chat: Chat, table: str = MESSAGES) -> None:
    """Row-level security as an application switches it on: its own rule, none for us."""
    alter(chat, "alter table {table} enable row level security", table)
    alter(chat, "create policy own_rows on {table} using (id::text = current_user)", table)


def alter(chat: Chat, statement: str, table: str = MESSAGES) -> None:
    chat.connection.execute(statement.replace("{table}", table).encode())


def heal(warehouse: Warehouse) -> list[str]:
    """Run the statements that are missing; what they were."""
    with warehouse.begin(Role.LOGIN) as connection:
        missing = access.grants(connection, SUPABASE_CHAT)
        for grant in missing:
            assert grant.is_permitted, grant.statement
            statements.run_script(connection, grant.statement)
    return [grant.statement for grant in missing]


def require(warehouse: Warehouse) -> None:
    assert readiness.require(warehouse, settings.load()) == SUPABASE_CHAT


def refusal(warehouse: Warehouse) -> Refusal:
    with pytest.raises(Refusal) as caught:
        readiness.require(warehouse, settings.load())
    return caught.value


def policy(role: str, table: str = MESSAGES) -> str:
    return "create policy {role}_reads on {table} for select to {role} using (true)".replace(
        "{role}", role
    ).replace("{table}", table)


def test_a_migrated_source_lacks_nothing(warehouse: Warehouse) -> None:
    require(warehouse)
    assert heal(warehouse) == []


@pytest.mark.parametrize("table", TABLES)
def test_row_security_without_our_policy_is_refused(chat: Chat, warehouse: Warehouse, table: str) -> None:
    """A protected table reads as empty: without messages no day, without sessions nobody's day."""
    protect(chat, table)
    found = refusal(warehouse)
    assert found.what == f"the source table {table} cannot be read whole"
    assert "`usage_writer_reads` is missing or altered" in found.why
    assert found.fix == "$ migrate apply"
    assert heal(warehouse) == [policy("usage_reader", table), policy("usage_writer", table)]
    require(warehouse)
    assert heal(warehouse) == []


def test_what_is_healed_is_read_whole(chat: Chat, warehouse: Warehouse) -> None:
    """The policy that satisfies the catalogue must also show the rows."""
    chat.answer()
    protect(chat)
    for role, before, after in ((Role.WRITER, 0, 1), (Role.READER, 0, 1)):
        with warehouse.begin(role) as connection:
            assert len(connection.execute(sa.text("select from public.chat_messages_v2")).all()) == before
        heal(warehouse)
        with warehouse.begin(role) as connection:
            assert len(connection.execute(sa.text("select from public.chat_messages_v2")).all()) == after
        alter(chat, "drop policy usage_reader_reads on {table}")
        alter(chat, "drop policy usage_writer_reads on {table}")


def test_a_policy_that_looks_elsewhere_is_in_nobodys_way(chat: Chat, warehouse: Warehouse) -> None:
    """Most policies name no role, so they are for ours too, which have no right on the tables they ask."""
    first, last = NOON.date(), NOON.date() + timedelta(days=4)
    chat.answer()
    for table in TABLES:
        alter(chat, "alter table {table} enable row level security", table)
        alter(chat, "create policy admins on {table} using (exists (select from public.user_roles))", table)
    heal(warehouse)
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=first, grace_days=3650)
    for rollup in (tokens_of(Grain.DAILY), ROLLUPS["tokens_weekly"]):
        periods = list(windows(rollup.grain, first, last))
        rollup.ensure_partitions(warehouse, periods[0], periods[-1])
        done = [rollup.compute(warehouse, each, "test") for each in periods]
        assert sum(each.inserted for each in done) == 1


@pytest.mark.parametrize(
    "change",
    [
        "alter policy usage_writer_reads on {table} using (false)",
        "alter policy usage_writer_reads on {table} using (created_at > '2026-01-01')",
        "alter policy usage_writer_reads on {table} to usage_retention",
        "alter policy usage_writer_reads on {table} to public",
        "alter policy usage_writer_reads on {table} to usage_writer, usage_retention",
        "drop policy usage_writer_reads on {table};"
        " create policy usage_writer_reads on {table} for insert to usage_writer with check (true)",
        "drop policy usage_writer_reads on {table};"
        " create policy usage_writer_reads on {table} to usage_writer using (true)",
    ],
)
def test_an_altered_policy_is_refused_and_made_again(chat: Chat, warehouse: Warehouse, change: str) -> None:
    """A policy of the right name that shows less is worse than none: it looks right."""
    protect(chat)
    heal(warehouse)
    alter(chat, change)
    assert "`usage_writer_reads` is missing or altered" in refusal(warehouse).why
    assert heal(warehouse) == [
        "drop policy usage_writer_reads on public.chat_messages_v2",
        policy("usage_writer"),
    ]
    require(warehouse)


def test_a_renamed_policy_is_made_again_beside_the_other(chat: Chat, warehouse: Warehouse) -> None:
    """By another name nobody knows it is ours, and the next clean-up takes it away."""
    protect(chat)
    heal(warehouse)
    alter(chat, "alter policy usage_writer_reads on {table} rename to reporting")
    assert "`usage_writer_reads` is missing or altered" in refusal(warehouse).why
    assert heal(warehouse) == [policy("usage_writer")]
    require(warehouse)


@pytest.mark.parametrize("to", ["public", "usage_writer", "usage_writer, usage_retention"])
@pytest.mark.parametrize("kind", ["select", "all"])
def test_a_restrictive_policy_for_us_is_refused(chat: Chat, warehouse: Warehouse, to: str, kind: str) -> None:
    """It takes rows away whatever our own policy allows, and we have nothing to mend it with."""
    protect(chat)
    heal(warehouse)
    restrictive = "create policy tenant on {table} as restrictive for {kind} to {to} using (false)"
    alter(chat, restrictive.replace("{kind}", kind).replace("{to}", to))
    found = refusal(warehouse)
    assert found.what == f"the source table {MESSAGES} cannot be read whole"
    assert found.why == "the restrictive policy `tenant` hides rows from usage_writer"
    assert found.fix == "exempt our roles from that policy"
    assert heal(warehouse) == []


def test_a_restrictive_policy_for_others_is_none_of_ours(chat: Chat, warehouse: Warehouse) -> None:
    """Refusing for somebody else's rule would stop every run of a multi-tenant application."""
    protect(chat)
    heal(warehouse)
    alter(chat, "create policy tenant on {table} as restrictive to usage_retention using (false)")
    alter(chat, "create policy inserts on {table} as restrictive for insert with check (false)")
    require(warehouse)


def test_a_restrictive_policy_without_row_security_hides_nothing(chat: Chat, warehouse: Warehouse) -> None:
    alter(chat, "create policy tenant on {table} as restrictive using (false)")
    require(warehouse)


@pytest.mark.parametrize("table", TABLES)
def test_a_revoked_right_is_refused_and_given_again(chat: Chat, warehouse: Warehouse, table: str) -> None:
    alter(chat, "revoke select on {table} from usage_writer", table)
    found = refusal(warehouse)
    assert found.what == f"the source table {table} cannot be read whole"
    assert found.why == "usage_writer has no select on it"
    assert heal(warehouse) == [f"grant select on {table} to usage_writer"]
    require(warehouse)


def test_a_right_on_some_columns_is_not_enough(chat: Chat, warehouse: Warehouse) -> None:
    alter(chat, "revoke select on {table} from usage_writer")
    alter(chat, "grant select (id, created_at) on {table} to usage_writer")
    assert refusal(warehouse).why == "usage_writer has no select on it"


def test_a_closed_schema_is_refused_and_opened_again(
    server: Server, database: str, warehouse: Warehouse
) -> None:
    """Some installations take `public` away from everybody."""
    with server.connect(database) as connection:
        connection.execute("revoke usage on schema public from public")
        connection.execute("grant usage on schema public to usage with grant option")
    assert refusal(warehouse).why == "usage_writer has no usage on its schema"
    assert heal(warehouse) == [
        f"grant usage on schema public to {role}" for role in ("usage_owner", "usage_reader", "usage_writer")
    ]
    require(warehouse)


@pytest.fixture
def stranger(server: Server, database: str) -> Iterator[Warehouse]:
    """The same database through a login that may act as our roles and owns no table of the application."""
    with server.connect() as connection:
        connection.execute("create role stranger login")
        connection.execute("grant usage_owner, usage_writer, usage_retention, usage_reader to stranger")
    found = Warehouse(server.url(database, login="stranger"))
    yield found
    found.dispose()
    with server.connect() as connection:
        connection.execute("drop role stranger")


def test_a_login_without_the_right_is_told_so(chat: Chat, stranger: Warehouse, warehouse: Warehouse) -> None:
    """The statements are for the owner of the tables to run; trying them would only fail."""
    protect(chat, SESSIONS)
    alter(chat, "create policy usage_writer_reads on {table} using (false)", SESSIONS)
    alter(chat, "revoke select on {table} from usage_reader")
    with stranger.begin(Role.LOGIN) as connection:
        missing = access.grants(connection, SUPABASE_CHAT)
    assert missing == [
        Grant("grant select on public.chat_messages_v2 to usage_reader", is_permitted=False),
        Grant(f"drop policy usage_writer_reads on {SESSIONS}", is_permitted=False),
        Grant(policy("usage_reader", SESSIONS), is_permitted=False),
        Grant(policy("usage_writer", SESSIONS), is_permitted=False),
    ]
    with pytest.raises(Refusal, match="42501"), stranger.begin(Role.LOGIN) as connection:
        statements.run_script(connection, missing[1].statement)
    assert heal(warehouse) == [grant.statement for grant in missing]


def test_before_the_roles_exist_everything_is_listed(server: Server, bare_database: str) -> None:
    """`migrate sql` prints the rights for a database in which no migration has run yet."""
    with server.connect(bare_database, "usage") as connection:
        connection.execute("create table public.chat_messages_v2 (id uuid)")
        connection.execute("alter table public.chat_messages_v2 enable row level security")
    warehouse = Warehouse(server.url(bare_database))
    with warehouse.begin(Role.LOGIN) as connection:
        missing = [grant.statement for grant in access.grants(connection, SUPABASE_CHAT)]
    warehouse.dispose()
    assert missing == [
        f"grant select on {MESSAGES} to usage_reader",
        f"grant select on {MESSAGES} to usage_writer",
        policy("usage_reader"),
        policy("usage_writer"),
    ]


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_table_is_refused_by_name(chat: Chat, warehouse: Warehouse, table: str) -> None:
    alter(chat, "drop table {table}", table)
    assert refusal(warehouse).what == f"the source table {table} does not exist"


@pytest.mark.parametrize("table", SUPABASE_CHAT.tables, ids=TABLES)
def test_a_missing_column_is_refused_by_name(chat: Chat, warehouse: Warehouse, table: Table) -> None:
    """A statement that fails over it in the night would only name the column, not what to do."""
    alter(chat, "alter table {table} add column if not exists created_at timestamptz", table.name)
    for column in table.columns:
        rename(chat, table.name, column.name, "elsewhere")
        if column.default is None:
            assert refusal(warehouse).what == f"the source table {table.name} has no column `{column.name}`"
        else:
            require(warehouse)
        rename(chat, table.name, "elsewhere", column.name)


def rename(chat: Chat, table: str, old: str, new: str) -> None:
    statement = "alter table {table} rename column {old} to {new}"
    alter(chat, statement.replace("{old}", old).replace("{new}", new), table)


@pytest.mark.parametrize("options", ["", "with (security_invoker = true)"])
def test_a_view_over_a_hidden_table_is_refused(chat: Chat, warehouse: Warehouse, options: str) -> None:
    """The view itself has no row-level security; what it reads has, and the day would be empty."""
    chat.connection.execute("alter table public.chat_messages_v2 rename to hidden")
    for view, table in (("between", "hidden"), ("chat_messages_v2", "between")):
        text = f"create view public.{view} {options} as select * from public.{table}"  # noqa: S608
        chat.connection.execute(text.encode())
    heal(warehouse)
    require(warehouse)
    chat.connection.execute("alter table public.hidden enable row level security")
    found = refusal(warehouse)
    assert "a view over hidden" in found.why
    assert "migrate apply" not in found.fix


@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [
        ("public.chat_messages_v2", "metadata", "json"),
        ("public.chat_messages_v2", "metadata", "text"),
        ("public.conversation_sessions", "conversation_id", "text"),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(
    chat: Chat, warehouse: Warehouse, table: str, column: str, kind: str
) -> None:
    """Sent to `migrate apply` for it, a person would go round in circles."""
    chat.connection.execute(f"alter table {table} alter {column} drop default".encode())
    chat.connection.execute(f"alter table {table} alter {column} type {kind} using {column}::{kind}".encode())
    found = refusal(warehouse)
    assert found.what == f"the source column {table}.{column} is of type {kind}"


def test_a_database_of_a_newer_version_is_left_alone(chat: Chat, warehouse: Warehouse) -> None:
    """Old code on a new schema would write what the new one does not mean."""
    with warehouse.begin(Role.OWNER) as connection:
        connection.exec_driver_sql("update usage_private.schema_version set version_num = '9999'")
    assert "revision 9999" in refusal(warehouse).what
    with pytest.raises(Refusal, match="revision 9999"):
        engine.apply(warehouse)


def test_without_any_source_the_tables_are_named(bare_warehouse: Warehouse) -> None:
    with (
        pytest.raises(Refusal, match="no source of tokens is in this database") as caught,
        bare_warehouse.begin(Role.LOGIN) as connection,
    ):
        access.active(connection, None)
    assert all(table in caught.value.why for table in TABLES)


@pytest.fixture
def bare_warehouse(server: Server, bare_database: str) -> Iterator[Warehouse]:
    found = Warehouse(server.url(bare_database))
    yield found
    found.dispose()


def test_an_unknown_adapter_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(Refusal, match="there is no adapter `litelm`: known are: supabase_chat"):
        readiness.require(warehouse, replace(settings.load(), token_source="litelm"))  # noqa: S106


def test_a_chosen_adapter_is_not_detected(bare_warehouse: Warehouse) -> None:
    with bare_warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, "supabase_chat")
        with pytest.raises(Refusal, match=r"the source table public\.chat_messages_v2 does not exist"):
            access.require_tables(connection, adapter)


def test_a_run_of_a_hidden_source_fails_and_stores_nothing(
    chat: Chat, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An empty day that was computed looks like a day on which nobody worked."""
    monkeypatch.setenv("USAGE_HOME", str(tmp_path))
    import dagster as dg

    from usage_pipeline_tests.rollups.launching import tokens_daily

    yesterday = datetime.now(UTC) - timedelta(days=1)
    chat.answer(at=yesterday)
    protect(chat)
    result = dg.materialize(
        [tokens_daily],
        partition_key=yesterday.date().isoformat(),
        resources={"warehouse": warehouse},
        raise_on_error=False,
    )
    (failure,) = result.get_step_failure_events()
    assert f"the source table {MESSAGES} cannot be read whole" in str(failure.step_failure_data)
    with warehouse.begin(Role.READER) as connection:
        assert connection.execute(sa.text("select from usage.rollup_ledger")).all() == []
