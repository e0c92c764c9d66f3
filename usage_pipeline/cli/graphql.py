"""What Dagster's page is asked: whether it is ours, how its daemon is, what it shows as done."""

import http.client
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

NO_ANSWER: Final = (OSError, http.client.HTTPException, yaml.YAMLError, KeyError, TypeError, ValueError)
"""What asking a page that is not there, not ready, or not ours may raise."""
_READINESS: Final = (
    "{ instance { info } repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
)
_DAEMONS: Final = "{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"
_PARTITIONS: Final = (
    "query partitions($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key)"
    " { ... on AssetNode { partitionStats { numMaterialized } } } }"
)


def ask(
    address: str, query: str, values: Mapping[str, object] | None = None, *, seconds: float = 30
) -> dict[str, Any]:
    """One GraphQL query to a page; what is no answer ends in one of `NO_ANSWER`."""
    body = json.dumps({"query": query, "variables": values or {}}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/graphql", body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - our own server
        data: dict[str, Any] = json.load(answer)["data"]
        return data


def is_ready(address: str, home: Path, *, seconds: float = 30) -> bool:
    """Whether it is the page of this DAGSTER_HOME, not a stranger's, and knows our definitions."""
    answer = ask(address, _READINESS, seconds=seconds)
    info = yaml.safe_load(str(answer["instance"]["info"]))  # which folds and escapes what a path may hold
    is_ours = info["local_artifact_storage"]["config"]["base_dir"] == str(home)
    return is_ours and bool(answer["repositoriesOrError"]["nodes"])


def last_heartbeat(address: str, *, seconds: float = 30) -> float:
    """When the quietest of the daemons that are needed was last heard of; 0 if one never was."""
    health = ask(address, _DAEMONS, seconds=seconds)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return min((each["lastHeartbeatTime"] or 0.0 for each in health if each["required"]), default=0.0)


def materialized_count(address: str, asset: str) -> int:
    """How many partitions of an asset the page shows as done."""
    found = ask(address, _PARTITIONS, {"key": {"path": [asset]}})["assetNodeOrError"]["partitionStats"]
    return int(found["numMaterialized"])
