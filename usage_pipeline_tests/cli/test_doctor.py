"""`doctor` by faults: a check is silent on a sound database, finds what it is for, and its fix mends it."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from usage_pipeline.demo import loading
from usage_pipeline.warehouse import capacity, connections, embedded, horizon
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.cli.test_poor_databases import url_of
from usage_pipeline_tests.conftest import TEMPLATE, ensure_template
from usage_pipeline_tests.factories import Chat, set_clock
from usage_pipeline_tests.servers import USUAL, Kind
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs
from usage_pipeline_tests.warehouse.test_poolers import folder_for_a_pooler, pooled

pytestmark = pytest.mark.command

START = date(2026, 1, 1)
SECRET = "canary-pa55word"  # noqa: S105 - the one to look for
NAMES = [
    "connection", "server", "roles", "neighbours", "clock", "dagster", "migrations", "first day",
    "stored rows", "source", "rights", "directory", "indexes", "older answers", "session totals",
    "messages", "sessions", "disk", "tuning",
]  # fmt: skip
WITHOUT_A_WAY_IN = [name for name in NAMES if name != "dagster"]
MESSAGES, SESSIONS = "public.chat_messages_v2", "public.conversation_sessions"


@dataclass(frozen=True)
class Examined:
    """What the doctor told a program."""

    done: Done

    @property
    def document(self) -> list[dict[str, str | bool | None]]:
        listed: list[dict[str, str | bool | None]] = json.loads(self.done.out)["data"]
        return listed

    @property
    def ill(self) -> list[str]:
        return [str(each["name"]) for each in self.document if not each["ok"]]

    def found(self, name: str) -> str:
        return str(self._one(name)["found"])

    def fix(self, name: str) -> str:
        return str(self._one(name)["fix"])

    def _one(self, name: str) -> dict[str, str | bool | None]:
        (one,) = (each for each in self.document if each["name"] == name)
        return one


Examine = Callable[..., Examined]


def examination(verbs: Verbs, url: str, **environment: str) -> Examined:
    """The doctor's document on the database of this URL; its exit code agrees with it."""
    given = {"USAGE_DATABASE_URL": url, "USAGE_CONNECTIONS": "1", "USAGE_START": str(START), **environment}
    examined = Examined(verbs("doctor", "--json", **given))
    assert examined.done.said == ""
    assert [each["name"] for each in examined.document] == NAMES
    assert all(set(each) == {"name", "ok", "found", "fix"} for each in examined.document)
    assert examined.done.code == (3 if examined.ill else 0)
    return examined


@pytest.fixture
def examine(verbs: Verbs, server: Server, database: str) -> Examine:
    """The doctor on this test's database."""

    def examined(**environment: str) -> Examined:
        return examination(verbs, url_of(server, database), **environment)

    return examined


@pytest.fixture
def owner(server: Server, database: str) -> Iterator[psycopg.Connection]:
    """The owner of the application's tables, who is our login as well."""
    with server.connect(database, embedded.LOGIN) as connection:
        yield connection


def follow(verbs: Verbs, url: str, fix: str, connection: psycopg.Connection) -> None:
    """Do what a fix says: its verbs as a person types them, its SQL as the owner runs it."""
    for line in fix.splitlines():
        program, *words = shlex.split(line)
        if program == "usage-pipeline":
            done = verbs(*words, USAGE_DATABASE_URL=url, USAGE_START=str(START))
            assert done.code == 0, done.said
        else:
            connection.execute(line.encode())


def test_a_sound_database(verbs: Verbs, server: Server, database: str, examine: Examine, chat: Chat) -> None:
    fresh = examine()
    assert (fresh.ill, fresh.found("messages")) == ([], "the source holds none yet")
    assert fresh.fix("messages") == "usage-pipeline sources shows which tables are read"
    chat.answer()
    found = examine()
    assert found.ill == []
    assert f"{database} at " in found.found("connection")
    assert found.found("connection").endswith(", directly")
    done = verbs("doctor", USAGE_DATABASE_URL=url_of(server, database), USAGE_START=str(START))
    assert (done.code, done.said) == (0, "")
    lines = done.out.splitlines()
    assert [line[:16].strip() for line in lines] == [f"✓ {name}" for name in NAMES]
    assert not [line for line in lines if "Fix" in line]


FAULTS = {
    "no index on the time": (
        "indexes", f"drop index {MESSAGES}_created_at",
        f"none begins with {MESSAGES} (created_at)",
        f"create index concurrently on {MESSAGES} (created_at);",
    ),
    "no index on the conversation": (
        "indexes", f"alter table {SESSIONS} drop constraint conversation_sessions_conversation_id_key",
        f"none begins with {SESSIONS} (conversation_id)",
        f"create index concurrently on {SESSIONS} (conversation_id);",
    ),
    "an index for other rows": (
        "indexes",
        f"drop index {MESSAGES}_created_at; create index on {MESSAGES} (created_at) where role = 'user'",
        f"none begins with {MESSAGES} (created_at)",
        f"create index concurrently on {MESSAGES} (created_at);",
    ),
    "row-level security without our policy": (
        "rights", f"alter table {MESSAGES} enable row level security",
        f"missing: create policy usage_reader_reads on {MESSAGES} for select to usage_reader using (true)",
        "usage-pipeline migrate apply",
    ),
    "a policy that hides rows": (
        "rights",
        f"alter table {SESSIONS} enable row level security;"
        f" create policy usage_reader_reads on {SESSIONS} for select to usage_reader using (true);"
        f" create policy usage_writer_reads on {SESSIONS} for select to usage_writer using (user_id is null)",
        f"our roles cannot read every row; missing: drop policy usage_writer_reads on {SESSIONS}, and 1 more",
        "usage-pipeline migrate apply",
    ),
    "a right that was taken back": (
        "rights", f"revoke all on {MESSAGES} from usage_writer",
        f"our roles cannot read every row; missing: grant select on {MESSAGES} to usage_writer",
        "usage-pipeline migrate apply",
    ),
    "a function that is missing": (
        "migrations",
        "set role usage_owner; drop function usage_private.tokens_of_window; reset role",
        "pending: functions of tokens_of_window", "usage-pipeline migrate apply",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_its_fix_mends_it(
    verbs: Verbs, server: Server, database: str, owner: psycopg.Connection, examine: Examine, fault: str
) -> None:
    name, statement, told, fix = FAULTS[fault]
    owner.execute(statement.encode())
    found = examine()
    assert found.ill == [name]
    assert told in found.found(name)
    assert found.fix(name) == fix
    follow(verbs, url_of(server, database), fix, owner)
    assert examine().ill == []


def test_a_person_reads_the_fix_below_the_finding(
    verbs: Verbs, server: Server, database: str, owner: psycopg.Connection
) -> None:
    owner.execute(f"drop index {MESSAGES}_created_at".encode())
    done = verbs("doctor", USAGE_DATABASE_URL=url_of(server, database), USAGE_START=str(START))
    assert done.code == 3
    assert f"! indexes        none begins with {MESSAGES} (created_at)\n  Fix: create index " in done.out


def test_what_only_the_owner_may_grant(
    verbs: Verbs, server: Server, database: str, owner: psycopg.Connection
) -> None:
    """`migrate apply` by a login without the right mends nothing; the statements are for the owner."""
    with server.connect() as connection:
        connection.execute("create role guest login")
        connection.execute("grant usage_owner, usage_writer, usage_retention, usage_reader to guest")
    try:
        owner.execute(f"alter table {MESSAGES} enable row level security".encode())
        found = examination(verbs, url_of(server, database).replace(embedded.LOGIN, "guest", 1))
        assert found.ill == ["rights"]
        assert "migrate apply" not in found.fix("rights")
        assert found.fix("rights").count("create policy") == 2
        follow(verbs, "", found.fix("rights"), owner)
        assert examination(verbs, url_of(server, database)).ill == []
    finally:
        with server.connect() as connection:
            connection.execute("drop role guest")


def test_a_restrictive_policy(owner: psycopg.Connection, examine: Examine) -> None:
    """Rights and our policies are all there, and rows are hidden all the same."""
    owner.execute(f"alter table {MESSAGES} enable row level security".encode())
    for role in ("usage_reader", "usage_writer"):
        text = f"create policy {role}_reads on {MESSAGES} for select to {role} using (true)"
        owner.execute(text.encode())
    owner.execute(f"create policy later on {MESSAGES} as restrictive using (role = 'user')".encode())
    found = examine()
    assert found.ill == ["rights"]
    assert "the restrictive policy `later` hides rows from usage_writer" in found.found("rights")
    assert found.fix("rights") == "exempt our roles from that policy"


STAND_INS = {
    "a view": (
        f"create view {MESSAGES} as table public.moved", "it has to stand on the table behind the view",
    ),
    "a partitioned table": (
        f"create table {MESSAGES} (like public.moved) partition by range (created_at)",
        f"create index on {MESSAGES} (created_at);",
    ),
}  # fmt: skip


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_what_no_index_is_made_on_concurrently(
    owner: psycopg.Connection, examine: Examine, stand_in: str
) -> None:
    """A statement that the server refuses is no fix."""
    statement, fix = STAND_INS[stand_in]
    owner.execute(f"alter table {MESSAGES} rename to moved".encode())
    owner.execute(statement.encode())
    found = examine()
    assert "indexes" in found.ill
    assert found.fix("indexes") == fix


def test_a_source_that_lacks_a_column(owner: psycopg.Connection, examine: Examine) -> None:
    owner.execute(f"alter table {MESSAGES} rename metadata to details".encode())
    found = examine()
    assert "source" in found.ill
    assert f"the source table {MESSAGES} has no column `metadata`" in found.found("source")
    assert "rights" not in found.ill, "one check that fails does not hide the others"


def test_answers_before_the_first_day(
    verbs: Verbs,
    server: Server,
    database: str,
    chat: Chat,
    examine: Examine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """They are in no partition and so in no number; the start that the fix names holds all of them."""
    for day in (30, 31):
        chat.answer(at=datetime(2025, 12, day, 9, tzinfo=UTC))
    monkeypatch.delenv("USAGE_START")
    monkeypatch.setenv("USAGE_HOME", str(tmp_path))
    url = url_of(server, database)
    assert verbs("sources", "start", str(START), USAGE_DATABASE_URL=url).code == 0
    found = examine()
    assert found.ill == ["older answers"]
    assert "2 lie before the first day, 2026-01-01" in found.found("older answers")
    assert found.fix("older answers") == "usage-pipeline sources start 2025-12-30"
    assert verbs(*found.fix("older answers").split()[1:], USAGE_DATABASE_URL=url).code == 0
    done = verbs("doctor", USAGE_DATABASE_URL=url)
    assert done.code == 0, done.out


def test_answers_that_are_declared_gone(chat: Chat, warehouse: Warehouse, examine: Examine) -> None:
    """Whoever purges raw rows up to a day has nothing to mend before it."""
    chat.answer(at=datetime(2025, 12, 31, 9, tzinfo=UTC))
    with warehouse.begin(Role.WRITER) as connection:
        horizon.declare(connection, "tokens", datetime(2026, 1, 1, tzinfo=UTC))
    assert examine().ill == []


@pytest.mark.parametrize(("minutes", "way"), [(-60, "behind"), (60, "ahead of")])
def test_two_clocks_that_disagree(chat: Chat, examine: Examine, minutes: int, way: str) -> None:
    set_clock(chat.connection, datetime.now(UTC) + timedelta(minutes=minutes))
    found = examine()
    assert found.ill == ["clock"]
    assert re.search(rf"is 3,(59\d|60\d) s {way} this machine's", found.found("clock"))


@pytest.mark.parametrize("seconds", [-2, 3])
def test_two_clocks_that_nearly_agree(chat: Chat, examine: Examine, seconds: int) -> None:
    set_clock(chat.connection, datetime.now(UTC) + timedelta(seconds=seconds))
    assert examine().ill == []


def test_a_login_that_may_not_become_our_roles(verbs: Verbs, server: Server, database: str) -> None:
    url = url_of(server, database).replace(embedded.LOGIN, "outsider", 1)
    with server.connect() as connection:
        connection.execute("create role outsider login")
        try:
            connection.execute("grant usage_reader to outsider")
            found = examination(verbs, url)
            assert "roles" in found.ill
            assert "outsider may not act as usage_owner, usage_writer" in found.found("roles")
            assert "usage_reader" not in found.fix("roles")
            follow(verbs, "", found.fix("roles"), connection)
            assert "roles" not in examination(verbs, url).ill
        finally:
            connection.execute("drop role outsider")


def test_a_superuser_need_not_be_one(verbs: Verbs, server: Server, database: str) -> None:
    found = examination(verbs, url_of(server, database).replace(embedded.LOGIN, "postgres", 1))
    assert found.ill == []
    assert found.found("roles").startswith("postgres may act as")
    assert found.found("roles").endswith("; it is a superuser, which is not needed")


def test_a_read_only_database(server: Server, database: str, examine: Examine) -> None:
    with server.connect() as connection:
        text = sql.SQL("alter database {} set default_transaction_read_only = on")
        connection.execute(text.format(sql.Identifier(database)))
    found = examine()
    assert found.ill == ["server"]
    assert "read-only by default_transaction_read_only" in found.found("server")


@pytest.mark.stack
def test_a_standby(verbs: Verbs, server_kind: Kind) -> None:
    """Reports run there; whoever means to compute learns that it is the wrong server."""
    with server_kind.started() as server:
        ensure_template(server)
        embedded.stop(server)
        (server.data / "standby.signal").touch()
        embedded.start(server)
        found = examination(verbs, url_of(server, TEMPLATE))
    assert found.ill == ["server"]
    assert "a standby: it can be read, and nothing can be computed" in found.found("server")


def test_a_database_that_admits_too_few(
    verbs: Verbs, server: Server, database: str, owner: psycopg.Connection, examine: Examine
) -> None:
    """A backfill that finds no session fails at night."""
    owner.execute(f"alter database {database} connection limit 5".encode())
    found = examine()
    assert found.ill == ["sessions"]
    assert found.found("sessions") == "the database allows 5, 4 are in use; 4 are left for us, who need 5"
    assert found.fix("sessions") == f"alter database {database} connection limit 6;"
    follow(verbs, "", found.fix("sessions"), owner)
    assert examine().ill == []


def test_a_login_that_is_admitted_too_rarely(verbs: Verbs, server: Server, examine: Examine) -> None:
    with server.connect() as connection:
        connection.execute(f"alter role {embedded.LOGIN} connection limit 3".encode())
        try:
            found = examine()
            assert found.ill == ["sessions"]
            assert found.found("sessions").startswith("the login allows 3, 3 are in use; 3 are left for us")
            follow(verbs, "", found.fix("sessions"), connection)
            assert examine().ill == []
        finally:
            connection.execute(f"alter role {embedded.LOGIN} connection limit -1".encode())


@pytest.mark.stack
def test_a_server_with_small_settings(verbs: Verbs, server_kind: Kind) -> None:
    """Too few sessions for Dagster's processes are a finding; what is only slow is advice."""
    options = ("max_connections=8", "shared_buffers=64MB", "max_wal_size=512MB")
    with server_kind.started(*(word for each in options for word in ("-c", each))) as server:
        ensure_template(server)
        url = url_of(server, TEMPLATE)
        found = examination(verbs, url)
        assert found.ill == []
        assert found.found("sessions").startswith("the server allows 5, 3 are in use; 5 are left for us")
        assert "shared_buffers 64MB, max_wal_size 512MB; with less of it" in found.found("tuning")
        assert "alter system set shared_buffers = '128MB';" in found.fix("tuning")
        shown = verbs("doctor", USAGE_DATABASE_URL=url, USAGE_CONNECTIONS="1", USAGE_START=str(START))
        assert "\n  Advice: alter system set max_wal_size = '1GB';" in shown.out
        crowded = examination(verbs, url, DAGSTER_PG_URL=url_of(server, embedded.DAGSTER_DATABASE))
        assert crowded.ill == ["sessions"]
        assert crowded.found("sessions").endswith("who need 15")
        assert "alter system set max_connections = 18;" in crowded.fix("sessions")


@pytest.mark.stack
def test_from_an_empty_server_to_a_sound_one(verbs: Verbs, server_kind: Kind) -> None:
    """Each step is the fix of the finding before it."""
    with server_kind.started() as server:
        url = url_of(server, embedded.DATABASE)
        empty = examination(verbs, url)
        assert "no source of tokens is in this database" in empty.found("source")
        with server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
            loading.create_application(connection)
        found = examination(verbs, url)
        assert found.found("roles").startswith("not made yet: usage_owner")
        fixes = {found.fix(each) for each in found.ill}
        assert fixes == {"usage-pipeline migrate apply"}
        shown = verbs("doctor", USAGE_DATABASE_URL=url, USAGE_START=str(START)).out
        assert shown.count("  Fix: usage-pipeline migrate apply\n") == shown.count("Fix: ") == 1
        waiting = "roles, clock, first day, stored rows, rights, directory, older answers, messages"
        assert f"! not yet        {waiting}: to be looked at once `usage-" in shown
        with server.connect() as connection:
            connection.execute("create role lodger login")
        poor = examination(verbs, url.replace(embedded.LOGIN, "lodger", 1))
        assert "this login may not make them (CREATEROLE" in poor.found("roles")
        assert poor.fix("roles").startswith("usage-pipeline migrate sql")
        assert verbs("migrate", "apply", USAGE_DATABASE_URL=url, USAGE_START=str(START)).code == 0
        assert examination(verbs, url).ill == []


@pytest.mark.stack
def test_an_embedded_server_without_room(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    with USUAL.started() as server:
        with server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
            loading.create_application(connection)
        given = {"USAGE_HOME": str(server.home), "USAGE_START": str(START)}
        assert verbs("migrate", "apply", **given).code == 0
        sound = verbs("doctor", **given)
        assert sound.code == 0, sound.out
        assert f"are free in {server.data}" in sound.out
        monkeypatch.setattr(capacity, "_LEAST_FREE", 2**60)
        full = verbs("doctor", **given)
        assert full.code == 3
        assert "\n  Fix: make room there, 1,073,741,824.0 GB or more" in full.out


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("transaction", "what is stored can be read and no more"),
        ("statement", "keeps no transaction together"),
    ],
)
def test_a_pooler_that_shares_sessions(
    verbs: Verbs, server: Server, database: str, mode: str, told: str
) -> None:
    with folder_for_a_pooler() as folder, pooled(server, database, folder, mode) as url:
        found = examination(verbs, url.render_as_string())
    assert "a connection pooler" in found.found("connection")
    assert "port 5432 instead of 6543" in found.fix("connection")
    assert told in found.found("connection")
    assert found.ill == (["connection"] if mode == "transaction" else WITHOUT_A_WAY_IN)


def test_a_pooler_that_keeps_sessions(verbs: Verbs, server: Server, database: str) -> None:
    with folder_for_a_pooler() as folder, pooled(server, database, folder, "session") as url:
        found = examination(verbs, url.render_as_string())
    assert found.ill == []
    assert found.found("connection").endswith("through a pooler that keeps sessions")


def test_a_database_that_is_not_there(verbs: Verbs) -> None:
    """A finding like any other, without the password that did not help."""
    found = examination(verbs, f"postgresql://somebody:{SECRET}@127.0.0.1:1/app")
    assert "the database app at 127.0.0.1:1 cannot be reached" in found.found("connection")
    assert "check that it runs" in found.fix("connection")
    assert found.ill == WITHOUT_A_WAY_IN
    shown = verbs("doctor", USAGE_DATABASE_URL=f"postgresql://somebody:{SECRET}@127.0.0.1:1/app")
    lines = [line.split()[:2] for line in shown.out.splitlines()]
    assert lines == [["!", "connection"], ["Fix:", "check"], ["✓", "dagster"], ["!", "not"]]
    assert SECRET not in shown.out
    assert SECRET not in found.done.out


def test_no_password_is_printed(verbs: Verbs, server: Server, database: str) -> None:
    """The fixes name logins and databases, never more of a URL."""
    for text in (url_of(server, database), url_of(server, database).replace(embedded.LOGIN, "postgres", 1)):
        url = re.sub(r"//(\w+)", rf"//\1:{SECRET}", text, count=1)
        dagster = f"postgresql://somebody:{SECRET}@127.0.0.1:1/dagster"
        found = examination(verbs, url, DAGSTER_PG_URL=dagster)
        assert found.ill == ["dagster"]
        assert "dagster at 127.0.0.1:1, cannot be reached" in found.found("dagster")
        assert SECRET not in found.done.out


def test_a_server_that_is_too_old(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OLDEST_SERVER", 99)
    found = examine()
    assert "is too old: version 99 or newer is needed" in found.found("connection")


def test_session_totals_that_can_no_longer_be_kept(
    verbs: Verbs, server: Server, database: str, owner: psycopg.Connection, examine: Examine, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = {"USAGE_DATABASE_URL": url_of(server, database), "USAGE_START": str(START)}
    monkeypatch.setenv("USAGE_HOME", str(tmp_path))
    owner.execute(f"drop index {MESSAGES}_conversation".encode())
    assert examine().ill == [], "nothing searches by it"
    assert verbs("sources", "enable", "session-totals", **given).code == 0
    found = examine()
    assert found.ill == ["indexes"]
    follow(verbs, "", found.fix("indexes"), owner)
    assert examine().found("session totals") == f"on; {SESSIONS}.total_tokens_used is kept true"
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("USAGE_SESSION_TOTALS", "off")
        assert examine().found("session totals") == "off in the settings, on in the database"
    owner.execute(
        b"create function public.touch() returns trigger language plpgsql as 'begin return new; end'"
    )
    owner.execute(
        f"create trigger touches before update on {SESSIONS} for each row execute function touch()".encode()
    )
    found = examine()
    assert found.ill == ["session totals"]
    assert "fires its trigger touches" in found.found("session totals")


def test_nothing_is_written(server: Server, database: str, examine: Examine) -> None:
    """Every transaction tells the server that it only reads; the server's own log is asked."""
    with server.connect() as connection:
        text = sql.SQL("alter database {} set log_statement = 'all'")
        connection.execute(text.format(sql.Identifier(database)))
    already = server.log.stat().st_size
    assert examine().ill == []
    said = server.log.read_bytes()[already:].decode()
    began = re.findall(r": (begin.*)", said, re.IGNORECASE)
    assert len(began) > len(NAMES)
    assert set(began) == {"BEGIN READ ONLY"}


def test_a_url_that_cannot_be_used_is_refused(verbs: Verbs) -> None:
    """That is no state of a database: the usual line, and nothing on standard output."""
    refused(verbs("doctor", USAGE_DATABASE_URL="mysql://host/app"), 2, "USAGE_DATABASE_URL cannot be used")


def test_no_stack_is_refused(verbs: Verbs, tmp_path: Path) -> None:
    refused(verbs("doctor", USAGE_HOME=str(tmp_path / "none")), 1, "there is no stack in")
