"""`sql`: the statements that the runs of an asset execute, without a database."""

import click

from usage_pipeline.cli import asked
from usage_pipeline.engine import render


@click.command("sql")
@click.argument("asset")
def sql(asset: str) -> None:
    """Print the statements that the runs of ASSET execute; what a run binds is written as :name."""
    rollup = asked.rollup(asset)
    for when, text in render.statements(rollup.family, rollup.level):
        click.echo(f"-- {asset}: {when}\n{text};\n")
