"""Which process works on a run: one that works is never taken for gone, one that is gone always is."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.launcher import WorkerStatus

from usage_pipeline.definitions import defs

# isort: split
from usage_pipeline.rollups import orphans, workers
from usage_pipeline.rollups.launcher import StackLauncher
from usage_pipeline.warehouse import presence, processes
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.cli.own_stack import until

TELLING = (
    "import json, sys; from usage_pipeline.rollups import workers; print(json.dumps(workers.tags('a run')))"
)
UNASKED = Warehouse(sa.make_url("postgresql+psycopg://nobody@127.0.0.1:1/nowhere"))
"""Of what this machine sees itself no database is asked: this one would fail."""


def elsewhere(told: Mapping[str, str]) -> dict[str, str]:
    """The same as another container said it: its processes are none of ours."""
    return {workers.TAG: told[workers.TAG].replace(f" on {socket.gethostname()} ", " on another machine ")}


def test_whoever_works_is_not_gone() -> None:
    assert not workers.is_gone("a run", workers.tags("a run"), UNASKED)


def test_whoever_was_killed_is_gone() -> None:
    """Also while nobody has asked how it ended: its number is still there."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{TELLING}; sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = dict(json.loads(process.stdout.readline()))
        assert not workers.is_gone("a run", told, UNASKED)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert workers.is_gone("a run", told, UNASKED)
    assert workers.is_gone("a run", told, UNASKED)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (" of a run since ", " of the run before since "),
        (f" on {socket.gethostname()} ", " on another machine "),
        (f"{os.getpid()} on ", "no number on "),
        (f"{os.getpid()} on ", " on "),
    ],
    ids=["another run", "another machine", "no number", "no process"],
)
def test_of_others_nothing_is_known(said: str, instead: str) -> None:
    """A second try gets the tags of the run before; machines and containers share one Dagster."""
    (told,) = workers.tags("a run").values()
    gone = f"{told.partition(' since ')[0]} since long ago"
    assert workers.is_gone("a run", {workers.TAG: gone}, UNASKED)
    assert said in gone
    assert not workers.is_gone("a run", {workers.TAG: gone.replace(said, instead)}, UNASKED)


def test_who_cannot_look_takes_nobody_for_gone() -> None:
    """A process that may open no more files sees none of /proc: it would fail every run that works."""
    script = (
        "import os, resource; from usage_pipeline.rollups import workers;"
        " from usage_pipeline.warehouse import processes; told = workers.tags('a run');"
        " resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0));"
        " print(processes.started(os.getpid()), workers.is_gone('a run', told, None))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "None False\n", done.stderr


def test_what_is_not_known_of_a_process_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told = workers.tags("a run")
    monkeypatch.setattr(processes, "started", lambda number: None)
    assert not workers.is_gone("a run", told, UNASKED)


@pytest.fixture
def lock(server: Server, database: str) -> Iterator[tuple[str, Warehouse]]:
    """The lock of a process that works on the other machine, which lets go when it is disposed of."""
    theirs = Warehouse(server.url(database))
    held = presence.name(theirs)
    assert held
    yield held, theirs
    theirs.dispose()


def test_of_another_machine_the_lock_tells(lock: tuple[str, Warehouse], warehouse: Warehouse) -> None:
    """A container that is started again has another view of the processes, and the runs of the one before."""
    held, theirs = lock
    told = elsewhere(workers.tags("a run", held))
    assert not workers.is_gone("a run", told, warehouse)
    theirs.dispose()
    until(lambda: workers.is_gone("a run", told, warehouse), 10)  # the server sees the end of a session later
    assert not workers.is_gone("a run", elsewhere(workers.tags("a run")), warehouse), "it names none"
    assert not workers.is_gone("a second try", told, warehouse), "it has not said a word yet"


def test_who_works_here_and_has_lost_its_lock_is_not_gone(
    lock: tuple[str, Warehouse], warehouse: Warehouse
) -> None:
    """What this machine sees itself counts for more: a server may have ended the session."""
    held, theirs = lock
    theirs.dispose()
    assert not workers.is_gone("a run", workers.tags("a run", held), warehouse)


def test_who_is_gone_from_here_is_gone(lock: tuple[str, Warehouse], warehouse: Warehouse) -> None:
    (told,) = workers.tags("a run", lock[0]).values()
    number, _, rest = told.partition(" ")
    assert not workers.is_gone("a run", {workers.TAG: told}, UNASKED)
    assert workers.is_gone("a run", {workers.TAG: f"{int(number) + 4_000_000} {rest}"}, warehouse)


def test_of_a_process_that_hides_the_lock_tells(
    monkeypatch: pytest.MonkeyPatch, lock: tuple[str, Warehouse], warehouse: Warehouse
) -> None:
    held, theirs = lock
    told = workers.tags("a run", held)
    monkeypatch.setattr(processes, "started", lambda number: None)
    assert not workers.is_gone("a run", told, warehouse)
    theirs.dispose()
    until(lambda: workers.is_gone("a run", told, warehouse), 10)  # the server sees the end of a session later


def test_the_daemon_asks_the_database_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, lock: tuple[str, Warehouse], server: Server, database: str
) -> None:
    """Of one whose database cannot be asked it believes that it works; what it sees itself needs none."""
    held, theirs = lock
    url = server.url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(defs.resolve_implicit_global_asset_job_def())
        told = run.with_tags(elsewhere(workers.tags(run.run_id, held)))
    health = StackLauncher().check_run_worker_health
    monkeypatch.setenv("USAGE_DATABASE_URL", url)
    assert health(told).status == WorkerStatus.RUNNING
    theirs.dispose()
    until(lambda: health(told).status == WorkerStatus.NOT_FOUND, 10)
    monkeypatch.setenv("USAGE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert health(told).status == WorkerStatus.RUNNING
    (mine,) = workers.tags(run.run_id, held).values()
    number, _, rest = mine.partition(" ")
    gone = run.with_tags({workers.TAG: f"{int(number) + 4_000_000} {rest}"})
    monkeypatch.setenv("USAGE_CONNECTIONS", "many")
    assert health(gone).status == WorkerStatus.NOT_FOUND


def test_a_run_that_ends_while_it_is_looked_at_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is gone because it is done: the list of runs was read before that."""

    def end(run_id: str, tags: Mapping[str, str], warehouse: Warehouse) -> bool:
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name="__ASSET_JOB"), run_id=run_id
        )
        return True

    monkeypatch.setattr(workers, "is_gone", end)
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(defs.resolve_implicit_global_asset_job_def())
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name="__ASSET_JOB"), run_id=run.run_id
        )
        orphans.bury(instance, UNASKED, [])
        ended = instance.get_run_by_id(run.run_id)
    assert ended
    assert ended.status == dg.DagsterRunStatus.SUCCESS


def test_whose_process_it_is() -> None:
    assert workers.tells_of("a run", workers.tags("a run"))
    assert not workers.tells_of("another run", workers.tags("a run"))
    assert not workers.tells_of("a run", {})


def test_a_run_without_tags_is_left_alone() -> None:
    assert not workers.is_gone("a run", {}, UNASKED)


def test_a_number_that_is_used_again_is_not_taken_for_the_old_one() -> None:
    """Brothers differ by when they started, and by nothing else that is told of them."""
    with subprocess.Popen(["sleep", "60"]) as first:
        time.sleep(0.1)
        with subprocess.Popen(["sleep", "60"]) as second:
            told = {processes.started(first.pid), processes.started(second.pid)}
            second.kill()
        first.kill()
    assert len(told) == 2
    assert "" not in told
