"""The way there, the way back, and the way by hand: each leaves exactly the same catalogue."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier
from typing import Final

import psycopg
import pytest

from usage_pipeline.demo import loading
from usage_pipeline.engine.functions import of_window
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.rollups import functions
from usage_pipeline.sources import access, directory
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.migrations import engine, state
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import cloned, migrate
from usage_pipeline_tests.servers import Kind

WANTED = functions.wanted(SUPABASE_CHAT)
NAMES = tuple(file.name for file in WANTED)
REVISIONS = state.revisions()
CATALOGUE: Final = Path(__file__).with_name("catalogue.sql").read_bytes()
ROLES = [role.value for role in Role if role is not Role.LOGIN]
Catalogue = dict[tuple[str, str], str]


@dataclass(frozen=True)
class Bare:
    """A database with nothing of ours on a server without our roles, and the application's login."""

    server: Server
    name: str
    warehouse: Warehouse

    def catalogue(self) -> Catalogue:
        with self.server.connect(self.name) as connection:
            rows = connection.execute(CATALOGUE).fetchall()
        return {(kind, name): definition for kind, name, definition in rows}

    def add_application(self) -> None:
        with self.server.connect(self.name, embedded.LOGIN) as connection:
            loading.create_application(connection)


@pytest.fixture(scope="module")
def virgin_server(server_kind: Kind) -> Iterator[Server]:
    """A server on which no migration of another test has left our roles."""
    with server_kind.started() as found:
        yield found


@pytest.fixture
def bare(virgin_server: Server) -> Iterator[Bare]:
    with untouched(virgin_server) as found:
        yield found


@contextmanager
def untouched(virgin_server: Server) -> Iterator[Bare]:
    """A new database, and our roles gone when it goes."""
    with cloned(virgin_server, "template1") as name:
        warehouse = Warehouse(virgin_server.url(name))
        yield Bare(virgin_server, name, warehouse)
        warehouse.dispose()
    with virgin_server.connect() as connection:
        for role in ROLES:
            connection.execute(psycopg.sql.SQL("drop role if exists {}").format(psycopg.sql.Identifier(role)))


@pytest.fixture
def applied(bare: Bare) -> Bare:
    """The same with the application's tables and everything of ours."""
    bare.add_application()
    migrate(bare.warehouse)
    return bare


def of_ours(catalogue: Catalogue) -> list[tuple[str, str]]:
    return [key for key in catalogue if "usage" in key[1] or "usage" in catalogue[key]]


def test_an_ordinary_login_applies_everything(bare: Bare) -> None:
    """Who needs a superuser for it cannot use a hosted database."""
    with bare.server.connect(bare.name, embedded.LOGIN) as connection:
        assert connection.execute("select usesuper from pg_user where usename = current_user").fetchall() == [
            (False,)
        ]
    before = engine.status(bare.warehouse, WANTED)
    assert (before.current, before.pending, before.outdated) == (None, REVISIONS, NAMES)
    assert not before.is_current
    assert of_ours(bare.catalogue()) == [("role", "usage")]
    assert engine.apply(bare.warehouse) == REVISIONS
    between = engine.status(bare.warehouse, WANTED)
    assert (between.current, between.pending, between.outdated) == (state.number(REVISIONS[-1]), (), NAMES)
    bare.add_application()
    assert engine.install(bare.warehouse, WANTED) == NAMES
    after = engine.status(bare.warehouse, WANTED)
    assert (after.pending, after.outdated, after.is_current) == ((), (), True)


def test_looking_changes_nothing(bare: Bare) -> None:
    before = bare.catalogue()
    engine.status(bare.warehouse, WANTED)
    assert bare.catalogue() == before


def test_every_revision_leads_back_to_where_it_came_from(bare: Bare) -> None:
    """A way down that forgets a grant or a function is found when somebody needs it."""
    stands = [bare.catalogue()]
    for name in REVISIONS:
        assert engine.apply(bare.warehouse, to=state.number(name)) == (name,)
        stands.append(bare.catalogue())
    for step in range(len(REVISIONS) - 1, 0, -1):
        engine.roll_back(bare.warehouse, WANTED, to=state.number(REVISIONS[step - 1]))
        assert bare.catalogue() == stands[step]
        assert engine.apply(bare.warehouse) == REVISIONS[step:]
        assert bare.catalogue() == stands[-1]
        engine.roll_back(bare.warehouse, WANTED, to=state.number(REVISIONS[step - 1]))
    engine.roll_back(bare.warehouse, WANTED)
    bare.warehouse.dispose()
    assert bare.catalogue() == stands[0]
    assert engine.apply(bare.warehouse) == REVISIONS
    assert bare.catalogue() == stands[-1]


def test_the_way_back_leaves_nothing_of_ours(applied: Bare) -> None:
    """With rows, partitions and functions in place, as after a year of use."""
    with applied.warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql(
            "select usage_private.ensure_partitions(each, '2026-01-01', '2026-06-01')"
            " from unnest(array['daily', 'weekly', 'monthly', 'yearly']) each"
        )
        connection.exec_driver_sql(
            "insert into usage.user_token_usage (period_type, period_start, user_id, period_end)"
            " values ('daily', '2026-03-04', gen_random_uuid(), '2026-03-05')"
        )
        connection.exec_driver_sql(
            "insert into usage.rollup_ledger (rollup, period_start, period_end)"
            " values ('tokens_daily', '2026-03-04', '2026-03-05')"
        )
    engine.roll_back(applied.warehouse, WANTED)
    applied.warehouse.dispose()
    left = applied.catalogue()
    assert [key for key in left if key[0] in ("schema", "function")] == []
    assert [key for key in left if key[1].startswith(("usage.", "usage_"))] == [
        ("role", role) for role in ("usage_reader", "usage_writer")
    ]


def test_the_clock_is_plain_sql(applied: Bare) -> None:
    """A clock that looks for a table of the tests is slow, and whoever may make that table may set it."""
    with applied.server.connect(applied.name) as connection:
        found = connection.execute(
            "select language.lanname, clock.prosrc, clock.provolatile, clock.proparallel, clock.proconfig"
            " from pg_proc clock join pg_language language on language.oid = clock.prolang"
            " where clock.oid = 'usage_private.now()'::regprocedure"
        ).fetchall()
    assert found == [("sql", "select pg_catalog.clock_timestamp()", "s", "s", None)]


def test_applying_again_changes_nothing(applied: Bare) -> None:
    before = applied.catalogue()
    assert engine.apply(applied.warehouse) == ()
    assert engine.install(applied.warehouse, WANTED) == ()
    assert applied.catalogue() == before


@pytest.mark.parametrize("roles_stand", [False, True])
def test_some_that_apply_at_once(bare: Bare, roles_stand: bool) -> None:
    """Containers of one deployment start together: the others wait and find nothing to do."""
    if roles_stand:
        engine.apply(bare.warehouse)
        engine.roll_back(bare.warehouse, WANTED, to="0001")
        with bare.warehouse.begin(Role.OWNER) as connection:
            connection.exec_driver_sql("drop schema usage, usage_private, usage_parts cascade")
    bare.add_application()
    others = [Warehouse(bare.server.url(bare.name)) for _ in range(4)]
    ready = Barrier(len(others))

    def apply(other: Warehouse) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with other.begin(Role.LOGIN) as connection:
            connection.exec_driver_sql("select 1")
        ready.wait(10)
        return engine.apply(other), engine.install(other, WANTED)

    with ThreadPoolExecutor(len(others)) as pool:
        done = list(pool.map(apply, others))
    for other in others:
        other.dispose()
    assert sorted(revisions for revisions, _ in done) == [(), (), (), REVISIONS]
    assert sorted(files for _, files in done) == [(), (), (), NAMES]
    assert engine.status(bare.warehouse, WANTED).is_current


def test_a_second_database_of_the_server_shares_the_roles(applied: Bare) -> None:
    """Roles belong to the server: the first database must not lose them when the second is undone."""
    with cloned(applied.server, "template1") as name:
        second = Bare(applied.server, name, Warehouse(applied.server.url(name)))
        before = second.catalogue()
        assert engine.apply(second.warehouse) == REVISIONS
        engine.roll_back(second.warehouse, WANTED)
        second.warehouse.dispose()
        assert second.catalogue() == before
    assert engine.status(applied.warehouse, WANTED).is_current


TOKENS_OF_WINDOW: Final = of_window(TOKENS)


def edited(file: FunctionFile, old: str, new: str) -> FunctionFile:
    """A function file as the next release might bring it."""
    assert old in file.text
    return replace(file, made=file.text.replace(old, new, 1))


def test_an_edited_function_file_is_seen_and_installed(applied: Bare) -> None:
    """New code over old functions would compute something that neither of them means."""
    wanted = (SUPABASE_CHAT.functions, edited(TOKENS_OF_WINDOW, "select", "select -- as before\n"))
    assert engine.status(applied.warehouse, wanted).outdated == (TOKENS_OF_WINDOW.name,)
    assert engine.install(applied.warehouse, wanted) == (TOKENS_OF_WINDOW.name,)
    assert engine.status(applied.warehouse, wanted).is_current
    assert engine.install(applied.warehouse, WANTED) == (TOKENS_OF_WINDOW.name,)
    assert engine.status(applied.warehouse, WANTED).is_current


def test_a_function_may_change_its_columns_and_arguments(applied: Bare) -> None:
    """`create or replace` refuses new columns, and new arguments would leave the old function beside it."""
    before = applied.catalogue()
    columns = edited(
        SUPABASE_CHAT.functions,
        "returns table (event_id text, occurred_at timestamptz, reason text)",
        "returns table (event_id text, occurred_at timestamptz, reason varchar)",
    )
    arguments = edited(TOKENS_OF_WINDOW, "only_user uuid\n", "only_user uuid, why text default ''\n")
    changed = (SUPABASE_CHAT.functions.name, TOKENS_OF_WINDOW.name)
    assert engine.install(applied.warehouse, (columns, arguments)) == changed
    functions_now = [name for kind, name in applied.catalogue() if kind == "function"]
    signatures = [name for name in functions_now if "tokens_of_window" in name]
    assert len(signatures) == 1
    assert signatures[0].endswith("uuid,text)")
    assert engine.install(applied.warehouse, WANTED) == changed
    assert applied.catalogue() == before


@pytest.mark.parametrize(
    "change",
    [
        "comment on function usage.token_events(timestamptz, timestamptz) is 'mine'",
        "comment on function usage.token_events(timestamptz, timestamptz) is null",
        "drop function usage.token_strays()",
        "create or replace function usage_private.token_tables() returns table (name text)"
        " language sql immutable parallel safe as 'select null::text'",
    ],
)
def test_a_function_that_is_not_its_file_is_installed_again(applied: Bare, change: str) -> None:
    """A body replaced by hand keeps its comment: the file's hash alone would call it ours."""
    before = applied.catalogue()
    with applied.warehouse.begin(Role.OWNER) as connection:
        connection.exec_driver_sql(change)
    assert engine.status(applied.warehouse, WANTED).outdated == (SUPABASE_CHAT.functions.name,)
    assert engine.install(applied.warehouse, WANTED) == (SUPABASE_CHAT.functions.name,)
    assert applied.catalogue() == before


def test_a_function_file_that_fails_changes_nothing(applied: Bare) -> None:
    """The old functions are dropped first: a slip must not leave a day without them."""
    before = applied.catalogue()
    broken = edited(TOKENS_OF_WINDOW, "owned.user_id,", "owned.nobody_has_this,")
    with pytest.raises(Exception, match="nobody_has_this"):
        engine.install(applied.warehouse, (SUPABASE_CHAT.functions, broken))
    assert applied.catalogue() == before


@pytest.mark.parametrize("person", [embedded.LOGIN, "postgres"])
def test_the_printed_sql_does_what_apply_does(virgin_server: Server, person: str) -> None:
    """Where somebody with the right runs it, the next `apply` of the login must find nothing to do."""
    with untouched(virgin_server) as bare:
        bare.add_application()
        with bare.warehouse.begin(Role.LOGIN) as connection:
            grants = [grant.statement for grant in access.grants(connection, SUPABASE_CHAT)]
            for_names = [grant.statement for grant in directory.grants(connection, SUPABASE_CHAT)]
        with bare.server.connect(bare.name, person) as session:
            session.execute(engine.script(grants, WANTED, embedded.LOGIN, for_names).encode())
        by_hand = bare.catalogue()
        assert engine.status(bare.warehouse, WANTED).is_current
        assert engine.apply(bare.warehouse) == ()
        assert engine.install(bare.warehouse, WANTED) == ()
    with untouched(virgin_server) as bare:
        bare.add_application()
        migrate(bare.warehouse)
        made = bare.catalogue()
    differing = {
        kind for kind, name in {*made, *by_hand} if made.get((kind, name)) != by_hand.get((kind, name))
    }
    assert differing == (set() if person == embedded.LOGIN else {"member"}), "whoever ran it gave the roles"
