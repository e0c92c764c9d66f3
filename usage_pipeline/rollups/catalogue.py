"""What the catalogue says of an asset whatever is in it: its table, columns, statements and files."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import dagster as dg

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


def of_tokens(asset: str, grain: Grain, sql: Sequence[str], below: str | None = None) -> dict[str, Any]:
    """Of an asset that fills the table of tokens with these statements of the room, from the asset below."""
    return {
        "runbook": dg.MetadataValue.md(_WHEN_RED.format(asset=asset)),
        "dagster/table_name": _TABLE,
        "dagster/column_schema": columns.schema(USER_TOKEN_USAGE, _KEY, grain),
        "dagster/column_lineage": columns.lineage(USER_TOKEN_USAGE, below),
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=[_file(name) for name in sql]
        ),
        "columns_from": columns.mapping(USER_TOKEN_USAGE, token_columns.MAIN_SOURCE, below),
        "sql": shown("rollups.sql", sql),
    }


def shown(room: str, names: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Statements of a room as the page prints them."""
    fenced = (f"```sql\n{statements.read(room, name)}```\n" for name in names)
    return dg.MetadataValue.md("\n".join(fenced))


def _file(name: str) -> dg.LocalFileCodeReference:
    path = files("usage_pipeline.rollups.sql").joinpath(f"{name}.sql")
    return dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=f"{name}.sql")
