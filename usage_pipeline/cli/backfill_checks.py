"""What the checks of a backfill's runs found wrong: a line each; the numbers stand, and nothing fails."""

from typing import TYPE_CHECKING

from usage_pipeline.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg


def tell(found: "Iterable[dg.AssetCheckEvaluation]") -> None:
    """Each check that is red: its asset, its name, and its own line with periods, numbers and the command."""
    for each in found:
        if not each.passed:
            asset = each.asset_key.to_user_string()
            console.narrate(f"  {asset} {each.check_name}: {each.description}", style="yellow")
