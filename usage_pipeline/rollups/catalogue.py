"""What the catalogue says of an asset whatever is in it: its table, columns, statements and files."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any, Final

import dagster as dg

from usage_pipeline.engine import render
from usage_pipeline.rollups import columns
from usage_pipeline.rollups.rollup import Rollup

_WHEN_RED: Final = (
    "When it is red: a failed run names the period, the reason and the command that helps; what it finished "
    "stays. A failed check does the same of numbers that stand. Computing a period again is always safe: "
    "`usage-pipeline backfill {asset} --from DAY --to DAY` changes nothing where nothing differs."
)


def of(rollup: Rollup) -> dict[str, Any]:
    """Of an asset that a family fills, from the asset below or from raw rows."""
    family, period, below = rollup.family, rollup.grain, rollup.level.below
    found = columns.of(family)
    main, _, _ = family.instant.rpartition(".")
    key = ", ".join(column.name for column in family.table.primary_key)
    return {
        "runbook": dg.MetadataValue.md(_WHEN_RED.format(asset=rollup.name)),
        "dagster/table_name": str(family.table),
        "dagster/column_schema": columns.schema(found, key, period),
        "dagster/column_lineage": columns.lineage(found, below),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=_files(rollup)),
        "columns_from": columns.mapping(found, main, below),
        "sql": _executed(rollup),
    }


def _executed(rollup: Rollup) -> dg.MarkdownMetadataValue:
    """What the runs of the asset execute: statements composed from its table."""
    found = render.statements(rollup.family, rollup.level)
    return dg.MetadataValue.md(
        "\n".join(f"{when.capitalize()}:\n```sql\n{text};\n```\n" for when, text in found)
    )


def shown(texts: Iterable[str]) -> dg.MarkdownMetadataValue:
    """Statements as the page prints them."""
    return dg.MetadataValue.md("\n".join(f"```sql\n{each}```\n" for each in texts))


def _files(rollup: Rollup) -> list[dg.LocalFileCodeReference | dg.UrlCodeReference]:
    """What looks, what writes, and what says which rows a run should find."""
    engine, family = "usage_pipeline.engine", rollup.family
    rows = (family.package, "window.sql") if rollup.reads_raw else (engine, "rows.py")
    return [
        dg.LocalFileCodeReference(file_path=str(files(package).joinpath(name)), line_number=1, label=name)
        for package, name in ((engine, "replace.py"), (f"{engine}.sql", "look.sql"), rows)
    ]
