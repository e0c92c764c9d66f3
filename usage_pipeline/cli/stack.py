"""What every process of a stack shares: variables, Dagster's folder and tables, how signals end it."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from types import FrameType

from usage_pipeline import settings
from usage_pipeline.cli import console
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_instance, dagster_yaml, urls


def variables(found: Settings) -> dict[str, str]:
    """What every process of the stack needs in its environment."""
    given = {"DAGSTER_HOME": str(found.dagster_home), "USAGE_HOME": str(found.home)}
    if found.operators_instance is None:
        url = dagster_yaml.own_storage(found)
        given["DAGSTER_PG_URL"] = url.render_as_string(hide_password=False)
    return given


def verb(found: Settings) -> str:
    """What starts this stack: `up` refuses the demo's."""
    return "demo" if found.is_demo else "up"


def prepare(found: Settings) -> dict[str, str]:
    """Dagster's home with its file, unless it is an operator's, and the variables in this process."""
    if ignored := settings.ignored_instance(found):
        console.narrate(f"DAGSTER_HOME is set; the demo leaves {ignored} alone and uses its own instance.")
    if found.operators_instance is None:
        _write_instance_file(found)
    given = variables(found)
    settings.export({**given, "DAGSTER_EVENT_BATCH_SIZE": "500", "DAGSTER_DISABLE_TELEMETRY": "1"})
    return given


def _write_instance_file(found: Settings) -> None:
    found.dagster_home.mkdir(parents=True, exist_ok=True)
    file = found.dagster_home / "dagster.yaml"
    if found.is_demo or not file.exists():  # elsewhere an operator may have changed it
        text = files("usage_pipeline.cli").joinpath("dagster.yaml").read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")


def create_storage(found: Settings) -> None:
    """Dagster's tables, before its processes race for them."""
    if dagster_instance.has_tables(found):
        return
    with console.step("Dagster's storage"), dagster_instance.opened(found):
        pass


def make_current(found: Settings) -> None:
    """The commands typed in this folder mean this stack from now on."""
    if not settings.is_under_root(found.home):
        return
    before = settings.current_home()
    if before and before != found.home:
        console.narrate(f"Commands typed in this folder mean {found.home} from now on, no longer {before}.")
    settings.make_current(found.home)


def write_env_file(found: Settings) -> None:
    """So that Dagster's own commands, typed in this folder, find the stack's instance.

    A `.env` overrules what is exported: where an operator's instance is used, one of ours must not stay.
    """
    if not settings.is_under_root(found.home):
        return
    if found.operators_instance:
        if settings.remove_env_file():
            console.narrate(".env named another instance to Dagster's own commands, and was removed.")
        return
    given = variables(found)
    if urls.holds_secret(dagster_yaml.own_storage(found)):
        del given["DAGSTER_PG_URL"]
        console.narrate("DAGSTER_PG_URL holds a password and is not copied to .env.")
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
