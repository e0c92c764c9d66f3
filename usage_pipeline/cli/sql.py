"""`sql`: the statements that the runs of an asset execute, without a database."""

import click

from usage_pipeline.engine import render
from usage_pipeline.families import registry


@click.command("sql")
@click.argument("asset", type=click.Choice(registry.ASSETS))
def sql(asset: str) -> None:
    """Print the statements that the runs of an asset execute; what a run binds is written as :name."""
    for when, text in render.statements(*registry.of_asset(asset)):
        click.echo(f"-- {asset}: {when}\n{text};\n")
