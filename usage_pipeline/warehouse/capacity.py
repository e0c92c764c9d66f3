"""Checks of what the server has room for: sessions, space on its disk, and the settings that cost time."""

import shutil
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, RowMapping

from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_yaml, embedded, statements, urls
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.findings import Check, Finding
from usage_pipeline.warehouse.roles import Role

_BESIDE: Final = 4
"""Sessions beside those that compute: a process's lock, a backfill's record, its looks ahead, and a verb."""
_OF_DAGSTER: Final = 10
"""Sessions in its own storage: its web server and daemon at rest hold two, each page and run adds some."""
_LEAST_FREE: Final = 1024**3


def connections(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether every limit on sessions leaves as many as the stack needs."""
    storage = _storage_there(found)
    binds: dict[str, Any] = {
        "own": found.connections + _BESIDE,
        "dagster": _OF_DAGSTER if storage else 0,
        "dagster_database": storage.database if storage else None,
        "dagster_login": storage.username if storage else None,
    }
    with warehouse.begin(Role.LOGIN) as connection:
        rows = statements.run(connection, "warehouse.sql", "session_limits", **binds).mappings().all()
    narrow = [row for row in rows if row["left_to_us"] < row["needed"]]
    told = "; ".join(map(_limit, narrow or rows[:1]))
    return Finding(not narrow, told, "\n".join(str(row["remedy"]) for row in narrow) or None)


def disk(found: Settings, warehouse: Warehouse) -> Finding:
    """How much room the data take, and how much is left where we can see it: on the embedded server."""
    with warehouse.begin(Role.LOGIN) as connection:
        sizes = statements.run(connection, "warehouse.sql", "sizes").mappings().one()
    whole, ours = int(sizes["database_bytes"]), int(sizes["our_bytes"])
    told = f"the database takes {_size(whole)}, our tables {_size(ours)} of it"
    data = _data_here(found)
    if data is None:
        return Finding(True, told)
    free = shutil.disk_usage(data).free
    wanted = _room_wanted(whole if found.database_url is None else 0)
    told = f"{told}; {_size(free)} are free in {data}"
    return Finding(
        free >= wanted, told, None if free >= wanted else f"make room there, {_size(wanted)} or more"
    )


def tuning(found: Settings, warehouse: Warehouse) -> Finding:
    """The few settings of the server that measurably cost time; advice, nothing fails by them."""
    with warehouse.begin(Role.LOGIN) as connection:
        rows = statements.run(connection, "warehouse.sql", "settings_worth_having").mappings().all()
    low = [row for row in rows if row["is_low"]]
    told = ", ".join(f"{row['name']} {row['value']}" for row in rows)
    reasons = "".join(f"; {row['reason']}" for row in low)
    return Finding(True, f"{told}{reasons}", "\n".join(str(row["remedy"]) for row in low) or None)


def _storage_there(found: Settings) -> URL | None:
    """Dagster's storage, where it stands on the server of the aggregates and takes sessions of it."""
    if found.embeds_dagster and found.database_url:
        return None
    here = urls.read(found.database_url) if found.database_url else embedded.of(found.home).url("")
    try:
        storage = dagster_yaml.storage(found).url
    except Refusal:
        return None  # the check of Dagster's storage says why
    return storage if storage and urls.server(storage) == urls.server(here) else None


def _data_here(found: Settings) -> Path | None:
    """Where the embedded server keeps its data, the aggregates or Dagster's tables alone."""
    if found.database_url is not None and not found.embeds_dagster:
        return None
    data = embedded.of(found.home).data
    return data if data.exists() else None


def _limit(row: RowMapping) -> str:
    size, used, left, needed = (int(row[name]) for name in ("size", "used", "left_to_us", "needed"))
    return (
        f"{row['whose']} allows {size:,}, {used:,} are in use; {left:,} are left for us, who need {needed:,}"
    )


def _room_wanted(whole: int) -> int:
    # However small the data, the log of changes may grow to 1 GB (max_wal_size) between two checkpoints;
    # a tenth of large data is about what a vacuum or a new index of one of its tables takes for a while.
    return max(_LEAST_FREE, whole // 10)


def _size(count: int) -> str:
    return f"{count / 1024**3:,.1f} GB" if count >= 1024**3 else f"{count / 1024**2:,.1f} MB"


CHECKS: Final = (
    Check("sessions", connections),
    Check("disk", disk),
    Check("tuning", tuning),
)
