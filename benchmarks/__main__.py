"""`python3 dev.py bench`: the table of speeds."""

import sys
from contextlib import ExitStack

import click

from benchmarks.bench import Bench
from benchmarks.report import document, page, table
from benchmarks.rows import Row
from benchmarks.works import WORKS
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
    rows: list[Row] = []
    with stack.ending_on_signals(), ExitStack() as running:
        bench = Bench(quick, running, lambda text: click.echo(text, err=True))
        for name in only or WORKS:
            bench.say(f"== {name}")
            rows.extend(WORKS[name](bench))
    found = document.of(bench, rows)
    if not quick and not only:
        page.write(found)
        bench.say(f"written: {page.PAGE.relative_to(page.ROOT)}, its chart and its numbers")
    click.echo(document.written(found) if as_json else table.of(found), nl=False)


if __name__ == "__main__":
    sys.exit(main())
