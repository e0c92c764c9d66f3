"""`sql`: the statements that the runs of an asset execute, without a database."""

import click

from usage_pipeline.engine import render
from usage_pipeline.rollups.rollup import ROLLUPS


@click.command("sql")
@click.argument("asset", type=click.Choice(list(ROLLUPS)))
def sql(asset: str) -> None:
    """Print the statements that the runs of an asset execute; what a run binds is written as :name."""
    rollup = ROLLUPS[asset]
    for when, text in render.statements(rollup.family, rollup.level):
        click.echo(f"-- {asset}: {when}\n{text};\n")
