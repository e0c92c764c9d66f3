"""PgBouncer before the server: by session all is well, by transaction one reads; else our role would leak."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import psycopg
import pytest
from sqlalchemy import URL

from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.serving import people
from usage_pipeline.warehouse import binaries, embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.failures import Pending
from usage_pipeline.warehouse.poolers import Mode
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.rollups.test_tokens import run
from usage_pipeline_tests.servers import LOOPBACK, free_port

PGBOUNCER = Path("/usr/sbin/pgbouncer")
CONFIGURATION = """
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
server_round_robin = {takes_turns}
default_pool_size = 5
"""


@contextmanager
def pooled(
    server: Server, database: str, folder: Path, mode: str, takes_turns: int = 0, password: str = "",
    login: str = embedded.LOGIN,
) -> Iterator[URL]:  # fmt: skip
    """The database through a pooler of this mode; says so where PgBouncer is not installed."""
    if not PGBOUNCER.exists():
        pytest.skip(f"no {PGBOUNCER}; apt-get install pgbouncer brings it")
    upstream, port = server.url(database), free_port()
    host = upstream.host or upstream.query["host"]
    (folder / "users").write_text(f'"{login}" "{password}"\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=host, server_port=upstream.port or 5432, port=port,
            folder=folder, mode=mode, takes_turns=takes_turns,
        ),
        encoding="utf-8",
    )  # fmt: skip
    url = upstream.set(username=login, password=password or None, host=LOOPBACK, port=port, query={})
    command = [str(PGBOUNCER), "--quiet", "pgbouncer.ini"]
    process = subprocess.Popen(
        command, cwd=folder, env=binaries.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        **binaries.identity(server.account),
    )  # fmt: skip
    try:
        wait_for(url)
        yield url
    finally:
        process.kill()
        process.wait(10)


def wait_for(url: URL) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError), client(url):
            return
        time.sleep(0.02)
    raise AssertionError("PgBouncer does not answer")


def client(url: URL) -> psycopg.Connection:
    """Some other program that uses the same pooler."""
    return psycopg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database,
        autocommit=True, prepare_threshold=None,
    )  # fmt: skip


@contextmanager
def folder_for_a_pooler() -> Iterator[Path]:
    """One that the server's account can enter."""
    with tempfile.TemporaryDirectory(prefix="usage-pooler-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_a_pooler() as found:
        yield found


def require_refused(url: URL, role: Role = Role.WRITER) -> None:
    warehouse = Warehouse(url)
    with pytest.raises(Refusal, match="shares sessions") as caught, warehouse.begin(role):
        pass
    warehouse.dispose()
    assert caught.value.exit_code == REFUSED
    assert "session mode (Supabase: port 5432 instead of 6543)" in caught.value.fix


def have_two_sessions(*clients: psycopg.Connection) -> None:
    """At work at once they need one each, which the pooler then has to hand out."""
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(lambda each: each.execute("select pg_sleep(0.1)"), clients))


@pytest.mark.parametrize("takes_turns", [0, 1])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused_and_nothing_leaks(
    server: Server, database: str, folder: Path, mode: str, takes_turns: int
) -> None:
    """A role set on a shared session goes on to whoever comes next: our rights, or an empty search path."""
    with pooled(server, database, folder, mode, takes_turns) as url, client(url) as one, client(url) as two:
        have_two_sessions(one, two)
        require_refused(url)
        for _ in range(4):
            settled = one.execute("select current_user::text, current_setting('search_path')").fetchone()
            assert settled == (embedded.LOGIN, '"$user", public')


FAILING = (("select 1 / 0", "division by zero"), ("delete from public.profiles", "is read-only"))
SETTLED = b"""
select current_user::text, current_setting('search_path'), current_setting('timezone'),
  current_setting('statement_timeout'), current_setting('transaction_read_only'),
  (select count(*) from pg_prepared_statements)
"""


@pytest.mark.parametrize("takes_turns", [0, 1])
def test_by_transaction_one_reads_and_nothing_stays_behind(
    chat: Chat, server: Server, database: str, folder: Path, takes_turns: int
) -> None:
    """Each transaction may be in another session, and each session is somebody else's a moment later."""
    user = chat.user("Ada")
    chat.answer()
    server_side = Warehouse(server.url(database))
    run(server_side)
    server_side.dispose()
    with server.connect() as connection:
        for setting in ("timezone = 'Asia/Tokyo'", "statement_timeout = '90s'"):
            connection.execute(f"alter database {database} set {setting}".encode())
    with pooled(server, database, folder, "transaction", takes_turns) as url, client(url) as other:
        with client(url) as another:
            have_two_sessions(other, another)
        before = other.execute(SETTLED).fetchone()
        assert before == (embedded.LOGIN, '"$user", public', "Asia/Tokyo", "90s", "off", 0)
        warehouse = Warehouse(url)
        for _ in range(8):  # the driver prepares what it is asked the sixth time
            with warehouse.begin(Role.READER) as connection:
                settled = connection.exec_driver_sql(SETTLED.decode()).one()
                count = connection.exec_driver_sql("select count(*) from usage.user_token_usage").scalar_one()
                assert people.labels(connection, [user]) == {user: "Ada"}
            assert tuple(settled) == (Role.READER.value, "", "UTC", "0", "on", 0)
            assert count == 1
            assert other.execute(SETTLED).fetchone() == before
        for statement, told in FAILING:
            with pytest.raises(Refusal, match=told), warehouse.begin(Role.READER) as connection:
                connection.exec_driver_sql(statement)
            assert other.execute(SETTLED).fetchone() == before
        assert warehouse.pooler is Mode.TRANSACTION
        warehouse.dispose()
        require_refused(url)
        require_refused(url, Role.LOGIN)


def test_by_statement_nobody_reads(server: Server, database: str, folder: Path) -> None:
    """The role would be gone before the question is asked."""
    with pooled(server, database, folder, "statement") as url:
        require_refused(url, Role.READER)


def test_a_reader_that_is_not_there_yet(server: Server, database: str, folder: Path) -> None:
    """What is told behind a pooler is what is told directly."""
    with pooled(server, database, folder, "transaction") as url, server.connect() as connection:
        connection.execute("alter role usage_reader rename to usage_reader_gone")
        try:
            for each in (server.url(database), url):
                warehouse = Warehouse(each)
                with pytest.raises(Pending, match="usage_reader"), warehouse.begin(Role.READER):
                    pass
                warehouse.dispose()
        finally:
            connection.execute("alter role usage_reader_gone rename to usage_reader")


def test_a_pooler_is_recognised_while_others_use_it(server: Server, database: str, folder: Path) -> None:
    """Alone, a pooler always hands out the session used last; that others come between must not hide it."""
    ended = Event()

    def disturb() -> None:
        with client(url) as other:
            while not ended.is_set():
                other.execute("select 1")

    with pooled(server, database, folder, "transaction") as url, ThreadPoolExecutor(3) as pool:
        try:
            disturbing = [pool.submit(disturb) for _ in range(3)]
            for _ in range(10):
                require_refused(url)
        finally:
            ended.set()
        for each in disturbing:
            each.result(10)


def test_a_pooler_that_keeps_sessions_works(chat: Chat, server: Server, database: str, folder: Path) -> None:
    chat.answer()
    with pooled(server, database, folder, "session") as url:
        warehouse = Warehouse(url)
        assert run(warehouse).entry.source_rows == 1
        for role in (Role.WRITER, Role.READER, Role.OWNER):
            with warehouse.engine(role).connect() as connection:
                connection.exec_driver_sql("select 1")
                connection.rollback()
                found = connection.exec_driver_sql("select current_user::text").scalar_one()
                assert found == role.value
        warehouse.dispose()
        with client(url) as other:
            assert other.execute("select current_user::text").fetchone() == (embedded.LOGIN,)


def test_without_a_pooler_nothing_is_asked(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof costs a second session: whoever comes directly must not pay for it."""
    monkeypatch.setattr("usage_pipeline.warehouse.poolers.shares_sessions", None)
    with warehouse.begin(Role.WRITER) as connection:
        assert connection.exec_driver_sql("select current_user::text").scalar_one() == Role.WRITER.value
