"""`retention set`: how long after its end a period stays open; the database owns it."""

import click

from usage_pipeline import settings
from usage_pipeline.cli import console
from usage_pipeline.warehouse import policy, session
from usage_pipeline.warehouse.roles import Role


@click.group()
def retention() -> None:
    """Change how long what is stored may still change."""


@retention.command("set")
@click.option(
    "--grace-days",
    type=click.IntRange(1, settings.LONGEST_GRACE),
    required=True,
    help="So many days after its end the next run of a period seals it.",
)
def change(grace_days: int) -> None:
    """Change the grace of tokens in the database; what is sealed stays sealed."""
    with session.opened() as (found, warehouse), warehouse.begin(Role.WRITER) as connection:
        was = policy.known(connection).grace_days
        policy.change(connection, grace_days=grace_days)
        if "tokens_grace_days" in settings.stored(found):  # before the commit: both change, or none
            settings.store(found, tokens_grace_days=grace_days)
    console.narrate(f"The grace is {grace_days} days (it was {was}).")
    if settings.load().tokens_grace_days not in (None, grace_days):
        console.narrate(
            f"USAGE_TOKENS_GRACE_DAYS says otherwise: set it to {grace_days}, or unset it.", style="yellow"
        )
