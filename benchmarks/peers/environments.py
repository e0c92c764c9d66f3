"""What a tool runs in: an environment of its lock, a copy of its project, nothing of a person's own."""

import os
import shutil
import subprocess
from pathlib import Path

import dev
from benchmarks.peers.place import Failed, Place, Unavailable, Variant

HERE = Path(__file__).parent


def install(place: Place, tool: str) -> None:
    """Make the tool's environment; a second call does nothing."""
    try:
        dev.install_environment(_environment(place, tool), HERE / f"{tool}.lock")
    except (dev.NotInstalled, OSError) as error:
        said = getattr(error, "said", "") or str(error)
        raise Unavailable(f"{tool} could not be installed: {said.splitlines()[-1].strip()}") from error


def copy_project(place: Place, tool: str, variant: Variant) -> None:
    """Afresh, so that what a tool keeps beside its project is of this project."""
    project = _project(place, tool, variant)
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(HERE / f"{tool}_project", project)


def run(place: Place, tool: str, variant: Variant, *words: str) -> None:
    """The tool's own command, in its project; its words go to a file, the last of them into the failure."""
    command = [str(_environment(place, tool) / dev.BIN / tool), *words]
    log = place.folder / f"{tool}.log"
    with log.open("wb") as file:
        code = subprocess.call(
            command,
            cwd=_project(place, tool, variant),
            env=_variables(place, tool, variant),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if code:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        raise Failed("\n".join([f"{tool} {' '.join(words)}: exit code {code}", *last]))


def _environment(place: Place, tool: str) -> Path:
    return place.folder / "environments" / tool


def _project(place: Place, tool: str, variant: Variant) -> Path:
    return place.folder / "projects" / f"{tool}-{variant.days_in_a_batch}-{variant.batches_at_once}"


def _variables(place: Place, tool: str, variant: Variant) -> dict[str, str]:
    """All that the tool sees: our settings, no telemetry, a home without a person's settings."""
    home = place.folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.pathsep.join([str(_environment(place, tool) / dev.BIN), os.defpath]),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "DO_NOT_TRACK": "1",
        "SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "true",
        "PEER_HOST": place.host,
        "PEER_PORT": str(place.port),
        "PEER_DATABASE": place.database,
        "PEER_USER": place.user,
        "PEER_FIRST": place.first.isoformat(),
        "PEER_DAYS_IN_A_BATCH": str(variant.days_in_a_batch),
        "PEER_BATCHES_AT_ONCE": str(variant.batches_at_once),
    }
