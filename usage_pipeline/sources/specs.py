"""The application's tables as Dagster sees them: external, described, never runnable."""

from collections.abc import Iterator

import dagster as dg

from usage_pipeline.sources.adapters import ADAPTERS, Adapter, Table

GROUP = "sources"


def specs() -> list[dg.AssetSpec]:
    """One external asset per table of every adapter; no asset is computed from its directory."""
    return [
        _spec(adapter, table)
        for adapter in ADAPTERS.values()
        for table in (*adapter.tables, adapter.directory.table)
    ]


def keys(supplies: str) -> Iterator[dg.AssetKey]:
    """The tables that a function of the contract reads."""
    for adapter in ADAPTERS.values():
        if adapter.supplies == supplies:
            yield from (key(table) for table in adapter.tables)


def key(table: Table) -> dg.AssetKey:
    return dg.AssetKey(table.name.rpartition(".")[2])


def _spec(adapter: Adapter, table: Table) -> dg.AssetSpec:
    columns = [
        dg.TableColumn(
            column.name,
            description=column.meaning,
            constraints=dg.TableColumnConstraints(
                other=[f"may be missing: {column.default}"] if column.default else []
            ),
        )
        for column in table.columns
    ]
    return dg.AssetSpec(
        key(table),
        group_name=GROUP,
        description=f"{table.meaning}\n\nThe application's own; read through the adapter `{adapter.name}`.",
        kinds={"postgres"},
        owners=["team:application"],
        tags={"adapter": adapter.name},
        metadata={
            "dagster/table_name": table.name,
            "dagster/column_schema": dg.TableSchema(columns=columns),
        },
    )
