"""Who may do what: nobody but the owner on a partition, every role only what it was given, for good."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import NOON, Chat, tokens_of
from usage_pipeline_tests.rollups.test_tokens import run

PERIOD_TYPES = ("daily", "weekly", "monthly", "yearly")
PARTITION = "usage_parts.user_token_usage_daily_2026_03"
USAGE = "usage.user_token_usage"
LEDGER = "usage.rollup_ledger"
BACKFILLS = "usage.backfills"
ROLES = (Role.WRITER, Role.READER, Role.RETENTION)
ROW = (
    "insert into {table} (period_type, period_start, user_id, period_end)"
    " values ('daily', '2026-03-04', gen_random_uuid(), '2026-03-05')"
)
TOUCHES = {
    "select": "select from {table}",
    "insert": ROW,
    "update": "update {table} set message_count = 0",
    "delete": "delete from {table}",
    "truncate": "truncate {table}",
}


@pytest.fixture(scope="module")
def made_warehouse(server: Server) -> Iterator[Warehouse]:
    """With a partition of every period type; its tests leave it as it is."""
    with cloned(server, TEMPLATE) as name:
        found = Warehouse(server.url(name))
        with found.begin(Role.WRITER) as connection:
            for period_type in PERIOD_TYPES:
                make_partitions(connection, period_type, NOON, NOON + timedelta(days=1))
        yield found
        found.dispose()


def make_partitions(connection: Connection, period_type: Any, first: Any, until: Any) -> int:
    """How many partitions were missing."""
    made = statements.run(
        connection, "rollups.sql", "ensure_partitions", period_type=period_type, first=first, until=until
    ).scalar_one()
    assert isinstance(made, int)
    return made


def rows(connection: Connection, text: str, **binds: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(text), binds)]


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_a_partition(made_warehouse: Warehouse, role: Role, touch: str) -> None:
    """Rights and policies of the parent are not asked for a statement that names the partition itself."""
    statement = TOUCHES[touch].replace("{table}", PARTITION)
    with pytest.raises(Refusal, match=r"42501.*usage_parts"), made_warehouse.begin(role) as connection:
        connection.execute(sa.text(statement))


@pytest.mark.parametrize("role", ROLES)
def test_no_role_empties_a_table(made_warehouse: Warehouse, role: Role) -> None:
    """`truncate` asks no policy and fires no row trigger."""
    for table in (USAGE, LEDGER):
        with pytest.raises(Refusal, match="42501"), made_warehouse.begin(role) as connection:
            connection.execute(sa.text(TOUCHES["truncate"].replace("{table}", table)))


@pytest.mark.parametrize("role", [Role.READER, Role.RETENTION])
@pytest.mark.parametrize("table", [USAGE, LEDGER])
def test_a_reading_role_writes_nothing(made_warehouse: Warehouse, role: Role, table: str) -> None:
    """A reader that may write is a writer that nobody audits."""
    insert = (
        ROW
        if table == USAGE
        else "insert into {table} (rollup, period_start, period_end) values ('x', now(), 'infinity')"
    )
    change = "update {table} set period_end = period_end"
    for touch in (insert, change, TOUCHES["delete"]):
        with pytest.raises(Refusal, match="42501"), made_warehouse.begin(role) as connection:
            connection.execute(sa.text(touch.replace("{table}", table)))


def test_a_reading_role_makes_no_partitions(made_warehouse: Warehouse) -> None:
    """The function runs as the owner: whoever may call it changes the schema."""
    for role in (Role.READER, Role.RETENTION):
        with pytest.raises(Refusal, match="42501"), made_warehouse.begin(role) as connection:
            make_partitions(connection, "daily", NOON, NOON + timedelta(days=1))


def test_the_rights_of_each_role_are_these_and_no_more(made_warehouse: Warehouse) -> None:
    """A right nobody listed is a right nobody looks after."""
    with made_warehouse.begin(Role.LOGIN) as connection:
        found = rows(
            connection,
            "select relation.oid::regclass::text, held.grantee::regrole::text,"
            " string_agg(lower(held.privilege_type), ', ' order by held.privilege_type)"
            " from pg_class relation cross join aclexplode(relation.relacl) held"
            " where relation.relnamespace in"
            "   ('usage'::regnamespace, 'usage_private'::regnamespace, 'usage_parts'::regnamespace)"
            "   and held.grantee <> relation.relowner"
            " group by 1, 2 order by 1, 2",
        )
        schemas = rows(
            connection,
            "select schema.nspname::text, held.grantee::regrole::text, held.privilege_type"
            " from pg_namespace schema cross join aclexplode(schema.nspacl) held"
            " where schema.nspname like 'usage%' and held.grantee <> schema.nspowner order by 1, 2",
        )
        columns = rows(
            connection,
            "select attribute.attrelid::regclass::text, held.grantee::regrole::text,"
            " lower(held.privilege_type), string_agg(attribute.attname, ', ' order by attribute.attname)"
            " from pg_attribute attribute cross join aclexplode(attribute.attacl) held"
            " where attribute.attrelid::regclass::text like 'usage%' group by 1, 2, 3",
        )
    assert columns == [
        (
            "usage.restatements", "usage_writer", "insert",
            "after, before, key, period_start, reason, restated_at, rollup, run_id",
        ),
    ], "nobody names the transaction that a change is recorded for"  # fmt: skip
    assert found == [
        *_read_by_all(BACKFILLS, writer="insert, select, update"),
        *_read_by_all("usage.restatements", writer="select"),
        *_read_by_all(LEDGER, writer="delete, insert, select, update"),
        *_read_by_all("usage.rollup_policy", writer="insert, select, update"),
        *_read_by_all("usage.source_horizon", writer="insert, select, update"),
        (USAGE, "usage_reader", "select"),
        (USAGE, "usage_writer", "delete, insert, select, update"),
        *_read_by_all("usage_private.schema_version", writer="select"),
    ]
    assert schemas == [
        (schema, role, "USAGE")
        for schema in ("usage", "usage_private")
        for role in ("usage_reader", "usage_retention", "usage_writer")
    ]


def _read_by_all(table: str, *, writer: str) -> list[tuple[str, str, str]]:
    reading = [(table, role, "select") for role in ("usage_reader", "usage_retention")]
    return [*reading, (table, "usage_writer", writer)]


def test_a_ledger_row_is_deleted_only_while_nothing_was_computed(chat: Chat, warehouse: Warehouse) -> None:
    """A run makes the row it locks and takes it back if there was nothing to compute; what is known stays."""
    chat.answer()
    run(warehouse)
    deletion = "delete from usage.rollup_ledger returning rollup"
    with warehouse.begin(Role.WRITER) as connection:
        assert rows(connection, deletion) == []
        connection.exec_driver_sql(
            "insert into usage.rollup_ledger (rollup, period_start, period_end) values"
            " ('x', now(), 'infinity')"
        )
        assert rows(connection, deletion) == [("x",)]


def test_everything_of_ours_belongs_to_the_owner(made_warehouse: Warehouse) -> None:
    """A table that belongs to the login obeys no policy for whoever logs in."""
    with made_warehouse.begin(Role.LOGIN) as connection:
        owners = rows(
            connection,
            "select relowner::regrole::text from pg_class"
            " where relnamespace::regnamespace::text like 'usage%'"
            " union select proowner::regrole::text from pg_proc"
            " where pronamespace::regnamespace::text like 'usage%'"
            " union select nspowner::regrole::text from pg_namespace where nspname like 'usage%'",
        )
    assert owners == [("usage_owner",)]


def test_row_security_is_enabled_and_forced_on_every_table(made_warehouse: Warehouse) -> None:
    """One partition without it, and its rows are open to whoever is let in to it later."""
    with made_warehouse.begin(Role.LOGIN) as connection:
        found = rows(
            connection,
            "select oid::regclass::text, relrowsecurity and relforcerowsecurity from pg_class"
            " where relkind in ('r', 'p') and relnamespace in"
            " ('usage'::regnamespace, 'usage_parts'::regnamespace)",
        )
    tables = {str(name) for name, _ in found}
    assert {LEDGER, BACKFILLS, USAGE, PARTITION, "usage_parts.user_token_usage_yearly_2026"} <= tables
    assert len(tables) == 6 + 2 * len(PERIOD_TYPES)
    assert [name for name, is_forced in found if not is_forced] == []


def test_no_function_of_ours_is_everybodys(made_warehouse: Warehouse) -> None:
    """PostgreSQL lets everybody execute a new function until somebody says no."""
    with made_warehouse.begin(Role.LOGIN) as connection:
        found = rows(
            connection,
            "select oid::regprocedure::text, has_function_privilege('public', oid, 'execute') from pg_proc"
            " where pronamespace in ('usage'::regnamespace, 'usage_private'::regnamespace)",
        )
    assert len(found) > 10
    assert [name for name, is_public in found if is_public] == []


def test_a_function_that_runs_as_the_owner_finds_only_what_it_names(made_warehouse: Warehouse) -> None:
    """An empty path is no protection: pg_temp, left out, comes first, and holds what the caller made."""
    with made_warehouse.begin(Role.LOGIN) as connection:
        found = rows(
            connection,
            "select proname::text, 'search_path=pg_catalog, pg_temp' = any (proconfig) from pg_proc"
            " where prosecdef and pronamespace::regnamespace::text like 'usage%'",
        )
    assert found == [("ensure_partitions", True)]


def test_a_callers_type_does_not_run_as_the_owner(made_warehouse: Warehouse) -> None:
    """A temporary type named like a variable's would run the caller's check with the owner's rights."""
    with made_warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql("create temp table who (name text)")
        connection.exec_driver_sql("grant all on who to public")
        connection.exec_driver_sql(
            "create function pg_temp.evil(value pg_catalog.text) returns boolean language plpgsql as $$"
            " begin insert into pg_temp.who values (current_user); return true; end $$"
        )
        connection.exec_driver_sql(
            "create domain pg_temp.text as pg_catalog.text check (pg_temp.evil(value::pg_catalog.text))"
        )
        connection.exec_driver_sql(
            "select usage_private.ensure_partitions("
            "'daily', '2026-03-01 00:00:00+00'::timestamptz, '2026-03-02 00:00:00+00'::timestamptz)"
        )
        names = rows(connection, "select name::pg_catalog.text from pg_temp.who")
    assert ("usage_owner",) not in names


def test_the_owner_sees_no_row(chat: Chat, warehouse: Warehouse) -> None:
    """What runs as the owner must not touch rows: it would see none, and make no noise about it."""
    chat.answer()
    run(warehouse)
    for table in (USAGE, LEDGER):
        for role, expected in ((Role.OWNER, 0), (Role.WRITER, 1), (Role.READER, 1)):
            with warehouse.begin(role) as connection:
                assert len(rows(connection, "select from {table}".replace("{table}", table))) == expected


SESSION = (
    "select current_user::text, current_setting('TimeZone'), current_setting('lock_timeout'),"
    " current_setting('plan_cache_mode'), current_setting('search_path'),"
    " current_setting('idle_in_transaction_session_timeout'), pg_catalog.pg_backend_pid()"
)


@pytest.mark.parametrize("role", [Role.OWNER, *ROLES])
def test_a_session_stays_who_it_is(warehouse: Warehouse, role: Role) -> None:
    """A rollback that undid the role would leave the session with all the rights of the login."""
    patience = "5min" if role is Role.WRITER else "10s"
    settled = (role.value, "UTC", patience, "force_custom_plan", "", "5min")
    with warehouse.begin(role) as connection:
        ((*first, session),) = rows(connection, SESSION)
    assert tuple(first) == settled
    with pytest.raises(Refusal, match="22012"), warehouse.begin(role) as connection:
        connection.execute(sa.text("select 1 / 0"))
    with warehouse.engine(role).connect() as connection:
        assert rows(connection, SESSION) == [(*settled, session)]
        connection.rollback()
        assert rows(connection, SESSION) == [(*settled, session)]
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(sa.text("select 1 / 0"))
        connection.rollback()
        assert rows(connection, SESSION) == [(*settled, session)]
        connection.execute(sa.text("set local role none"))
    with warehouse.begin(role) as connection:
        assert rows(connection, SESSION) == [(*settled, session)]


def test_the_login_is_not_the_owner_by_accident(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.LOGIN) as connection:
        assert rows(connection, "select current_user::text, session_user::text") == [
            (embedded.LOGIN, embedded.LOGIN)
        ]
        assert rows(connection, "select rolsuper, rolbypassrls from pg_roles where rolname = current_user")[
            0
        ] == (False, False)


def test_four_that_make_the_same_partitions_at_once(server: Server) -> None:
    """Each looks, finds nothing and creates: without a lock in between three of them fail."""
    with cloned(server, TEMPLATE) as database:
        warehouse = Warehouse(server.url(database), connections=4)
        ready = Barrier(4)

        def make(_: int) -> int:
            with warehouse.begin(Role.WRITER) as connection:
                rows(connection, "select 1")
                ready.wait(10)
                return make_partitions(
                    connection, "daily", datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
                )

        with ThreadPoolExecutor(4) as pool:
            made = sorted(pool.map(make, range(4)))
        with warehouse.begin(Role.WRITER) as connection:
            again = make_partitions(
                connection, "daily", datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
            )
        warehouse.dispose()
    assert made == [0, 0, 0, 24]
    assert again == 0


def test_new_partitions_wait_for_no_reader_and_no_writer(warehouse: Warehouse) -> None:
    """An open report or a long run would hold up every run of a new month."""
    with warehouse.begin(Role.WRITER) as making:
        make_partitions(making, "daily", NOON, NOON + timedelta(days=1))
    with warehouse.begin(Role.READER) as reading, warehouse.begin(Role.WRITER) as writing:
        rows(reading, "select from usage.user_token_usage")
        writing.execute(sa.text(ROW.replace("{table}", USAGE)))
        with warehouse.begin(Role.WRITER) as making:
            making.execute(sa.text("set local lock_timeout = '1s'"))
            assert make_partitions(making, "daily", NOON + timedelta(days=60), NOON + timedelta(days=61)) == 1


@pytest.mark.parametrize(
    ("period_type", "first", "last", "names"),
    [
        ("daily", (2025, 12, 31), (2026, 2, 1), ["2025_12", "2026_01", "2026_02"]),
        ("weekly", (2025, 12, 29), (2026, 1, 5), ["2025", "2026"]),
        ("monthly", (2025, 12, 1), (2026, 1, 1), ["2025", "2026"]),
        ("yearly", (2024, 1, 1), (2026, 1, 1), ["2024", "2025", "2026"]),
    ],
)
def test_the_first_and_the_last_row_of_a_window_find_their_partition(
    server: Server,
    database: str,
    period_type: str,
    first: tuple[int, int, int],
    last: tuple[int, int, int],
    names: list[str],
) -> None:
    """Bounds made in the caller's time zone would leave a gap at midnight UTC."""
    starts = [datetime(*each, tzinfo=UTC) for each in (first, last)]
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute("set role usage_writer")
        connection.execute("set timezone = 'Pacific/Auckland'")
        made = connection.execute(
            "select usage_private.ensure_partitions(%s, %s, %s)",
            [period_type, starts[0], starts[1] + timedelta(microseconds=1)],
        ).fetchone()
        for start in starts:
            connection.execute(
                "insert into usage.user_token_usage (period_type, period_start, user_id, period_end)"
                " values (%s, %s, gen_random_uuid(), %s)",
                [period_type, start, start + timedelta(days=1)],
            )
        found = connection.execute(
            "select tableoid::regclass::text from usage.user_token_usage order by period_start"
        ).fetchall()
    assert made == (len(names),)
    prefix = f"usage_parts.user_token_usage_{period_type}_"
    assert [name for (name,) in found] == [prefix + names[0], prefix + names[-1]]


@pytest.mark.parametrize(
    ("period_type", "first", "until"),
    [
        ("hourly", NOON, NOON + timedelta(days=1)),
        ("daily; drop table x", NOON, NOON + timedelta(days=1)),
        (None, NOON, NOON + timedelta(days=1)),
        ("daily", None, NOON),
        ("daily", NOON, None),
        ("daily", NOON, NOON),
        ("daily", NOON, NOON - timedelta(days=1)),
        ("daily", datetime(1998, 12, 31, tzinfo=UTC), NOON),
        ("daily", "-infinity", NOON),
        ("daily", NOON, "infinity"),
        ("yearly", NOON, datetime(4711, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_window_that_makes_no_sense_makes_no_partitions(
    warehouse: Warehouse, period_type: object, first: object, until: object
) -> None:
    """One wrong argument must not cost a million tables."""
    with pytest.raises(Refusal, match="22023"), warehouse.begin(Role.WRITER) as connection:
        make_partitions(connection, period_type, first, until)
    with warehouse.begin(Role.LOGIN) as connection:
        assert rows(connection, "select from pg_inherits where inhparent::regclass::text like '%daily'") == []


def test_a_run_says_that_a_partition_is_missing(chat: Chat, warehouse: Warehouse) -> None:
    """Without its partition a day is refused as a whole, and nothing of it stays."""
    from usage_pipeline_tests.rollups.test_tokens import DAY

    chat.answer()
    with pytest.raises(Refusal, match="no partition of relation"):
        tokens_of(Grain.DAILY).compute(warehouse, DAY, "test")
    with warehouse.begin(Role.READER) as connection:
        assert rows(connection, "select from usage.rollup_ledger") == []
