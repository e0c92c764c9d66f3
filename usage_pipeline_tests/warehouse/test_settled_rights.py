"""Rights as one file: changed only where they differ; and what the revisions make is listed."""

from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import functions
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, health, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine, rights, state
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.verbs import Verbs
from usage_pipeline_tests.warehouse.test_migrations import CATALOGUE

WANTED: Final = functions.wanted(SUPABASE_CHAT)
VERSIONS: Final = (
    "select 'class', oid, xmin::text from pg_class where relnamespace::regnamespace::text like 'usage%'"
    " union all select 'proc', oid, xmin::text from pg_proc"
    " where pronamespace::regnamespace::text like 'usage%'"
    " union all select 'policy', oid, xmin::text from pg_policy"
    " union all select 'schema', oid, xmin::text from pg_namespace order by 1, 2"
)
DRIFTS: Final = (
    "alter schema usage_parts owner to usage",
    "alter table usage.backfills owner to usage",
    "alter table usage_parts.user_token_usage_daily owner to usage",
    "alter function usage_private.now() owner to usage",
    "alter table usage.restatements disable row level security",
    "alter table usage_parts.user_token_usage_weekly no force row level security",
    "grant usage on schema usage_parts to public",
    "grant select on usage.rollup_ledger to public",
    "grant select on usage_parts.user_token_usage_daily to usage_reader",
    "grant insert on usage.restatements to usage_writer",
    "revoke insert (reason) on usage.restatements from usage_writer",
    "revoke delete on usage.rollup_ledger from usage_writer",
    "revoke usage on schema usage from usage_reader",
    "grant execute on function usage_private.ensure_partitions(text, timestamptz, timestamptz) to public",
    "revoke execute on function usage.user_directory() from usage_reader",
    "grant execute on function usage.user_directory() to public",
    "drop policy reader_reads on usage.user_token_usage",
    "drop policy only_what_was_made_to_be_locked on usage.rollup_ledger",
    "alter policy writer_writes on usage.rollup_policy using (false)",
    "alter policy reader_reads on usage.backfills to usage_reader",
    "grant insert (transaction_id) on usage.restatements to usage_writer",
    "grant select (user_id), update (total_tokens) on usage.user_token_usage to public",
    "grant select (user_id) on usage_parts.user_token_usage_daily to usage_reader",
    "grant select (tableoid) on usage.user_token_usage to usage_retention",
    "create policy let_me on usage.user_token_usage for all to public using (true)",
    "create policy let_me on usage_parts.user_token_usage_daily for select to usage_reader using (true)",
    'create policy "let me" on usage.restatements as restrictive to usage_owner using (false)',
)
DAMAGES: Final = {
    "drop table usage.restatements": "table usage.restatements",
    "drop table usage_parts.user_token_usage_daily": "table usage_parts.user_token_usage_daily",
    "alter table usage.user_token_usage detach partition usage_parts.user_token_usage_daily": (
        "the attachment of usage_parts.user_token_usage_daily"
    ),
    "drop trigger guard_seal on usage.rollup_ledger": "trigger guard_seal on usage.rollup_ledger",
    "alter table usage.user_token_usage disable trigger guard_inserted": "trigger guard_inserted",
    "drop function usage_private.ensure_partitions": "function usage_private.ensure_partitions",
    "alter table usage.backfills drop constraint backfills_pkey": "the primary key of usage.backfills",
    "delete from usage_private.schema_version": "the row of usage_private.schema_version",
}


def catalogue(superuser: psycopg.Connection) -> list[tuple[Any, ...]]:
    return superuser.execute(CATALOGUE).fetchall()


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_differs_is_seen_and_settled(
    warehouse: Warehouse, superuser: psycopg.Connection, drift: str
) -> None:
    """A right that only a revision gives is lost for good with the first restore."""
    before = catalogue(superuser)
    superuser.execute(drift.encode())
    assert catalogue(superuser) != before
    found = engine.status(warehouse, WANTED)
    assert found.rights > 0
    assert not found.is_current
    assert engine.apply(warehouse) != ()
    assert catalogue(superuser) == before
    assert engine.status(warehouse, WANTED).is_current


def test_a_sound_database_is_only_looked_at(warehouse: Warehouse, superuser: psycopg.Connection) -> None:
    """An apply in every container's start must not wait for a long report, nor write to the catalogue."""
    before = superuser.execute(VERSIONS.encode()).fetchall()
    with warehouse.begin(Role.READER) as reading:
        reading.exec_driver_sql("select from usage.user_token_usage, usage.rollup_ledger, usage.restatements")
        reading.exec_driver_sql("select from usage.backfills, usage.rollup_policy, usage.source_horizon")
        assert engine.apply(warehouse) == ()
    assert superuser.execute(VERSIONS.encode()).fetchall() == before


def test_what_somebody_granted_to_a_role_of_theirs_stays(
    warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    superuser.execute("create role analyst_of_theirs")
    try:
        superuser.execute(
            "grant select on usage.user_token_usage to analyst_of_theirs;"
            "grant select (state), update (state) on usage.rollup_ledger to analyst_of_theirs;"
            "create policy theirs on usage.user_token_usage for select to analyst_of_theirs using (true)"
        )
        before = catalogue(superuser)
        assert engine.apply(warehouse) == ()
        assert catalogue(superuser) == before
    finally:
        superuser.execute("drop owned by analyst_of_theirs")
        superuser.execute("drop role analyst_of_theirs")


THEIRS: Final = (
    'create table usage_parts."backup 1" (x int)',
    "create table usage_parts.user_token_usage_daily_2026_03_copy (x int)",
    "create table usage_parts.old (x int) partition by list (x);"
    "create table usage_parts.old_1 partition of usage_parts.old for values in (1)",
)


@pytest.mark.parametrize("theirs", THEIRS)
def test_a_table_of_theirs_among_our_partitions_stays_theirs(
    warehouse: Warehouse, superuser: psycopg.Connection, theirs: str
) -> None:
    """A copy that somebody made before a risky step must neither stop everything nor become ours."""
    superuser.execute(theirs.encode())
    before = catalogue(superuser)
    assert engine.status(warehouse, WANTED).is_current
    assert engine.apply(warehouse) == ()
    assert catalogue(superuser) == before


def test_a_partition_that_lost_its_attachment_is_refused(
    warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """Its rows are missing from every answer, and a restore of half a dump leaves it so."""
    with warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql(
            "select usage_private.ensure_partitions(grain, '2026-03-01', '2026-03-02')"
            " from unnest(array['daily', 'yearly']) grain"
        )
    assert engine.apply(warehouse) == ()
    for grain, name in (("daily", "daily_2026_03"), ("yearly", "yearly_2026")):
        part = f"usage_parts.user_token_usage_{name}"
        parent = f"usage_parts.user_token_usage_{grain}"
        superuser.execute(f"alter table {parent} detach partition {part}".encode())
        with pytest.raises(Refusal) as refused:
            engine.apply(warehouse)
        assert f"the attachment of {part} to its table" in refused.value.why


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_database_that_lacks_a_part_is_refused(warehouse: Warehouse, damage: str) -> None:
    """A run without the guards over a seal would rewrite it without a word."""

    def look() -> None:
        with warehouse.begin(Role.OWNER) as connection:
            connection.exec_driver_sql(damage)
            state.read(connection, WANTED)

    with pytest.raises(Refusal) as refused:
        look()
    assert DAMAGES[damage] in refused.value.why
    assert "docs/back-up.md" in refused.value.fix


def test_everything_that_the_revisions_make_is_listed(superuser: psycopg.Connection) -> None:
    """A new table, function or trigger without its rows would have no rights after a restore."""
    listed = {
        name: statements.read("warehouse.migrations.sql", name) for name in ("rights", "missing_objects")
    }
    tables = superuser.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
        " and relnamespace::regnamespace::text in ('usage', 'usage_private')"
    ).fetchall()
    made = superuser.execute(
        "select distinct pronamespace::regnamespace || '.' || proname from pg_proc"
        " where pronamespace::regnamespace::text like 'usage%'"
        " and coalesce(obj_description(oid, 'pg_proc'), '') not like 'usage_pipeline %'"
    ).fetchall()
    triggers = superuser.execute(
        "select distinct tgname::text from pg_trigger where tgrelid::regclass::text like 'usage.%'"
        " and not tgisinternal"
    ).fetchall()
    assert len(tables) > 5 < len(made)
    assert triggers
    for (name,) in (*tables, *made):
        assert all(f"'{name}'" in text for text in listed.values()), name
    for (name,) in triggers:
        assert f"'{name}'" in listed["missing_objects"], name


def test_a_restatement_of_another_server_opens_no_seal(
    warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """Its transaction's number will be one of this server's some day, and would pass the seal of that row."""
    superuser.execute(
        "insert into usage.restatements (rollup, period_start, key, after, reason, restated_at,"
        " transaction_id) values"
        " ('tokens_daily', '2026-01-01', '{\"user_id\": \"\"}', '{}', 'old', now(), '9999999')"
    )
    found = engine.status(warehouse, WANTED)
    assert found.waiting == ("rights (1 statement)",)
    assert engine.apply(warehouse) == ("rights (1 statement)",)
    assert superuser.execute("select transaction_id::text from usage.restatements").fetchall() == [("0",)]
    assert engine.status(warehouse, WANTED).is_current
    with warehouse.begin(Role.OWNER) as connection:
        assert not rights.needed(connection), "row-level security is forced again"


def test_who_else_our_roles_serve(server: Server, warehouse: Warehouse) -> None:
    """A login granted usage_writer for another product of the server may write here."""
    with cloned(server, TEMPLATE) as other, server.connect() as master:
        master.execute("create role other_product login")
        master.execute("grant usage_writer to other_product")
        try:
            found = health.neighbours(settings.load(), warehouse)
            assert found.ok, "advice is no error"
            assert other in found.found
            assert "other_product" in found.found
            assert found.fix is not None
            for statement in found.fix.splitlines():
                with server.connect() as owner:
                    owner.execute(statement.encode())
            apart = health.neighbours(settings.load(), warehouse)
            assert "no other login" in apart.found
            assert apart.fix is None
        finally:
            master.execute("drop role other_product")
    assert embedded.LOGIN in str(found.fix)


def test_the_printed_rights_settle_the_same(warehouse: Warehouse, superuser: psycopg.Connection) -> None:
    """Whoever has the right runs what `migrate sql` prints; on a sound database it runs nothing."""
    before = catalogue(superuser)
    superuser.execute(";".join(each for each in DRIFTS if "usage_writer" not in each).encode())
    superuser.execute(rights.script().encode())
    assert catalogue(superuser) == before
    versions = superuser.execute(VERSIONS.encode()).fetchall()
    superuser.execute(rights.script().encode())
    assert superuser.execute(VERSIONS.encode()).fetchall() == versions


def test_init_says_who_shares_our_roles(server: Server, database: str, verbs: Verbs, tmp_path: Path) -> None:
    url = server.url(database).set(drivername="postgresql").render_as_string()
    with cloned(server, TEMPLATE) as other:
        done = verbs("init", "--database-url", url, USAGE_HOME=str(tmp_path / "home"))
    assert done.code == 0, done
    (said,) = (line for line in done.said.splitlines() if line.startswith("our roles also serve"))
    assert other in said
