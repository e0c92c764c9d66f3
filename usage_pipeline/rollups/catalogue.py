"""What the catalogue says of an asset whatever is in it: its table, columns, statements and files."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import dagster as dg

from usage_pipeline.engine import render
from usage_pipeline.families import registry
from usage_pipeline.rollups import columns
from usage_pipeline.warehouse import statements

_WHEN_RED: Final = (
    "When it is red: a failed run names the period, the reason and the command that helps; what it finished "
    "stays. A failed check does the same of numbers that stand. Computing a period again is always safe: "
    "`usage-pipeline backfill {asset} --from DAY --to DAY` changes nothing where nothing differs."
)


def of_asset(asset: str) -> dict[str, Any]:
    """Of an asset that a family fills, from the asset below or from raw rows."""
    family, grain = registry.of_asset(asset)
    found, period, below = columns.of(family), grain.run_period, grain.below
    main, _, _ = family.instant.rpartition(".")
    key = ", ".join(column.name for column in family.table.primary_key)
    return {
        "runbook": dg.MetadataValue.md(_WHEN_RED.format(asset=asset)),
        "dagster/table_name": str(family.table),
        "dagster/column_schema": columns.schema(found, key, period),
        "dagster/column_lineage": columns.lineage(found, below),
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=_files(*(("engine", "replace.py"), ("engine.sql", "look.sql"), *_rows_of(below)))
        ),
        "columns_from": columns.mapping(found, main, below),
        "sql": _executed(asset),
    }


def _executed(asset: str) -> dg.MarkdownMetadataValue:
    """What the runs of the asset execute: statements composed from its table."""
    found = render.statements(*registry.of_asset(asset))
    return dg.MetadataValue.md(
        "\n".join(f"{when.capitalize()}:\n```sql\n{text};\n```\n" for when, text in found)
    )


def shown(room: str, names: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Statements of a room as the page prints them."""
    fenced = (f"```sql\n{statements.read(room, name)}```\n" for name in names)
    return dg.MetadataValue.md("\n".join(fenced))


def _rows_of(below: str | None) -> list[tuple[str, str]]:
    """The file that says which rows a run should find."""
    return [("engine", "rows.py")] if below else [("families.tokens", "tokens_of_window.sql")]


def _files(*named: tuple[str, str]) -> list[dg.LocalFileCodeReference | dg.UrlCodeReference]:
    return [
        dg.LocalFileCodeReference(
            file_path=str(files(f"usage_pipeline.{room}").joinpath(name)), line_number=1, label=name
        )
        for room, name in named
    ]
