"""The embedded PostgreSQL of a stack: made, started, shared between commands, stopped by the last one.

The wheel brings the programs; we run them ourselves, on a Unix socket in a folder of mode 0700.
PostgreSQL refuses to run as root: there the data and a copy of the programs stand in a folder of
their own below `/var/lib`, owned by an unprivileged account.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import URL

from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse import apart, binaries, failures, postmaster, statements
from usage_pipeline.warehouse.binaries import Account

LOGIN: Final = "usage"
DATABASE: Final = "usage"
DAGSTER_DATABASE: Final = "dagster"
_LONGEST_SOCKET_FOLDER: Final = 85  # a socket's whole path must fit into 104 bytes on macOS, 108 on Linux
_CONFIGURATION: Final = """
listen_addresses = ''
unix_socket_permissions = 0700
timezone = 'UTC'
log_timezone = 'UTC'
client_connection_check_interval = '1s'
jit = off
"""
_OLD_SESSIONS: Final = "pre-existing shared memory block"
"""What a server says while sessions of one that was killed still work on its data; they end by themselves."""
_CHILDREN: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""Servers that this process started, so that it can see them end."""


@dataclass(frozen=True)
class Server:
    """One cluster: where its data, its programs and its socket stand, and who owns it."""

    home: Path
    folder: Path
    programs: Path
    sockets: Path
    account: Account | None
    options: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        return self.folder / apart.DATA

    @property
    def runnable_programs(self) -> Path:
        """The programs, where the server's account can enter."""
        return binaries.runnable(self.programs, self.folder, self.account)

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def url(self, database: str, *, login: str = LOGIN, driver: str = "psycopg") -> URL:
        return URL.create(
            f"postgresql+{driver}", username=login, database=database, query={"host": str(self.sockets)}
        )

    def connect(self, database: str = "postgres", login: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(host=str(self.sockets), user=login, dbname=database, autocommit=True)

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError), self.connect():
            return True
        return False


def of(home: Path, *, programs: Path | None = None, options: tuple[str, ...] = ()) -> Server:
    """The server of the stack in this folder; nothing is made yet. `options` go to its command line."""
    if os.name == "nt":
        raise Refusal(
            "the embedded server does not run on Windows",
            why="it listens on a Unix socket only",
            fix="set USAGE_DATABASE_URL to a PostgreSQL 15 or newer",
        )
    home = home.absolute()
    account = binaries.unprivileged_account() if os.geteuid() == 0 else None
    folder = home if account is None else apart.folder_of(_mark(home))
    sockets = folder / "run"
    if len(os.fsencode(sockets)) > _LONGEST_SOCKET_FOLDER:
        sockets = Path(tempfile.gettempdir()) / f"usage-{os.geteuid()}-{_mark(home)}"
    return Server(home, folder, programs or binaries.of_wheel(), sockets, account, options)


@contextmanager
def held(server: Server) -> Iterator[Server]:
    """The server runs while the body does; whoever leaves last stops it."""
    import fcntl

    server.home.mkdir(parents=True, exist_ok=True)
    _require_ours(server)  # refused, it leaves no trace, and what runs for others runs on
    with (
        (server.home / "starting.lock").open("w") as starting,
        (server.home / "users.lock").open("w") as users,
    ):
        fcntl.flock(starting, fcntl.LOCK_EX)
        try:  # an interrupt while it starts leaves no server either
            start(server)
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(starting, fcntl.LOCK_UN)
            yield server
        finally:
            fcntl.flock(starting, fcntl.LOCK_EX)
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stop(server)


def start(server: Server) -> None:
    """Make the cluster if there is none, start it if it does not answer, create our databases."""
    _require_ours(server)
    if server.answers():
        _create_databases(server)  # whoever started it may have been killed before this
        return
    _own_folders(server)
    if not server.data.exists():
        _initialise(server)
    for child in _CHILDREN.values():
        child.poll()  # one that was killed keeps its number until somebody asks
    _launch(server)
    _create_databases(server)


def stop(server: Server) -> None:
    """A fast shutdown: sessions end, the checkpoint is written, no process and no lock stay."""
    pid = postmaster.pid_of(server.data)
    if pid is None:
        return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + 30
    child = _CHILDREN.pop(pid, None)
    if child is not None:
        child.wait(30)
    while postmaster.pid_of(server.data) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.sockets.parent != server.folder:
        shutil.rmtree(server.sockets, ignore_errors=True)


def estranged(server: Server) -> Refusal | None:
    """Why the data at its place are not those of its home, if they are not."""
    return apart.estranged(server.home, server.folder) if server.account else None


def remove(server: Server) -> None:
    """Stop the server and delete its data, unless somebody uses it; as root only a folder with our marker."""
    import fcntl

    server.home.mkdir(parents=True, exist_ok=True)
    with (server.home / "users.lock").open("w") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                f"the data of {server.home} are in use",
                why="another command works on them",
                fix="wait for it, or stop it",
                exit_code=REFUSED,
            ) from None
        stop(server)
        if server.account is None:
            shutil.rmtree(server.data, ignore_errors=True)
            server.log.unlink(missing_ok=True)
        else:
            apart.remove(server.home, server.folder)


def _mark(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]


def _require_ours(server: Server) -> None:
    if server.account:
        apart.require_ours(server.home, server.folder)


def _own_folders(server: Server) -> None:
    if server.account is None:
        server.folder.mkdir(parents=True, exist_ok=True)
        server.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if server.sockets.stat().st_uid != os.geteuid():
            raise Refusal(
                f"{server.sockets} belongs to somebody else", fix="remove it, or use a shorter path"
            )
        server.sockets.chmod(0o700)
        return
    server.folder.mkdir(mode=0o755, exist_ok=True)
    _require_ours(server)
    server.folder.chmod(0o755)
    if not server.data.exists():
        apart.mark(server.home, server.folder)
    server.sockets.mkdir(mode=0o700, exist_ok=True)
    os.chown(server.sockets, server.account.uid, server.account.gid)
    server.log.touch()
    os.chown(server.log, server.account.uid, server.account.gid)


def _initialise(server: Server) -> None:
    """Into a draft that is renamed when whole: an interrupted first start leaves no half cluster."""
    draft = server.folder / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if server.account:
        os.chown(draft, server.account.uid, server.account.gid)
    command = [
        str(server.runnable_programs / "bin" / "initdb"),
        *("-D", str(draft), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
        *binaries.locale(server.programs),
        "--no-instructions",
    ]
    done = subprocess.run(
        command,
        cwd="/",
        env=binaries.environment(),
        capture_output=True,
        text=True,
        check=False,
        **binaries.identity(server.account),
    )
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise Refusal(
            "the embedded server's data could not be made",
            why=_reason(done.stderr),
            fix=f"see that {server.folder} has 100 MB of room and can be written, then run it again",
        )
    with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(_CONFIGURATION)
    draft.rename(server.data)


def _launch(server: Server) -> None:
    """Wait until it answers; start its process unless one is at it, as after a crash of its sessions."""
    deadline = time.monotonic() + 60
    already_said, process = len(_said(server, 0)), None
    while not server.answers():
        is_late = time.monotonic() > deadline
        runs = (process is not None and process.poll() is None) or postmaster.pid_of(server.data) is not None
        if is_late or not runs:
            said = _said(server, already_said)
            if is_late or (process is not None and _OLD_SESSIONS not in said):
                raise Refusal("the embedded server did not start", why=_reason(said), fix=f"see {server.log}")
            postmaster.forget_the_dead(server.data, server.sockets)
            already_said, process = _spawn(server)
        time.sleep(0.02)


def _spawn(server: Server) -> tuple[int, subprocess.Popen[bytes]]:
    """The server's process, and how long its log was before it said anything."""
    command = [
        str(server.runnable_programs / "bin" / "postgres"),
        *("-D", str(server.data), "-k", str(server.sockets)),
        *server.options,
    ]
    with server.log.open("a", encoding="utf-8") as log:
        already_said = log.tell()
        process = subprocess.Popen(
            command, cwd="/", env=binaries.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, **binaries.identity(server.account)
        )  # fmt: skip
    _CHILDREN[process.pid] = process
    return already_said, process


def _reason(said: str) -> str:
    """The line that tells why a program of PostgreSQL's gave up; the last one only tells that it did."""
    lines = said.strip().splitlines() or ["no word"]
    return next(
        (line for line in reversed(lines) if any(word in line for word in ("PANIC:", "FATAL:", "error:"))),
        lines[-1],
    )


def _said(server: Server, already: int) -> str:
    if not server.log.exists():
        return ""
    return server.log.read_bytes()[already:].decode(errors="replace")


def _create_databases(server: Server) -> None:
    with failures.told(f"at {server.sockets}"), server.connect() as connection:
        connection.execute(sql.SQL(statements.read("warehouse.sql", "create_login")))
        for database in (DATABASE, DAGSTER_DATABASE):
            create_database(connection, database, owner=LOGIN)


def create_database(
    connection: psycopg.Connection, name: str, *, owner: str, template: str = "template1"
) -> None:
    """Create a database unless it is there; its name is quoted, not pasted."""
    exists = statements.read("warehouse.sql", "database_exists")
    if connection.execute(exists.encode(), {"name": name}).fetchone() is None:
        text = sql.SQL(statements.read("warehouse.sql", "create_database"))
        connection.execute(
            text.format(
                name=sql.Identifier(name), owner=sql.Identifier(owner), template=sql.Identifier(template)
            )
        )
