"""`python3 dev.py bench`: the table of speeds."""

import sys
from contextlib import ExitStack
from typing import Any

import click

from benchmarks.bench import Bench
from benchmarks.child import Broken
from benchmarks.peers.place import Failed
from benchmarks.report import document, page, table
from benchmarks.rows import Row
from benchmarks.sides.equality import Unequal
from benchmarks.works import QUICK, WORKS
from usage_pipeline.cli import stack


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A tenth of the rows; floors, seed and pandas only.")
@click.option(
    "--only", type=click.Choice(list(WORKS)), multiple=True, help="This work, not all; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="The table as one JSON document.")
def main(quick: bool, only: tuple[str, ...], as_json: bool) -> None:
    """Measure this checkout side by side with what one would use instead.

    The data are made once, below `.usage/bench`, and kept. Every side's rows are compared before a
    time is told.
    """
    try:
        found = measure(quick, only)
    except (Broken, Failed, Unequal) as failure:
        raise click.ClickException(str(failure)) from None
    if not quick and not only:
        page.write(found)
        click.echo(f"written: {page.PAGE.relative_to(page.ROOT)}, its chart and its numbers", err=True)
    click.echo(document.written(found) if as_json else table.of(found), nl=False)


def measure(quick: bool, only: tuple[str, ...]) -> dict[str, Any]:
    """The document of the works that were asked for, one after the other."""
    rows: list[Row] = []
    with stack.ending_on_signals(), ExitStack() as running:
        bench = Bench(quick, running, lambda text: click.echo(text, err=True))
        for name in only or (QUICK if quick else WORKS):
            bench.say(f"== {name}")
            rows.extend(WORKS[name](bench))
        return document.of(bench, rows)


if __name__ == "__main__":
    sys.exit(main())
