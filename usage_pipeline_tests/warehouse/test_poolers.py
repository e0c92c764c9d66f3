"""PgBouncer between us and the server: in session mode all is well, in the others our role would leak."""

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
from usage_pipeline.warehouse import binaries, embedded
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.embedded import Server
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
def pooled(server: Server, database: str, folder: Path, mode: str, takes_turns: int = 0) -> Iterator[URL]:
    """The database through a pooler of this mode; says so where PgBouncer is not installed."""
    if not PGBOUNCER.exists():
        pytest.skip(f"no {PGBOUNCER}; apt-get install pgbouncer brings it")
    upstream, port = server.url(database), free_port()
    host = upstream.host or upstream.query["host"]
    (folder / "users").write_text(f'"{embedded.LOGIN}" ""\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=host, server_port=upstream.port or 5432, port=port,
            folder=folder, mode=mode, takes_turns=takes_turns,
        ),
        encoding="utf-8",
    )  # fmt: skip
    url = upstream.set(host=LOOPBACK, port=port, query={})
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
        host=url.host, port=url.port, user=url.username, dbname=url.database,
        autocommit=True, prepare_threshold=None,
    )  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can enter."""
    with tempfile.TemporaryDirectory(prefix="usage-pooler-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def require_refused(url: URL) -> None:
    warehouse = Warehouse(url)
    with pytest.raises(Refusal, match="shares sessions") as caught, warehouse.begin(Role.WRITER):
        pass
    warehouse.dispose()
    assert caught.value.exit_code == REFUSED
    assert "session mode (Supabase: port 5432 instead of 6543)" in caught.value.fix


@pytest.mark.parametrize("takes_turns", [0, 1])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused_and_nothing_leaks(
    server: Server, database: str, folder: Path, mode: str, takes_turns: int
) -> None:
    """A role set on a shared session goes on to whoever comes next: our rights, or an empty search path."""
    with pooled(server, database, folder, mode, takes_turns) as url, client(url) as one, client(url) as two:
        with ThreadPoolExecutor(2) as pool:  # so that there are two sessions to hand out
            list(pool.map(lambda each: each.execute("select pg_sleep(0.1)"), (one, two)))
        require_refused(url)
        for _ in range(4):
            settled = one.execute("select current_user::text, current_setting('search_path')").fetchone()
            assert settled == (embedded.LOGIN, '"$user", public')


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
