"""What the catalogue says of an asset whatever is in it: its table, columns, statements and files."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import dagster as dg

from usage_pipeline.engine import render
from usage_pipeline.families import registry
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import columns, token_columns
from usage_pipeline.rollups.token_columns import USER_TOKEN_USAGE
from usage_pipeline.warehouse import statements

_TABLE: Final = "usage.user_token_usage"
_KEY: Final = "period_type, period_start, user_id"
_WHEN_RED: Final = (
    "When it is red: a failed run names the period, the reason and the command that helps; what it finished "
    "stays. A failed check does the same of numbers that stand. Computing a period again is always safe: "
    "`usage-pipeline backfill {asset} --from DAY --to DAY` changes nothing where nothing differs."
)


def of_tokens(asset: str, grain: Grain, below: str | None = None) -> dict[str, Any]:
    """Of an asset that fills the table of tokens, from the asset below or from raw rows."""
    return {
        "runbook": dg.MetadataValue.md(_WHEN_RED.format(asset=asset)),
        "dagster/table_name": _TABLE,
        "dagster/column_schema": columns.schema(USER_TOKEN_USAGE, _KEY, grain),
        "dagster/column_lineage": columns.lineage(USER_TOKEN_USAGE, below),
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=_files(*(("engine", "replace.py"), ("engine.sql", "look.sql"), *_rows_of(below)))
        ),
        "columns_from": columns.mapping(USER_TOKEN_USAGE, token_columns.MAIN_SOURCE, below),
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
    return [("engine", "rows.py")] if below else [("rollups.sql", "tokens_of_window.sql")]


def _files(*named: tuple[str, str]) -> list[dg.LocalFileCodeReference | dg.UrlCodeReference]:
    return [
        dg.LocalFileCodeReference(
            file_path=str(files(f"usage_pipeline.{room}").joinpath(name)), line_number=1, label=name
        )
        for room, name in named
    ]
