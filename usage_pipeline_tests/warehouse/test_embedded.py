"""The embedded server: shared, stopped by the last, started again after whatever happened to it."""

import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import apart, binaries, embedded, postmaster
from usage_pipeline.warehouse.embedded import Server

pytestmark = pytest.mark.stack

FAST = ("-c", "fsync=off")  # safe enough where the machine itself is not switched off

HOLDER = """
import sys, time
from pathlib import Path
from usage_pipeline.warehouse import binaries, embedded
with embedded.held(embedded.of(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of these tests alone."""
    found = embedded.of(tmp_path_factory.mktemp("embedded") / "home", options=FAST)
    embedded.remove(found)  # a killed test's, below a folder of the same name
    try:
        embedded.start(found)
        yield found
    finally:
        embedded.remove(found)


@pytest.fixture
def server(made: Server) -> Iterator[Server]:
    """Made before, not running, without notes of another test."""
    embedded.start(made)
    with made.connect(embedded.DATABASE, embedded.LOGIN) as connection:
        connection.execute("drop table if exists notes")
    embedded.stop(made)
    yield made
    embedded.stop(made)


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Server]:
    """Nothing is made yet."""
    found = embedded.of(tmp_path / "home", options=FAST)
    embedded.remove(found)
    yield found
    embedded.remove(found)


def pid_of(server: Server) -> int:
    return int((server.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])


def processes(server: Server) -> set[int]:
    """The server and the processes it has started for itself."""
    with server.connect() as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity where backend_type <> 'client backend'"
        ).fetchall()
    return {pid_of(server), *(pid for (pid,) in rows)}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if is_alive(pid)] == []


def write_a_note(server: Server, note: str) -> None:
    with server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
        connection.execute("create table if not exists notes (note text)")
        connection.execute("insert into notes values (%s)", [note])


def notes(server: Server) -> list[str]:
    with server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
        return [note for (note,) in connection.execute("select note from notes order by note")]


def as_its_account(server: Server, *command: str) -> "subprocess.Popen[bytes]":
    """A process of somebody who has nothing to do with us, under the account the server runs under."""
    identity = binaries.identity(server.account)
    return subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, **identity)


def test_what_was_stored_is_there_after_a_stop(server: Server) -> None:
    assert not server.answers()
    embedded.start(server)
    write_a_note(server, "first")
    embedded.start(server)
    running = processes(server)
    assert len(running) > 3
    embedded.stop(server)
    wait_until_gone(running)
    assert not server.answers()
    assert not (server.data / "postmaster.pid").exists()
    embedded.stop(server)
    embedded.start(server)
    write_a_note(server, "second")
    assert notes(server) == ["first", "second"]


def test_what_is_removed_is_gone(new_server: Server) -> None:
    embedded.start(new_server)
    running = processes(new_server)
    embedded.remove(new_server)
    wait_until_gone(running)
    assert not new_server.data.exists()
    assert not new_server.log.exists()
    assert not any(new_server.sockets.glob("*"))
    embedded.remove(new_server)


def test_only_our_account_gets_in_and_only_through_the_socket(server: Server) -> None:
    """It trusts whoever reaches it: so nobody else may, neither by the network nor by the folder."""
    embedded.start(server)
    assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    (found,) = server.sockets.glob(".s.PGSQL.*[0-9]")
    assert stat.S_ISSOCK(found.stat().st_mode)
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    with server.connect() as connection:
        shown = connection.execute(
            "select current_setting('listen_addresses'), current_setting('port')::integer"
        ).fetchone()
    assert shown is not None
    assert shown[0] == ""
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", shown[1]))


def test_the_login_is_no_superuser_and_the_databases_are_its_own(server: Server) -> None:
    """What works for the embedded superuser would fail on every hosted database."""
    embedded.start(server)
    with server.connect() as connection:
        assert connection.execute(
            "select rolsuper, rolcreaterole, rolbypassrls from pg_roles where rolname = 'usage'"
        ).fetchall() == [(False, True, False)]
        assert connection.execute(
            "select datname, datdba::regrole::text from pg_database where datname in ('usage', 'dagster')"
            " order by 1"
        ).fetchall() == [("dagster", "usage"), ("usage", "usage")]


def test_the_last_one_stops_it(server: Server) -> None:
    """Stopped by the first, the others' work breaks off; stopped by nobody, it runs for ever."""
    first, second = ExitStack(), ExitStack()
    with first, second:
        first.enter_context(embedded.held(server))
        running = processes(server)
        second.enter_context(embedded.held(server))
        assert pid_of(server) in running
        first.close()
        assert server.answers()
        second.close()
    wait_until_gone(running)
    assert not server.answers()
    with embedded.held(server):
        assert server.answers()
    assert not server.answers()


def test_whoever_is_killed_holds_it_no_longer(server: Server) -> None:
    """A lock in a file would outlive its holder, and the server with it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(server.home)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with embedded.held(server):
            running = processes(server)
        assert server.answers()
        holder.kill()
        holder.wait(10)
    assert server.answers()
    with embedded.held(server):
        assert pid_of(server) in running
    wait_until_gone(running)


def test_an_interrupt_while_it_starts_leaves_no_server(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes when it likes; a server that nobody holds would run for ever."""

    def interrupted(_: Server) -> None:
        assert server.answers()
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "_create_databases", interrupted)
    with pytest.raises(KeyboardInterrupt), embedded.held(server):
        pytest.fail("it was interrupted before")
    assert not server.answers()


def test_a_body_that_fails_lets_go(server: Server) -> None:
    with suppress(ZeroDivisionError), embedded.held(server):
        running = processes(server)
        raise ZeroDivisionError
    wait_until_gone(running)


def test_a_killed_server_comes_back_with_its_data(server: Server) -> None:
    """A power cut, or the kernel's OOM killer: the pid file stays behind and names nobody."""
    embedded.start(server)
    write_a_note(server, "kept")
    killed = pid_of(server)
    os.kill(killed, signal.SIGKILL)
    embedded.start(server)
    assert pid_of(server) != killed
    assert notes(server) == ["kept"]


def test_a_killed_server_whose_session_still_works(server: Server) -> None:
    """Its sessions outlive it for a while: two servers on one folder would destroy the data."""
    embedded.start(server)
    write_a_note(server, "kept")
    busy = server.connect(embedded.DATABASE, embedded.LOGIN)
    backend = busy.info.backend_pid
    busy.pgconn.send_query(
        b"do $$ begin while clock_timestamp() < now() + interval '20 seconds' loop null; end loop; end $$"
    )
    wait_until_busy(server, backend)
    os.kill(pid_of(server), signal.SIGKILL)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(embedded.start, server)
        time.sleep(0.5)
        was_waiting = is_alive(backend) and not starting.done()
        os.kill(backend, signal.SIGKILL)
        starting.result(30)
    busy.close()
    assert was_waiting
    assert notes(server) == ["kept"]


def wait_until_busy(server: Server, backend: int) -> None:
    deadline = time.monotonic() + 10
    with server.connect() as connection:
        while time.monotonic() < deadline:
            if connection.execute(
                "select from pg_stat_activity where pid = %s and state = 'active' and query like 'do%%'",
                [backend],
            ).fetchall():
                return
            time.sleep(0.02)


def test_a_server_that_still_recovers_is_waited_for(server: Server) -> None:
    """After a crash of its sessions it answers nobody, and a second one would be refused its data."""
    (server.data / "standby.signal").touch()  # it recovers until it is told to stop
    recovering = replace(server, options=(*FAST, "-c", "hot_standby=off"))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(embedded.start, recovering)
        deadline = time.monotonic() + 10
        while postmaster.pid_of(server.data) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        pid = pid_of(server)
        second = pool.submit(embedded.start, server)
        time.sleep(0.5)
        was_waiting = not first.done() and not second.done()
        (server.data / "promote").touch()
        os.kill(pid, signal.SIGUSR1)
        first.result(30)
        second.result(30)
    assert was_waiting
    assert pid_of(server) == pid
    assert server.answers()


@pytest.mark.parametrize("names_our_log", [False, True])
def test_a_pid_file_that_names_a_stranger_is_forgotten(server: Server, names_our_log: bool) -> None:
    """After a crash the number may be anybody's: PostgreSQL would refuse for ever, and we would kill it."""
    embedded.start(server)
    write_a_note(server, "kept")
    os.kill(pid_of(server), signal.SIGKILL)
    lines = (server.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")
    command = ["/bin/sh", "-c", "sleep 60; true", str(server.log)] if names_our_log else ["sleep", "60"]
    with as_its_account(server, *command) as stranger:
        try:
            (server.data / "postmaster.pid").write_text(
                "\n".join([str(stranger.pid), *lines[1:]]), encoding="utf-8"
            )
            embedded.stop(server)
            embedded.start(server)
            assert notes(server) == ["kept"]
            embedded.stop(server)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_an_interrupted_first_start_heals(new_server: Server) -> None:
    """Half a cluster in the place of the data would be taken for one, and never start."""
    draft = new_server.folder / "postgres.new"
    (draft / "base").mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n", encoding="utf-8")
    embedded.start(new_server)
    assert new_server.answers()
    assert not draft.exists()


def test_a_server_that_does_not_start_says_why(server: Server) -> None:
    """The last line of its log only says that it ended."""
    broken = replace(server, options=("-c", "no_such_setting=1"))
    with pytest.raises(Refusal, match="no_such_setting") as caught:
        embedded.start(broken)
    assert caught.value.what == "the embedded server did not start"
    assert caught.value.fix == f"see {server.log}"
    embedded.start(server)
    assert server.answers()


@pytest.mark.parametrize("name", ["long " * 40, "a 'quoted' \"näme\" with % and \\ and $HOME"])
def test_a_folder_may_be_called_anything(tmp_path: Path, name: str) -> None:
    """A socket's path has room for 107 bytes; people's folders do not keep to that."""
    found = embedded.of(tmp_path / name / "home", options=FAST)
    try:
        embedded.start(found)
        write_a_note(found, "here")
        embedded.stop(found)
        embedded.start(found)
        assert notes(found) == ["here"]
    finally:
        embedded.remove(found)
    assert not found.sockets.exists()


def test_two_homes_are_two_servers(tmp_path: Path) -> None:
    """Their sockets may stand side by side in the temporary folder: they must not be the same."""
    long = tmp_path / ("long " * 40)
    assert embedded.of(long / "one").sockets != embedded.of(long / "two").sockets


only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="elsewhere the data stand in the home")


@only_as_root
@pytest.mark.parametrize("wants", ["them", "new ones"])
def test_the_data_of_a_deleted_home_are_not_the_next_ones(new_server: Server, wants: str) -> None:
    """Found by its path alone, a new stack showed the numbers of the one that was deleted."""
    embedded.start(new_server)
    write_a_note(new_server, "of the first")
    running = processes(new_server)
    embedded.stop(new_server)
    shutil.rmtree(new_server.home)
    for _ in range(2):
        with (
            pytest.raises(Refusal, match="holds the data of another stack") as caught,
            embedded.held(new_server),
        ):
            pytest.fail("it started")
        assert list(new_server.home.iterdir()) == [], "a demo would take it for somebody's"
    to_start_anew, to_go_on = caught.value.fix.split(" to start anew, or ")
    command = to_go_on.removesuffix(" to go on with them") if wants == "them" else to_start_anew
    subprocess.run(shlex.split(command), check=True)
    embedded.start(new_server)
    wait_until_gone(running)
    if wants == "them":
        assert notes(new_server) == ["of the first"]
    else:
        write_a_note(new_server, "of the second")
        assert notes(new_server) == ["of the second"]


@only_as_root
@pytest.mark.parametrize("wants", ["them", "new ones"])
def test_the_data_of_a_moved_home_are_found(tmp_path: Path, new_server: Server, wants: str) -> None:
    """They stay where they were: the stack that was moved stood empty, and said nothing."""
    embedded.start(new_server)
    write_a_note(new_server, "before")
    embedded.stop(new_server)
    moved = embedded.of(new_server.home.rename(tmp_path / "moved to"), options=FAST)
    try:
        with pytest.raises(Refusal, match=f"stand in {new_server.folder}: it was moved") as caught:
            embedded.start(moved)
        to_go_on, to_start_anew = caught.value.fix.split(" to go on with them, or ")
        command = to_go_on if wants == "them" else to_start_anew.removesuffix(" to start anew")
        subprocess.run(shlex.split(command), check=True)
        embedded.start(moved)
        if wants == "them":
            assert notes(moved) == ["before"]
        else:
            write_a_note(moved, "after")
            assert notes(moved) == ["after"]
    finally:
        embedded.remove(moved)


@only_as_root
def test_what_a_moved_home_gives_up_stays_where_it_is(tmp_path: Path, new_server: Server) -> None:
    """So a demo does: a copy of its folder must not delete what the other one shows."""
    embedded.start(new_server)
    write_a_note(new_server, "of the other")
    copied = embedded.of(shutil.copytree(new_server.home, tmp_path / "copied"), options=FAST)
    assert embedded.estranged(copied)
    embedded.remove(copied)
    try:
        embedded.start(copied)
        write_a_note(copied, "of the copy")
        assert notes(copied) == ["of the copy"]
        assert notes(new_server) == ["of the other"]
    finally:
        embedded.remove(copied)


@only_as_root
def test_a_first_start_that_was_killed_is_no_stranger(new_server: Server) -> None:
    """The marks are made before the data."""
    embedded.start(new_server)
    embedded.stop(new_server)
    shutil.rmtree(new_server.data)
    embedded.start(new_server)
    assert new_server.answers()


@only_as_root
def test_a_server_that_runs_for_a_deleted_home_is_not_the_next_ones(new_server: Server) -> None:
    """It answers: whoever asks only that works on."""
    embedded.start(new_server)
    running = processes(new_server)
    shutil.rmtree(new_server.home)
    with pytest.raises(Refusal, match="holds the data of another stack"):
        embedded.start(new_server)
    with pytest.raises(Refusal, match="holds the data of another stack"), embedded.held(new_server):
        pytest.fail("it was held")
    assert new_server.answers(), "what is refused ends nothing"
    embedded.remove(new_server)
    wait_until_gone(running)
    embedded.start(new_server)


@only_as_root
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_of_somebody_elses_is_not_looked_into(tmp_path: Path, new_server: Server, kind: str) -> None:
    """Everybody may make a folder beside ours: what lies in it would tell root whom to kill."""
    account = new_server.account
    assert account is not None
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / apart.MARK_OF_FOLDER).touch()
    if kind == "folder":
        os.chown(theirs, account.uid, account.gid)
        theirs.rename(new_server.folder)
    else:
        new_server.folder.symlink_to(theirs)
    try:
        with pytest.raises(Refusal, match="belongs to somebody else"):
            embedded.start(new_server)
        assert embedded.estranged(new_server) is None
    finally:
        if kind == "link":
            new_server.folder.unlink()


def test_the_mode_of_a_parent_folder_stays(tmp_path: Path) -> None:
    """Opening somebody's private folder, so that the server may enter, would open it to everybody."""
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    found = embedded.of(parent / "home", options=FAST)
    try:
        embedded.start(found)
        assert found.answers()
        assert stat.S_IMODE(parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    finally:
        embedded.remove(found)


@pytest.fixture
def tight_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("tight_umask")
def test_a_tight_umask_does_not_lock_the_server_out(new_server: Server) -> None:
    """Hardened machines set 077: folders made on the way would be closed to the server's account."""
    embedded.start(new_server)
    assert new_server.answers()
