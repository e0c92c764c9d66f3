"""What Dagster's page is asked: whether it is ours, how its daemon is, what it shows as done."""

import http.client
import json
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import yaml

LOCATION: Final = "usage_pipeline"
"""Our definitions, as Dagster's workspace names them."""
NO_ANSWER: Final = (OSError, http.client.HTTPException, yaml.YAMLError, KeyError, TypeError, ValueError)
"""What asking a page that is not there, not ready, or not ours may raise."""
_READINESS: Final = (
    "{ instance { info } repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
)
_DAEMONS: Final = "{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"
_SENSOR: Final = (
    "query sensor($of: SensorSelector!) { sensorOrError(sensorSelector: $of) { ... on Sensor { sensorState"
    " { id status ticks(limit: 1) { timestamp }"
    " asked: ticks(limit: 1, statuses: [SUCCESS]) { timestamp } } } } }"
)
_START_SENSOR: Final = (
    "mutation start($of: SensorSelector!) { startSensor(sensorSelector: $of)"
    " { ... on Sensor { sensorState { status } } } }"
)
_STOP_SENSOR: Final = (
    "mutation stop($id: String) { stopSensor(id: $id)"
    " { ... on StopSensorMutationResult { instigationState { status } } } }"
)
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


def is_ready(address: str, folder: object, *, seconds: float = 30) -> bool:
    """Whether it is the page of the instance with this artifact folder, and knows our definitions."""
    answer = ask(address, _READINESS, seconds=seconds)
    info = yaml.safe_load(str(answer["instance"]["info"]))  # which folds and escapes what a path may hold
    is_ours = info["local_artifact_storage"]["config"].get("base_dir") == folder
    return is_ours and bool(answer["repositoriesOrError"]["nodes"])


def last_heartbeat(address: str, *, seconds: float = 30) -> float:
    """When the quietest of the daemons that are needed was last heard of; 0 if one never was."""
    health = ask(address, _DAEMONS, seconds=seconds)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return min((each["lastHeartbeatTime"] or 0.0 for each in health if each["required"]), default=0.0)


def sensor(address: str, name: str, *, seconds: float = 30) -> tuple[bool, datetime | None, datetime | None]:
    """Whether it is on, when it last looked, and when it last asked for a run."""
    found = _sensor(address, name, seconds)
    looked, asked = (found[key][0]["timestamp"] if found[key] else None for key in ("ticks", "asked"))
    return found["status"] == "RUNNING", _instant(looked), _instant(asked)


def switch_sensor(address: str, name: str, *, is_on: bool, seconds: float = 30) -> None:
    """As its switch on the page does."""
    if is_on:
        answer = ask(address, _START_SENSOR, {"of": _selector(name)}, seconds=seconds)
        status = answer["startSensor"]["sensorState"]["status"]
    else:
        known = _sensor(address, name, seconds)
        answer = ask(address, _STOP_SENSOR, {"id": known["id"]}, seconds=seconds)
        status = answer["stopSensor"]["instigationState"]["status"]
    if status != ("RUNNING" if is_on else "STOPPED"):
        raise ValueError(f"it says {status}")


def _sensor(address: str, name: str, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = ask(address, _SENSOR, {"of": _selector(name)}, seconds=seconds)["sensorOrError"]
    state: dict[str, Any] = found["sensorState"]
    return state


def _selector(name: str) -> dict[str, str]:
    return {
        "repositoryLocationName": LOCATION, "repositoryName": "__repository__", "sensorName": name,
    }  # fmt: skip


def _instant(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


def materialized_count(address: str, asset: str) -> int:
    """How many partitions of an asset the page shows as done."""
    found = ask(address, _PARTITIONS, {"key": {"path": [asset]}})["assetNodeOrError"]["partitionStats"]
    return int(found["numMaterialized"])
