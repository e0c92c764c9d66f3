"""A name never blocks a number: the directory in every shape, from nothing and between runs."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
from sqlalchemy import Connection

from usage_pipeline.demo import loading
from usage_pipeline.refusals import Refusal
from usage_pipeline.serving import lines, people, read
from usage_pipeline.sources import directory
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.failures import ConnectionLost, TooSlow
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.statements import driver
from usage_pipeline_tests.cli.test_poor_databases import url_of
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import NOON, Chat
from usage_pipeline_tests.verbs import Verbs

DAY: Final = NOON.date()
NAME: Final = "Ada Lovelace"
RECREATED: Final = """
create table public.people as select id, split_part(full_name, ' ', 1) as first_name,
  split_part(full_name, ' ', 2) as last_name from public.profiles;
drop table public.profiles cascade;
alter table public.people rename to profiles;
"""
SHAPES: Final = {
    "full name": "",
    "first and last name": """
alter table public.profiles add column first_name text, add column last_name text;
update public.profiles
set first_name = split_part(full_name, ' ', 1), last_name = split_part(full_name, ' ', 2);
alter table public.profiles drop column full_name;
""",
    "renamed": "alter table public.profiles rename column full_name to display_name",
    "recreated without grants": RECREATED,
    "absent": "drop table public.profiles cascade",
}
NAMED: Final = ("full name", "first and last name", "renamed")
each_shape = pytest.mark.parametrize("shape", SHAPES)


def change(server: Server, database: str, shape: str) -> None:
    """By a superuser, who then owns what is recreated: our login may grant nothing on it."""
    with server.connect(database) as connection:
        connection.execute(SHAPES.get(shape, shape).encode())


@pytest.fixture
def theirs(server: Server) -> Iterator[str]:
    """The application's database with nothing of ours."""
    with cloned(server, "template1") as name:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
        yield name


def with_usage(connection: psycopg.Connection) -> tuple[UUID, UUID]:
    """A user with a name and one answer; the user, and the conversation."""
    chat = Chat(connection)
    session = chat.session(user_id=(user := chat.user(NAME)))
    chat.answer(conversation_id=session.conversation_id)
    return user, session.conversation_id


def run(warehouse: Warehouse) -> None:
    from usage_pipeline_tests.rollups.launching import launch, tokens_daily  # warns of a beta when imported

    with dg.DagsterInstance.ephemeral() as instance:
        done = launch(tokens_daily, instance, warehouse, DAY, DAY)
        failures = [str(event.step_failure_data.error) for event in done.get_step_failure_events()]
        assert done.success, failures


def shows(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch, url: str, user: UUID, shape: str, tokens: int
) -> None:
    """Every way to read shows the numbers; by name where there is one, else by id."""
    label = NAME if shape in NAMED else str(user)
    for who in ([], ["--user", str(user)], *([["--user", "lovelace"]] if shape in NAMED else [])):
        words = ("usage", "tokens", "--from", str(DAY), "--to", str(DAY), *who)
        table = verbs(*words, USAGE_DATABASE_URL=url)
        assert table.code == 0, table.said
        assert label in table.out or not who
        found = json.loads(verbs(*words, "--json", USAGE_DATABASE_URL=url).out)
        assert found["data"]["totals"]["total_tokens"] == tokens
        assert (str(user) if who else label) in json.dumps(found)
    monkeypatch.setenv("USAGE_DATABASE_URL", url)
    frame = read("tokens_daily", str(DAY), by=["user"])
    assert list(frame["user"]) == [label]
    assert list(frame["total_tokens"]) == [tokens]
    if shape not in NAMED:
        done = verbs("usage", "tokens", "--user", "lovelace", USAGE_DATABASE_URL=url)
        assert done.code == 1
        assert done.said.startswith("users cannot be searched by name now: the directory of names "), (
            done.said
        )
        assert done.said.endswith("Fix: give an id to --user: usage-pipeline usage tokens shows them\n")


@each_shape
def test_from_nothing(
    server: Server, theirs: str, verbs: Verbs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shape: str
) -> None:
    """The application as it is today: whoever begins now gets every number."""
    with server.connect(theirs, embedded.LOGIN) as connection:
        user, _ = with_usage(connection)
    change(server, theirs, shape)
    url = url_of(server, theirs)
    shown = verbs("init", USAGE_DATABASE_URL=url, USAGE_HOME=str(tmp_path / "home"))
    assert shown.code == 0, shown.said
    assert ("grant select on public.profiles to usage_reader" in shown.said) == (shape != "absent")
    applied = verbs("migrate", "apply", USAGE_DATABASE_URL=url)
    assert applied.code == 0, applied.said
    lacks = "grant select on public.profiles to usage_reader;" in applied.said
    assert lacks == (shape == "recreated without grants"), applied.said
    status = verbs("migrate", "status", USAGE_DATABASE_URL=url)
    assert status.code == 0, status.said
    assert ("(for names only)" in status.out) == lacks
    warehouse = Warehouse(server.url(theirs))
    run(warehouse)
    warehouse.dispose()
    shows(verbs, monkeypatch, url, user, shape, 15)


@each_shape
def test_between_runs(
    server: Server, database: str, warehouse: Warehouse, verbs: Verbs, monkeypatch: pytest.MonkeyPatch,
    shape: str,
) -> None:  # fmt: skip
    """Whatever becomes of the names overnight, late rows are counted and read; nobody migrates."""
    url = url_of(server, database)
    with server.connect(database, embedded.LOGIN) as connection:
        user, conversation = with_usage(connection)
        run(warehouse)
        shows(verbs, monkeypatch, url, user, "full name", 15)
        change(server, database, shape)
        shows(verbs, monkeypatch, url, user, shape, 15)
        Chat(connection).answer(conversation_id=conversation, at=NOON + timedelta(hours=1))
    run(warehouse)
    shows(verbs, monkeypatch, url, user, shape, 30)


REPORTED: Final = {
    "full name": (0, "1 of 1 users have a label, from full_name", ""),
    "first and last name": (0, "1 of 1 users have a label, from first_name, last_name", ""),
    "renamed": (0, "1 of 1 users have a label, from display_name", ""),
    "recreated without grants": (
        3, "usage_reader has no select on it; users show by id",
        "grant select on public.profiles to usage_reader;",
    ),
    "absent": (0, "public.profiles does not exist: users show by id", ""),
    "alter table public.profiles drop column full_name": (
        0, "public.profiles has no id with a column that names a user: users show by id", "",
    ),
    "drop table public.profiles cascade;"
    " create view public.profiles as select gen_random_uuid() as id, (1 / 0)::text as name;"
    " grant select on public.profiles to usage_reader": (
        3, "reading it fails: division by zero; users show by id", "repair public.profiles",
    ),
    "alter table public.profiles enable row level security": (
        3, "the policy `usage_reader_reads` is missing or altered; users show by id", "migrate apply",
    ),
    "drop function usage_private.user_labels()": (3, "migrations are pending", "migrate apply"),
}  # fmt: skip
"""By shape: how `sources` ends, what it and `doctor` say, and the fix."""


@pytest.mark.parametrize("shape", REPORTED)
def test_sources_and_doctor_report_it(server: Server, database: str, verbs: Verbs, shape: str) -> None:
    """Somebody who sees ids instead of names has to learn why, and who can change it."""
    code, said, fix = REPORTED[shape]
    with server.connect(database, embedded.LOGIN) as connection:
        with_usage(connection)
    change(server, database, shape)
    url = url_of(server, database)
    sources = verbs("sources", USAGE_DATABASE_URL=url)
    assert sources.code == code, sources.said
    assert said in sources.out
    assert fix in sources.out
    assert '"obstacle"' in verbs("sources", "--json", USAGE_DATABASE_URL=url).out
    (line, *more) = verbs("doctor", USAGE_DATABASE_URL=url).out.partition(" directory ")[2].splitlines()
    assert said in line
    assert fix in more[0] or not fix
    assert more[0].startswith("  Fix: ") == bool(fix)


def labels(connection: psycopg.Connection) -> dict[UUID, str | None]:
    rows = connection.execute("select user_id, label from usage.user_directory()").fetchall()
    return dict(rows)


@pytest.mark.parametrize("mode", ["auto", "force_custom_plan", "force_generic_plan"])
def test_one_session_follows_every_change(chat: Chat, server: Server, database: str, mode: str) -> None:
    """A connection pool lives for weeks: a plan that it kept must not outlive the table."""
    user = chat.user(NAME)
    with server.connect(database, embedded.LOGIN) as session:
        session.execute("set role usage_reader")
        session.execute("select set_config('plan_cache_mode', %s, false)", [mode])
        for statement, expected in (
            ("select 1", {user: NAME}),
            ("alter table public.profiles add column display_name text default 'Ada'", {user: NAME}),
            ("alter table public.profiles drop column full_name", {user: "Ada"}),
            ("alter table public.profiles add column first_name text default 'A.'", {user: "A."}),
            ("alter table public.profiles alter column first_name type varchar(9)", {user: "A."}),
            ("alter table public.profiles rename to gone", {}),
            ("create table public.profiles (id text, email text)", {}),
            ("grant select on public.profiles to usage_reader", {}),
            ("insert into public.profiles values ('7', 'x')", {}),
            ("insert into public.profiles select id::text, 'a@b.c' from auth.users", {user: "a@b.c"}),
            ("alter table public.profiles enable row level security", {}),
            ("drop table public.profiles", {}),
            ("alter table public.gone rename to profiles", {user: "A."}),
        ):
            chat.connection.execute(statement.encode())
            for _ in range(2):
                assert labels(session) == expected, statement


def test_the_first_name_that_is_not_empty_is_the_label(
    chat: Chat, superuser: psycopg.Connection, warehouse: Warehouse
) -> None:
    """In this order, user by user: a column of blanks names nobody."""
    chat.connection.execute("drop table public.profiles cascade")
    chat.connection.execute(
        "create table public.profiles (id text, full_name text, first_name text, last_name text,"
        " display_name varchar, username name, name jsonb, email text)"
    )
    chat.connection.execute("grant select on public.profiles to usage_reader")
    rows = (
        (("Ada L.", "Ada", "Lovelace", "ada", "al", '"A"', "a@b.c"), "Ada L."),
        ((" ", " Ada ", "Lovelace", "ada", "al", '"A"', "a@b.c"), "Ada Lovelace"),
        ((None, None, "Lovelace", "ada", "al", '"A"', "a@b.c"), "Lovelace"),
        (("", "Ada", "", "ada", "al", '"A"', "a@b.c"), "Ada"),
        (("", "", " ", "ada", "al", '"A"', "a@b.c"), "ada"),
        ((None, None, None, None, "al", '"A"', "a@b.c"), "al"),
        ((None, None, None, None, None, '"A"', "a@b.c"), '"A"'),
        ((None, None, None, None, None, None, "a@b.c"), "a@b.c"),
        ((None, None, None, None, None, None, None), None),
    )
    expected = {uuid4(): label for _, label in rows}
    for user, (values, _) in zip(expected, rows, strict=True):
        text = str(user).upper() if len(values[0] or "") else user.hex
        chat.connection.execute(
            "insert into public.profiles values (%s, %s, %s, %s, %s, %s, %s, %s)", [text, *values]
        )
    chat.connection.execute(
        "insert into public.profiles (id, email) values ('7', 'x'), (null, 'y'), ('', '')"
    )
    with warehouse.begin(Role.READER) as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        assert labels(raw) == expected
    state = directory.read(warehouse, SUPABASE_CHAT)
    assert (state.user_count, state.labelled_count) == (9, 8)


COUNTING: Final = (
    "create sequence public.reads",
    "alter table public.profiles rename to persons",
    "create view public.profiles as select person.* from public.persons person,"
    " (select nextval('public.reads') as number offset 0) counted where counted.number > 0",
    "grant select on public.profiles to usage_reader",
    "grant usage on sequence public.reads to public",
)
"""A view that counts how often it is read."""


def test_a_statement_reads_the_directory_once(chat: Chat, warehouse: Warehouse) -> None:
    """Once a user would be as many scans of the table as it has users."""
    users = [chat.user(NAME) for _ in range(3)]
    for each in users:
        chat.answer(conversation_id=chat.session(user_id=each).conversation_id)
    run(warehouse)
    for statement in COUNTING:
        chat.connection.execute(statement.encode())
    looks: list[Callable[[Connection], object]] = [
        lambda connection: lines.by_user(connection, DAY, DAY),
        lambda connection: people.person(connection, str(users[0])),
    ]
    for look in looks:
        chat.connection.execute("select setval('public.reads', 1)")
        with warehouse.begin(Role.READER) as connection:
            look(connection)
        assert chat.connection.execute("select last_value from public.reads").fetchone() == (2,)


def test_a_locked_table_costs_names_and_a_second(chat: Chat, server: Server, database: str) -> None:
    """The application's own DDL may hold it for minutes, and readers of numbers would pile up behind."""
    chat.user(NAME)
    with (
        server.connect(database) as other,
        server.connect(database, embedded.LOGIN) as session,
        other.transaction(),
    ):
        other.execute("lock table public.profiles in access exclusive mode")
        session.execute("set role usage_reader")
        session.execute("set lock_timeout = '60s'")
        assert labels(session) == {}
        assert session.execute("show lock_timeout").fetchone() == ("1min",)


SLOW: Final = """
drop table public.profiles cascade;
create view public.profiles as select gen_random_uuid() as id, pg_sleep(30)::text as name;
grant select on public.profiles to usage_reader;
"""
ASSERTING: Final = """
drop table public.profiles cascade;
create function public.named() returns text language plpgsql as $$ begin assert false, 'no'; end $$;
create view public.profiles as select gen_random_uuid() as id, public.named() as name;
grant select on public.profiles to usage_reader;
"""
FAILING: Final = {
    "slow": SLOW,
    "asserting": ASSERTING,
    "unknown": "drop function usage.user_directory(); drop function usage_private.user_labels()",
}


def test_a_cancelled_reader_is_cancelled(warehouse: Warehouse, server: Server, database: str) -> None:
    """A handler that catches everything would hide that somebody stopped the statement."""
    change(server, database, SLOW)
    with pytest.raises(TooSlow), warehouse.begin(Role.READER) as connection:
        look(connection, milliseconds=50)


def look(connection: Connection, *, milliseconds: int) -> None:
    statements.run(connection, "warehouse.sql", "limit_time", milliseconds=milliseconds)
    statements.run(connection, "serving.sql", "labels", user_ids=[uuid4()])


@pytest.mark.parametrize("failure", FAILING)
def test_a_directory_that_fails_costs_names_alone(
    server: Server, database: str, verbs: Verbs, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """Every way to read shows its numbers by id, and waits for the directory no longer than its limit."""
    monkeypatch.setattr(people, "_PATIENCE_MS", 200)
    with server.connect(database, embedded.LOGIN) as connection:
        user, _ = with_usage(connection)
    warehouse = Warehouse(server.url(database))
    run(warehouse)
    warehouse.dispose()
    change(server, database, FAILING[failure])
    change(server, database, RESTATED.format(user))
    url = url_of(server, database)
    shows(verbs, monkeypatch, url, user, failure, 15)
    for words in ((), ("--kept",)):
        done = verbs("restatements", *words, "--user", str(user), "--json", USAGE_DATABASE_URL=url)
        (row,) = json.loads(done.out)["data"]
        assert (row["user_id"], row["label"]) == (str(user), None)


RESTATED: Final = """
insert into usage.restatements (rollup, period_start, key, after, reason, restated_at)
select
  rollup, period_start, jsonb_build_object('user_id', '{0}'), jsonb_build_object('message_count', 1), 'test',
  now()
from usage.rollup_ledger where rollup = 'tokens_daily';
update usage.rollup_ledger
set kept = jsonb_build_object('{0}', jsonb_build_object('message_count', 1, 'total_tokens', 1))
where rollup = 'tokens_daily';
"""


def test_a_failed_assert_leaves_the_directory_empty(
    warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """`others` catches every error but this one and a cancelled statement."""
    superuser.execute(ASSERTING.encode())
    with warehouse.begin(Role.READER) as connection:
        assert statements.run(connection, "serving.sql", "labels", user_ids=[uuid4()]).all() == []


def test_a_connection_lost_with_the_names_is_reported_as_lost(
    chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """What could be read no further must not pass for a user without a name."""
    user = chat.user(NAME)
    with warehouse.begin(Role.READER) as connection:
        session = driver(connection).info.backend_pid
    with pytest.raises(ConnectionLost), warehouse.begin(Role.READER) as connection:
        look_after(
            lambda: superuser.execute("select pg_terminate_backend(%s, 5000)", [session]), connection, user
        )


def look_after(happens: Callable[[], object], connection: Connection, user: UUID) -> None:
    happens()
    people.labels(connection, [user])


def test_only_an_answer_of_the_directory_denies_an_id(
    chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has no usage yet may be computed by id, whatever becomes of names."""
    monkeypatch.setattr(people, "_PATIENCE_MS", 200)
    known, unnamed, unknown = chat.user(NAME), chat.user(""), uuid4()
    with warehouse.begin(Role.READER) as connection:
        assert people.person(connection, str(known)).label == NAME
        assert people.person(connection, str(unnamed)).label is None
        with pytest.raises(Refusal, match="no user is called"):
            people.person(connection, str(unknown))
    superuser.execute(SLOW.encode())
    with warehouse.begin(Role.READER) as connection:
        assert people.person(connection, str(unknown)) == people.Person(unknown, None)


def test_the_limit_of_names_ends_with_them(
    chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction reads on with the limit it had, whether there were names or not."""
    assert 0 < people._PATIENCE_MS <= 5_000, "0 means no limit"
    monkeypatch.setattr(people, "_PATIENCE_MS", 200)
    ada, other = chat.user(NAME), chat.user("Grace")
    for expected in ({ada: NAME}, {}):
        with warehouse.begin(Role.READER) as connection:
            statements.run(connection, "warehouse.sql", "limit_time", milliseconds=9000)
            assert people.labels(connection, [ada, None, people.NOBODY]) == expected
            assert driver(connection).execute("show statement_timeout").fetchone() == ("9s",)
        superuser.execute(SLOW.encode() if expected else b"select 1")
    assert other


def test_no_statement_of_numbers_names_the_directory() -> None:
    """Joined to it, a number waits as long as the application's view takes."""
    folder = files("usage_pipeline.serving.sql")
    naming = {
        each.name
        for each in folder.iterdir()
        if "user_directory" in each.read_text() or "user_labels" in each.read_text()
    }
    assert naming == {"labels.sql", "people.sql"}
