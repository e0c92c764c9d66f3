"""What every process of a stack shares: variables, Dagster's folder and tables, how signals end it."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import FrameType

from sqlalchemy import URL

from usage_pipeline import settings
from usage_pipeline.cli import console
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_tables, embedded, urls


def variables(found: Settings) -> dict[str, str]:
    """What every process of the stack needs in its environment."""
    return {
        "DAGSTER_HOME": str(found.dagster_home),
        "DAGSTER_PG_URL": storage(found).render_as_string(hide_password=False),
        "USAGE_HOME": str(found.home),
    }


def storage(found: Settings) -> URL:
    """Where Dagster keeps its own tables; with the driver spelled out, which Dagster cannot do without."""
    if found.dagster_pg_url is None:
        return embedded.of(found.home).url(embedded.DAGSTER_DATABASE, driver="psycopg2")
    return urls.of_dagster(found.dagster_pg_url)


def prepare(found: Settings) -> dict[str, str]:
    """Dagster's home with its file, and the variables in this process's environment."""
    found.dagster_home.mkdir(parents=True, exist_ok=True)
    file = found.dagster_home / "dagster.yaml"
    if found.is_demo or not file.exists():  # elsewhere an operator may have changed it
        text = files("usage_pipeline.cli").joinpath("dagster.yaml").read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    given = variables(found)
    settings.export({**given, "DAGSTER_EVENT_BATCH_SIZE": "500", "DAGSTER_DISABLE_TELEMETRY": "1"})
    return given


def create_storage(found: Settings) -> None:
    """Dagster's tables, before its processes race for them."""
    if dagster_tables.exist(storage(found)):
        return
    with console.step("Dagster's storage"):
        import dagster as dg

        dg.DagsterInstance.get().dispose()


def write_env_file(found: Settings) -> None:
    """So that our verbs and Dagster's own commands find the stack from this folder."""
    if not settings.is_under_root(found.home):
        return
    given = variables(found)
    if urls.holds_secret(storage(found)):
        del given["DAGSTER_PG_URL"]
        console.narrate("DAGSTER_PG_URL holds a password and is not copied to .env.")
    before = settings.home_of_env_file()
    if before and Path(before) != found.home:
        console.narrate(f"Commands typed in this folder mean {found.home} from now on, no longer {before}.")
    if not settings.write_env_file(settings.root() / ".env", given):
        console.narrate(f".env is not ours and stays as it is; it lacks:\n{settings.env_lines(given)}")


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """A termination or a closed terminal ends us as Ctrl-C does, so that everything is stopped.

    Once: a second signal would stop the stopping. A closed terminal that `nohup` told us to outlive is none.
    """
    ended = False
    terminals = [each.fileno() for each in (sys.stdin, sys.stdout, sys.stderr) if each.isatty()]

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        if number == signal.SIGHUP:
            _turn_away_from(terminals)
        if not ended:
            ended = True
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {each: signal.signal(each, interrupt) for each in numbers}
    yield
    if not ended:  # else the last steps are taken when the interpreter ends, and are not to be disturbed
        for each, handler in before.items():
            signal.signal(each, handler)


def _turn_away_from(terminals: Sequence[int]) -> None:
    """Whatever is written to a terminal that is gone fails, and would break off the stopping."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for each in terminals:
        os.dup2(nowhere, each)
    os.close(nowhere)
