"""The stack: Dagster's web server and daemon, started with our variables and stopped without a trace."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any, Final

from usage_pipeline import settings
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import connections, embedded

HOST: Final = "127.0.0.1"
LOCATION: Final = "usage_pipeline"
_READINESS: Final = (
    "{ instance { info } repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
)
_DAEMONS: Final = "{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"
_PARTITIONS: Final = (
    "query partitions($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key)"
    " { ... on AssetNode { partitionStats { numMaterialized } } } }"
)
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG


def variables(found: Settings) -> dict[str, str]:
    """What every process of the stack needs in its environment."""
    if found.dagster_pg_url is None:
        storage = embedded.of(found.home).url(embedded.DAGSTER_DATABASE, driver="psycopg2")
    else:
        storage = connections.of_dagster(found.dagster_pg_url)
    return {
        "DAGSTER_HOME": str(found.dagster_home),
        "DAGSTER_PG_URL": storage.render_as_string(hide_password=False),
        "USAGE_HOME": str(found.home),
    }


def prepare(found: Settings) -> dict[str, str]:
    """Dagster's home with its file, and the variables in this process's environment."""
    found.dagster_home.mkdir(parents=True, exist_ok=True)
    file = found.dagster_home / "dagster.yaml"
    if found.is_demo or not file.exists():  # elsewhere an operator may have changed it
        text = files("usage_pipeline.cli").joinpath("dagster.yaml").read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    given = variables(found)
    settings.export({**given, "DAGSTER_EVENT_BATCH_SIZE": "100", "DAGSTER_DISABLE_TELEMETRY": "1"})
    return given


def free_port(wanted: int) -> int:
    """The port that was asked for, or the next one nobody listens on."""
    for port in range(wanted, min(wanted + 100, 65536)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port
    raise Refusal(f"no port from {wanted} to {wanted + 99} is free", fix="give another one with --port")


class Page:
    """Dagster's page and its daemon as they run: where, with what logs, and what the page says."""

    def __init__(self, found: Settings, port: int) -> None:
        self.port = port
        self.home = found.dagster_home
        self.logs = found.home / "logs"
        self.workspace = ["-w", str(_workspace(found))]
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.started_at: dict[str, float] = {}
        self.logs.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def lineage(self) -> str:
        return f"{self.address}/locations/{LOCATION}/asset-groups/tokens/lineage"

    def start(self, name: str, module: Sequence[str]) -> None:
        """One more process of Dagster's, with its output in a log of its own."""
        with (self.logs / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", *module, *self.workspace]
            self.started_at[name] = time.time()
            self.children[name] = _start(command, log.fileno(), self.logs.parent)

    def start_web_server(self) -> None:
        """On our port, or the next free one."""
        self.port = free_port(self.port)
        self.start("web-server", ["dagster_webserver", "-h", HOST, "-p", str(self.port)])

    def start_daemon(self) -> None:
        """The daemon, once the page stands: together they would only wait for each other's processor."""
        self.start("daemon", ["dagster._daemon", "run"])

    def wait_until_ready(self, seconds: float = 90) -> None:
        """Return when our own page, not a stranger's on the same port, answers and knows our definitions."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._take_another_port_if_lost()
            self._require_alive()
            with suppress(
                urllib.error.URLError, ConnectionError, TimeoutError, KeyError, TypeError, ValueError
            ):
                answer = self.ask(_READINESS)
                if str(self.home) in answer["instance"]["info"] and answer["repositoriesOrError"]["nodes"]:
                    return
            time.sleep(0.2)
        raise Refusal(
            "the web server did not become ready", why=f"{seconds:.0f} s passed", fix=f"see {self.logs}"
        )

    def wait_for_daemon(self, seconds: float = 60) -> None:
        """Return when every daemon that is needed has sent a heartbeat."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._require_alive()
            health = self.ask(_DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
            beats = [each["lastHeartbeatTime"] or 0 for each in health if each["required"]]
            if beats and min(beats) > self.started_at["daemon"]:
                return
            time.sleep(0.2)
        raise Refusal(
            "the daemon did not become healthy", why=f"{seconds:.0f} s passed", fix=f"see {self.logs}"
        )

    def wait(self) -> None:
        """Stay until somebody ends us, or one of them ends by itself."""
        while True:
            self._require_alive()
            time.sleep(1)

    def ask(self, query: str, **values: object) -> dict[str, Any]:
        """One GraphQL query."""
        body = json.dumps({"query": query, "variables": values}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/graphql", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
            data: dict[str, Any] = json.load(answer)["data"]
            return data

    def materialized_count(self, asset: str) -> int:
        """How many partitions of an asset it shows as done."""
        found = self.ask(_PARTITIONS, key={"path": [asset]})["assetNodeOrError"]["partitionStats"]
        return int(found["numMaterialized"])

    def _require_alive(self) -> None:
        for name, child in self.children.items():
            if child.poll() is not None:
                why = f"exit code {child.returncode}"
                raise Refusal(f"the {name} ended by itself", why=why, fix=f"see {self.logs}")

    def _take_another_port_if_lost(self) -> None:
        """Somebody may take the port between our look and the web server's own."""
        if self.children["web-server"].poll() is None:
            return
        if "address already in use" in (self.logs / "web-server.log").read_text(errors="replace"):
            self.port += 1
            self.start_web_server()


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """One demo a folder: the second says who runs."""
    import fcntl

    home.mkdir(parents=True, exist_ok=True)
    with (home / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Refusal(
                f"a demo of {home} runs already",
                why=f"process {lock.read().strip() or 'unknown'} holds it",
                fix="use its page, or stop it with Ctrl-C",
                exit_code=REFUSED,
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def running(found: Settings, port: int) -> Iterator[Page]:
    """The web server, as a child that ends with us; the daemon joins it when it is asked to."""
    page = Page(found, port)
    try:
        page.start_web_server()
        yield page
    finally:
        _stop(list(page.children.values()))


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """A termination or a closed terminal ends us as Ctrl-C does, so that everything is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _workspace(found: Settings) -> Path:
    """A checkout's own workspace file, else one that names the installed package."""
    checkout = settings.root() / "workspace.yaml"
    if checkout.exists():
        return checkout
    file = found.home / "workspace.yaml"
    module = {"module_name": "usage_pipeline.definitions", "location_name": LOCATION}
    file.write_text(json.dumps({"load_from": [{"python_module": module}]}), encoding="utf-8")
    return file


def _start(command: list[str], log: int, folder: Path) -> subprocess.Popen[bytes]:
    """In the stack's folder: Dagster would let a `.env` of the current one overrule what we give it."""
    return subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, preexec_fn=_in_child,
    )  # fmt: skip


def _in_child() -> None:
    """Dagster copies the handler of SIGINT to SIGTERM; in a background shell that one is `ignore`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(15)
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # what its own children left behind
        child.wait()
