"""Dagster's web server and daemon: started, asked how they are, stopped without a trace."""

import json
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click

from usage_pipeline import settings
from usage_pipeline.cli import children, console, graphql, logs
from usage_pipeline.cli.lock import Lock
from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_yaml

HOST: Final = "127.0.0.1"
no_open_option: Final = click.option("--no-open", is_flag=True, help="Do not open a browser.")
port_option: Final = click.option(
    "--port",
    default=3000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="The next free one if taken.",
)


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
        self.port = self.wanted_port = port
        self.artifacts = dagster_yaml.artifacts(found)
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
        return f"{self.address}/locations/{graphql.LOCATION}/asset-groups/tokens/lineage"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def start(self, name: str, module: Sequence[str]) -> None:
        """One more process of Dagster's, with its output in a log of its own."""
        with logs.opened(self.log(name)) as log:
            command = [sys.executable, "-m", *module, *self.workspace]
            self.started_at[name] = time.time()
            self.children[name] = children.start(command, log.fileno(), self.logs.parent)

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
            with suppress(*graphql.NO_ANSWER):
                if graphql.is_ready(self.address, self.artifacts):
                    return
            time.sleep(0.2)
        raise Refusal(
            "the web server did not become ready",
            why=f"{seconds:.0f} s passed",
            fix=f"see {self.log('web-server')}",
        )

    def wait_for_daemon(self, seconds: float = 60) -> None:
        """Return when every daemon that is needed has sent a heartbeat."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._require_alive()
            if graphql.last_heartbeat(self.address) > self.started_at["daemon"]:
                return
            time.sleep(0.2)
        raise Refusal(
            "the daemon did not become healthy",
            why=f"{seconds:.0f} s passed",
            fix=f"see {self.log('daemon')}",
        )

    def stand(self, lock: Lock) -> None:
        """Return when the page answers; whoever asks for it is told where it is, and the daemon joins it."""
        with console.step("Dagster's web server") as words:
            self.wait_until_ready()
            if self.port != self.wanted_port:
                words.append(f"port {self.port}, because {self.wanted_port} is taken")
        lock.tell(self.address)
        self.start_daemon()

    def show(self) -> None:
        """Open a browser, where one would reach the person who typed."""
        if sys.stdout.isatty() and settings.has_a_screen():
            webbrowser.open(self.lineage)

    def wait(self) -> None:
        """Stay until somebody ends us, or one of them ends by itself."""
        while True:
            self._require_alive()
            for name in self.children:
                logs.bound(self.log(name))
            time.sleep(1)

    def _require_alive(self) -> None:
        for name, child in self.children.items():
            if child.poll() is not None:
                why = f"exit code {child.returncode}"
                raise Refusal(f"the {name} ended by itself", why=why, fix=f"see {self.log(name)}")

    def _take_another_port_if_lost(self) -> None:
        """Somebody may take the port between our look and the web server's own."""
        if self.children["web-server"].poll() is None:
            return
        if "address already in use" in self.log("web-server").read_text(errors="replace"):
            self.port += 1
            self.start_web_server()


@contextmanager
def until_ended() -> Iterator[None]:
    """From here on an interrupt is the way a person ends it, and no failure."""
    with suppress(KeyboardInterrupt):
        yield
    console.narrate("Stopping …")


@contextmanager
def served(found: Settings, port: int) -> Iterator[Page]:
    """The web server, as a child that ends with us; the daemon joins it when it is asked to."""
    page = Page(found, port)
    try:
        page.start_web_server()
        yield page
    finally:
        children.stop(list(page.children.values()))


def _workspace(found: Settings) -> Path:
    """A checkout's own workspace file, else one that names the installed package."""
    checkout = settings.root() / "workspace.yaml"
    if checkout.exists():
        return checkout
    file = found.home / "workspace.yaml"
    module = {"module_name": "usage_pipeline.definitions", "location_name": graphql.LOCATION}
    file.write_text(json.dumps({"load_from": [{"python_module": module}]}), encoding="utf-8")
    return file
