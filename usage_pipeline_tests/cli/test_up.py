"""A stack on a database of one's own: `init` writes where it is, `up` runs it, `status` says how it is."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from usage_pipeline import settings
from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.test_own_database import YESTERDAY, refused
from usage_pipeline_tests.conftest import cloned, ensure_template
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.servers import Kind
from usage_pipeline_tests.stack import Checkout, Done
from usage_pipeline_tests.terminal import Terminal

pytestmark = pytest.mark.command


@pytest.fixture(scope="module")
def original() -> Iterator[Checkout]:
    with stack.checked_out("usage-up-") as found:
        yield found


@pytest.fixture
def checkout(original: Checkout) -> Checkout:
    """A copy in which nothing was set up yet."""
    shutil.rmtree(original.folder / ".usage", ignore_errors=True)
    (original.folder / ".env").unlink(missing_ok=True)
    return original


@pytest.fixture
def theirs(server: Server) -> Iterator[str]:
    """The URL of a database with an application and one answer, nothing of ours."""
    with application(server) as url:
        yield url


@pytest.fixture
def theirs_on_15() -> Iterator[str]:
    """The same on the oldest server we promise, over TCP."""
    kind = Kind("15", "tcp")
    if lack := kind.lack():
        pytest.skip(lack)
    with kind.started() as server, application(server) as url:
        yield url


@contextmanager
def application(server: Server) -> Iterator[str]:
    with cloned(server, "template1") as name:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
            Chat(connection).answer(at=YESTERDAY + timedelta(hours=3))
        yield bare_url(server, name)


def bare_url(server: Server, database: str) -> str:
    """As a person writes it, without a driver."""
    return server.url(database).set(drivername="postgresql").render_as_string()


def verb(checkout: Checkout, *words: str, **given: str) -> Done:
    return checkout.run([sys.executable, "-m", "usage_pipeline", *words], **given)


def facts(done: Done) -> dict[str, dict[str, Any]]:
    """What `status --json` tells of each part."""
    found: dict[str, dict[str, Any]] = json.loads(done.out)["data"]
    return found


def test_init_writes_where_the_database_is(checkout: Checkout, theirs: str) -> None:
    """Afterwards no variable is needed; a password is nowhere, a person's own lines are where they were."""
    file, current = checkout.folder / ".usage" / "settings.toml", checkout.folder / ".usage" / "current"
    more = "&" if "?" in theirs else "?"
    with_password = theirs.replace("usage@", "usage:canary%2F@") + f"{more}sslpassword=canary"
    first = verb(checkout, "init", "--database-url", with_password)
    assert first.code == 0, first.said
    assert "USAGE_DATABASE_URL or ~/.pgpass must supply it" in first.said
    assert all(f"usage-pipeline {verb}" in first.said for verb in ("migrate apply", "backfill", "up"))
    assert "public.chat_messages_v2, public.conversation_sessions" in first.said
    assert "grant select on public.chat_messages_v2 to usage_writer;" in first.said
    assert "canary" not in file.read_text() + first.said + first.out
    assert current.read_text() == ".usage\n"
    assert not (checkout.folder / ".env").exists()
    file.write_text(f"# ours\nconnections = 1\n{file.read_text()}")
    assert verb(checkout, "migrate", "apply").code == 0
    second = verb(checkout, "init")
    assert second.code == 0, second.said
    assert "must supply it" not in second.said
    assert "The rights on the application's tables are there already." in second.said
    assert file.read_text().startswith("# ours\nconnections = 1\n")
    assert settings.load({"USAGE_HOME": str(file.parent)}).start == YESTERDAY.date()


def test_init_leaves_dagsters_own_commands_alone(checkout: Checkout, theirs: str) -> None:
    """A `.env` overrules what is exported: `init` once took over somebody's Dagster project by one."""
    env = checkout.folder / ".env"
    env.write_text("THEIRS=1\n")
    assert verb(checkout, "init", USAGE_DATABASE_URL=theirs).code == 0
    assert env.read_text() == "THEIRS=1\n"
    env.unlink()
    settings.write_env_file(env, {"USAGE_HOME": str(checkout.demo_home)})
    text = env.read_text()
    done = verb(checkout, "init", USAGE_DATABASE_URL=theirs)
    assert f"commands typed in this folder mean {checkout.demo_home} until `up` runs" in done.said
    assert env.read_text() == text


ROLES = "usage_owner, usage_writer, usage_reader, usage_retention"


@pytest.mark.parametrize(
    ("powers", "told"),
    [
        (
            "",
            f"tenant may not act as {ROLES}; their maker or a superuser lets it. Fix:\n    grant usage_owner",
        ),
        (
            f"in role {ROLES}",
            "tenant may not make our schemas (CREATE on the database). Fix:\n    {} migrate sql",
        ),
    ],
    ids=["no member of our roles", "no right on the database"],
)
def test_init_says_what_only_another_login_can_do(
    powers: str, told: str, checkout: Checkout, server: Server, theirs: str
) -> None:
    """The settings are written all the same; what would be refused is told before it is typed."""
    ensure_template(server)
    with server.connect() as connection:
        connection.execute(f"create role tenant login {powers}".encode())
        try:
            done = verb(checkout, "init", "--database-url", theirs.replace(embedded.LOGIN, "tenant", 1))
            apply = verb(checkout, "migrate", "apply", USAGE_START=str(YESTERDAY.date()))
        finally:
            connection.execute("drop role tenant")
    assert done.code == 0, done.said
    assert told.format("usage-pipeline") in done.said
    assert "runs no more than:\n    nothing\n  Their owner has to run:\n    grant " in done.said
    assert "\n    grant select on public.chat_messages_v2 to usage_writer;" in done.said
    assert "That comes first; then:\n  usage-pipeline migrate apply\n" in done.said
    assert apply.code == 1, "it was worth saying"


def test_init_on_a_database_that_is_read_only(checkout: Checkout, theirs: str) -> None:
    more = "&" if "?" in theirs else "?"
    done = verb(
        checkout, "init", "--database-url", f"{theirs}{more}options=-c default_transaction_read_only=on"
    )
    assert done.code == 0, done.said
    assert "it can be read, and nothing can be computed. Fix:\n    point USAGE_DATABASE_URL at" in done.said
    assert "That comes first; then:\n" in done.said


def test_init_asks_whoever_sits_there(checkout: Checkout, theirs: str) -> None:
    """Whoever starts without a URL is asked for one, and told what it looks like."""
    init = Terminal(checkout, "init")
    init.until("postgresql://user@host:5432/database")
    init.type(theirs)
    init.until("Next:")
    assert init.process.wait(30) == 0
    os.close(init.master)
    found = settings.load({"USAGE_HOME": str(checkout.folder / ".usage")})
    assert found.database_url
    assert verb(checkout, "migrate", "status").code == 3


def test_init_with_a_bare_url(checkout: Checkout, server: Server) -> None:
    """libpq's own variables say the rest, as for every other client; `.usage/current` says which folder."""
    with cloned(server, "template1") as name:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
            Chat(connection).answer(at=YESTERDAY)
        url = server.url(name)
        host, port = url.host or str(url.query["host"]), str(url.port or 5432)
        given = {"PGHOST": host, "PGPORT": port, "PGUSER": embedded.LOGIN, "PGDATABASE": name}
        mine = checkout.folder / ".usage" / "mine"
        done = verb(checkout, "init", "--database-url", "postgresql://", USAGE_HOME=str(mine), **given)
        assert done.code == 0, done.said
        assert verb(checkout, "migrate", "apply", **given).code == 0
        assert "start" in (mine / "settings.toml").read_text()
        named = verb(checkout, "status", "--json", USAGE_DATABASE_URL="postgresql://", **given)
        assert facts(named)["settings"]["file"] == str(mine / "settings.toml")
        (mine / settings.DEMO_MARKER).touch()
        named = verb(checkout, "status", "--json", USAGE_DATABASE_URL="postgresql://", **given)
        assert facts(named)["settings"]["file"] == str(mine.parent / "settings.toml")


def test_what_init_refuses(checkout: Checkout, server: Server, bare_database: str) -> None:
    """One line, and nothing is written."""
    bare = bare_url(server, bare_database)
    refused(verb(checkout, "init"), 2, "no database is named", "--database-url")
    refused(verb(checkout, "init", "--database-url", "mysql://u:canary@h/d"), 2, "USAGE_DATABASE_URL")
    nowhere = verb(checkout, "init", "--database-url", "postgresql://u:canary@127.0.0.1:1/d")
    refused(nowhere, 1, "cannot be reached")
    assert "canary" not in nowhere.said
    refused(verb(checkout, "init", "--database-url", bare), 1, "no source of tokens")
    assert not (checkout.folder / ".usage").exists()
    assert not (checkout.folder / ".env").exists()


def test_an_interrupted_init_keeps_the_password(checkout: Checkout) -> None:
    """The line that says how to go on is the one that is copied into tickets."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://u:canary@127.0.0.1:{silent.getsockname()[1]}/d?sslpassword=canary"
        with subprocess.Popen(
            [sys.executable, "-m", "usage_pipeline", "init", "--database-url", url],
            cwd=checkout.folder, env=checkout.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=stack.heeding_interrupts,
        ) as process:  # fmt: skip
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Go on: " in said
    assert "canary" not in said


def test_the_demos_folder_stays_the_demos(checkout: Checkout) -> None:
    """A demo on somebody's database would write into it; a page on the demo's data without its server."""
    checkout.demo_home.mkdir(parents=True)
    (checkout.demo_home / settings.DEMO_MARKER).touch()
    home = {"USAGE_HOME": str(checkout.demo_home)}
    refused(verb(checkout, "up", **home), 4, "is the demo's", "usage-pipeline demo")
    refused(verb(checkout, "init", **home), 4, "is the demo's")
    url = ("--database-url", "postgresql://127.0.0.1:1/theirs")
    refused(verb(checkout, "init", *url, **home), 4, "is the demo's")


def test_status_only_looks(checkout: Checkout) -> None:
    """Asked in the wrong folder, it must not leave one behind, nor start a server."""
    for given in ({}, {"USAGE_DATABASE_URL": "postgresql://u:canary@127.0.0.1:1/d"}):
        done = verb(checkout, "status", "--json", **given)
        assert done.code == 3
        assert "canary" not in done.out + done.said
        found = facts(done)
        assert found["stack"] == {"running": False, "start": "usage-pipeline up"}
        assert found["embedded"]["exists"] is False
        assert "reason" in found["migrations"]
    shown = verb(checkout, "status")
    assert "does not run" in shown.out
    assert "Traceback" not in shown.said
    assert not (checkout.folder / ".usage").exists()


@pytest.mark.stack
def test_up_from_its_first_start_to_its_last(checkout: Checkout, theirs_on_15: str, server: Server) -> None:
    """On a server of theirs, Dagster's storage first on another one, then on ours."""
    assert verb(checkout, "init", "--database-url", theirs_on_15).code == 0
    refused(verb(checkout, "up"), 3, "migrations are pending", "migrate apply")
    ours = embedded.of(checkout.folder / ".usage")
    assert not ours.data.exists()
    assert verb(checkout, "migrate", "apply").code == 0
    with cloned(server, "template1") as name:
        on_another = bare_url(server, name)
        runs_and_is_ended(checkout, DAGSTER_PG_URL=on_another)
        assert not ours.data.exists()
    assert verb(checkout, "backfill", "tokens_daily", "--from", "yesterday", "--to", "today").code == 0
    loses_its_daemon(checkout)
    loses_its_terminal(checkout)
    found = facts(verb(checkout, "status", "--json"))
    assert found["computed"]["newest_day"] > found["computed"]["first_day"] == str(YESTERDAY.date())
    assert found["computed"]["missing_days"] == 0
    assert found["embedded"]["running"] is False


def runs_and_is_ended(checkout: Checkout, **given: str) -> None:
    """Beside a taken port; asked by `status`, by a second one, and ended twice by somebody in a hurry."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = checkout.start("up", "--no-open", "--port", str(port), **given)
        said = up.standing()
    assert f"because {port} is taken" in said
    found = facts(done := verb(checkout, "status", "--json", **given))
    assert (found["stack"]["pid"], found["stack"]["verb"]) == (up.process.pid, "up")
    address = str(found["page"]["address"])
    assert address in said
    assert found["page"]["answers"] is True
    assert done.code == (0 if found["daemon"]["answers"] else 3)
    assert found["database"]["server_version"].startswith("15.")
    assert found["migrations"] == {"current": True, "pending": []}
    assert found["computed"]["newest_day"] is None
    refused(verb(checkout, "up", **given), 4, f"process {up.process.pid}", f"its page is {address}")
    up.process.send_signal(signal.SIGTERM)
    assert up.end(signal.SIGINT) == 0
    assert "Traceback" not in up.said
    assert checkout.processes() == {}


def loses_its_daemon(checkout: Checkout) -> None:
    """Half a stack that goes on looks like a whole one."""
    up = checkout.start("up", "--no-open")
    up.standing()
    daemon = next(pid for pid, words in checkout.processes().items() if "dagster._daemon" in words)
    os.kill(daemon, signal.SIGKILL)
    assert up.process.wait(60) == 1
    last = up.said.splitlines()[-1]
    assert "the daemon ended by itself" in last
    assert str(checkout.folder / ".usage" / "logs" / "daemon.log") in last
    assert checkout.processes() == {}


def loses_its_terminal(checkout: Checkout) -> None:
    narration = Path(checkout.folder / "narration.log")
    up = Terminal(checkout, "up", narration=narration)
    up.standing()
    assert up.close() == 0
    assert "Traceback" not in narration.read_text()
    assert checkout.processes() == {}
