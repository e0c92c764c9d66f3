"""`python3 dev.py bench`: the table of speeds."""

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from benchmarks import stage as stages
from benchmarks.bench import Bench
from benchmarks.report import document, page, table
from benchmarks.rows import Row
from benchmarks.versions.compare import ENGINE_REWRITTEN, compare
from benchmarks.works import QUICK, WORKS
from usage_pipeline.cli import program, stack
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse import failures
from usage_pipeline_tests.servers import PROGRAMS


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A tenth of the rows; floors, seed and pandas only.")
@click.option(
    "--only", type=click.Choice(list(WORKS)), multiple=True, help="This work, not all; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="The table as one JSON document.")
@click.option(
    "--against", metavar="[REVISION]", is_flag=False, flag_value=ENGINE_REWRITTEN,
    help="Instead: the engine of this checkout beside an older one; unnamed, with the engine before this.",
)  # fmt: skip
@click.option(
    "--postgres", type=click.Choice(list(PROGRAMS)), multiple=True, default=list(PROGRAMS),
    help="The servers of --against, all unless said.",
)  # fmt: skip
@click.option(
    "--page", "only_page", is_flag=True, help="Measure nothing; make the page of docs/speed.json anew."
)
def bench(
    quick: bool,
    only: tuple[str, ...],
    as_json: bool,
    against: str | None,
    postgres: tuple[str, ...],
    only_page: bool,
) -> None:
    """Measure this checkout side by side with what one would use instead.

    The data are made once, below `.usage/bench` (as root below `/var/lib`), and kept. Every side's rows are
    compared before a time is told. All of it at once also writes docs/speed.md, its chart and its numbers.
    """
    if against:
        with _alone(), stack.ending_on_signals():
            compare(against, postgres, click.echo)
        return
    if only_page:
        if quick or only or as_json:
            raise click.UsageError("--page stands alone")
        page.write(json.loads(page.DOCUMENT.read_text(encoding="utf-8")))
        return
    with _alone():
        found = _measure(quick, only)
    if not quick and not only:
        page.write(found)
        _say(f"written: {page.PAGE.relative_to(page.ROOT)}, its chart and its numbers")
    click.echo(document.written(found) if as_json else table.of(found), nl=False)


def _measure(quick: bool, only: tuple[str, ...]) -> dict[str, Any]:
    """The document of the works that were asked for, one after the other."""
    rows: list[Row] = []
    with stack.ending_on_signals(), failures.told("of the bench"), ExitStack() as running:
        given = Bench(quick, running, _say)
        for name in only or (QUICK if quick else WORKS):
            _say(f"== {name}")
            rows.extend(WORKS[name](given))
        return document.of(given, rows)


@contextmanager
def _alone() -> Iterator[None]:
    """Two at once would empty each other's tables, and slow each other."""
    stages.FOLDER.mkdir(parents=True, exist_ok=True)
    with (stages.FOLDER / "running.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                "another bench is running here", why="two would slow each other", fix="wait for it",
                exit_code=REFUSED,
            ) from None  # fmt: skip
        yield


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    sys.exit(program.run(bench, "python3 dev.py bench"))
