"""What the checks of a backfill's runs found wrong: a line each; the numbers stand, and nothing fails."""

from typing import TYPE_CHECKING

from usage_pipeline.cli import console

if TYPE_CHECKING:
    import dagster as dg


def tell(run: "dg.ExecuteInProcessResult") -> None:
    """Each check that is red: its asset, its name, and its own line with periods, numbers and the command."""
    for each in run.get_asset_check_evaluations():
        if not each.passed:
            asset = each.asset_key.to_user_string()
            console.narrate(f"  {asset} {each.check_name}: {each.description}", style="yellow")
