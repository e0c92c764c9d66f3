"""The asset graph as text, as an analyst sees it; `python -m usage_pipeline_tests.graph` writes it anew."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from usage_pipeline_tests import conftest  # noqa: F401 - its environment, before the definitions are loaded

# isort: split
from usage_pipeline.definitions import defs

FILE: Final = Path(__file__).with_suffix(".txt")


def drawn() -> str:
    """Every asset, sources first: what it is, what it is made of, when it is computed, its columns."""
    graph = defs.resolve_asset_graph()
    blocks = (_asset(graph.get(key)) for key in graph.toposorted_asset_keys)
    return "\n".join("\n".join(line for line in block if line) + "\n" for block in blocks)


def _asset(node: Any) -> Iterator[str]:
    """A block of lines; the kind of node is Dagster's own."""
    yield node.key.to_user_string()
    yield from _facts(node)
    yield from (f"  check {each.name}" for each in sorted(node.check_keys))
    yield textwrap.indent(str(node.description or ""), "  | ", lambda _: True)
    for column in node.metadata["dagster/column_schema"].columns:
        meaning, _, extent = column.description.partition("\n\n")
        yield f"  {column.name} {column.type}: {meaning}"
        yield f"    {extent}" if extent else ""


def _facts(node: Any) -> Iterator[str]:
    kinds, owners, pools = (", ".join(sorted(some)) for some in (node.kinds, node.owners, node.pools or ()))
    parents = sorted(each.to_user_string() for each in node.parent_keys)
    yield f"  group {node.group_name}; kinds {kinds}; owners {owners}"
    yield f"  from {', '.join(parents) or 'the application'}"
    if node.is_executable:
        partitions = str(node.partitions_def).partition(",")[0]
        yield f"  {partitions}; {node.backfill_policy.policy_type.value}; pool {pools}"
    if node.freshness_policy:
        windows = (node.freshness_policy.warn_window, node.freshness_policy.fail_window)
        fresh, stale = (each.to_timedelta() for each in windows)
        yield f"  fresh for {fresh}, stale after {stale}"
    if node.automation_condition:
        labels = [each.get_label() for each in node.automation_condition.children]
        yield f"  computed by itself: {'; '.join(labels)}"


if __name__ == "__main__":
    FILE.write_text(drawn(), encoding="utf-8")
