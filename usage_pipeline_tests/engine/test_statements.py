"""The composed statements are read by a person before they change: their text is a snapshot."""

from pathlib import Path
from typing import Final

import pytest

from usage_pipeline.engine import render
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline_tests.verbs import Verbs

SNAPSHOTS: Final = Path(__file__).parent / "statements"


@pytest.mark.parametrize("asset", ["tokens_daily", "tokens_weekly", "tokens_monthly"])
def test_the_statements_of_an_asset_are_those_that_were_read(verbs: Verbs, asset: str) -> None:
    """After a change that is meant: `usage-pipeline sql ASSET > …/statements/ASSET.sql`."""
    assert verbs("sql", asset).out == (SNAPSHOTS / f"{asset}.sql").read_text(encoding="utf-8")


def test_an_asset_that_does_not_exist_is_one_line(verbs: Verbs) -> None:
    done = verbs("sql", "tokens_hourly")
    assert (done.code, len(done.said.splitlines())) == (2, 1)
    assert "there is no asset `tokens_hourly`" in done.said
    assert "tokens_daily, tokens_weekly, tokens_monthly, tokens_yearly" in done.said


def test_years_differ_from_weeks_by_their_names() -> None:
    """So they need no snapshot of their own."""
    weekly, yearly = (
        " ".join(text for _, text in render.statements(each.family, each.level))
        for each in (ROLLUPS["tokens_weekly"], ROLLUPS["tokens_yearly"])
    )
    for name, other in (("weekly", "yearly"), ("daily", "monthly")):
        weekly = weekly.replace(f"'{name}'", f"'{other}'").replace(f"tokens_{name}", f"tokens_{other}")
    assert weekly.split() == yearly.split()
