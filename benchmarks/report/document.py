"""The table as a document: what was measured, on what, with which versions."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.peers import dbt, sqlmesh
from benchmarks.rows import Row
from benchmarks.world.data import Size
from usage_pipeline.warehouse import binaries


def of(bench: Bench, rows: Sequence[Row]) -> dict[str, Any]:
    """All of it, plain enough for JSON."""
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "size": "quick" if bench.is_quick else "full",
        "data": _data(bench.size),
        "machine": machine(bench.cores),
        "versions": versions(),
        "rows": [_without_bar(row) if bench.is_quick else row.document() for row in rows],
    }


def _without_bar(row: Row) -> dict[str, Any]:
    """Bars are for all the rows: with a tenth of them a command is mostly its start."""
    return {**row.document(), "bar": None, "met": None}


def written(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _data(size: Size) -> str:
    """The chat in a line."""
    first, last = size.first_day, size.first_day + timedelta(days=size.day_count - 1)
    return (
        f"{size.conversations_per_day * size.day_count:,} conversations of {size.users:,} users,"
        f" {size.day_count} days from {first} to {last}"
    )


def machine(cores: int) -> dict[str, Any]:
    """What the numbers depend on and the reader may not have."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": cores,
        "memory_gib": round(pages / 2**30),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    ours = {name: version(name) for name in ("usage-pipeline", "dagster", "pandas", "psycopg", "SQLAlchemy")}
    peers = {"SQLMesh": sqlmesh.VERSION.removeprefix("SQLMesh "), "dbt": dbt.VERSION}
    return {"Python": platform.python_version(), "PostgreSQL": _server(), **ours, **peers}


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _server() -> str:
    program = binaries.of_wheel() / "bin" / "postgres"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1]
