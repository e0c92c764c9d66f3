"""The composed statements are read by a person before they change: their text is a snapshot."""

from pathlib import Path

import pytest

from usage_pipeline.engine import render
from usage_pipeline.families import registry
from usage_pipeline_tests.verbs import Verbs

SNAPSHOTS = Path(__file__).parent / "statements"


@pytest.mark.parametrize("asset", registry.ASSETS)
def test_the_statements_of_an_asset_are_those_that_were_read(asset: str) -> None:
    """After a change that is meant: `usage-pipeline sql ASSET > …/statements/ASSET.sql`."""
    found = "".join(
        f"-- {asset}: {when}\n{text};\n\n" for when, text in render.statements(*registry.of_asset(asset))
    )
    assert found == (SNAPSHOTS / f"{asset}.sql").read_text(encoding="utf-8")


def test_the_verb_prints_them(verbs: Verbs) -> None:
    done = verbs("sql", "tokens_daily")
    assert done.out == (SNAPSHOTS / "tokens_daily.sql").read_text(encoding="utf-8")
