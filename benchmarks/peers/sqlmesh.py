"""SQLMesh on Postgres: a model of the kind incremental by time range."""

from datetime import date, timedelta
from typing import Final

from benchmarks.peers import environments
from benchmarks.peers.place import Place, Variant

VERSION: Final = "SQLMesh 0.236.4"
RESULT: Final = "peer_sqlmesh.daily_tokens"
VARIANTS: Final = (
    Variant("a day in a batch, 4 at a time", days_in_a_batch=1, batches_at_once=4),
    Variant("a day in a batch, 2 at a time", days_in_a_batch=1, batches_at_once=2),
    Variant("all days in one batch", days_in_a_batch=10_000, batches_at_once=4),
)


def prepare(place: Place, variant: Variant = VARIANTS[0]) -> None:
    """The environment, the project, and what SQLMesh keeps of a loaded project for its next commands."""
    environments.install(place, "sqlmesh")
    environments.copy_project(place, "sqlmesh", variant)
    empty(place, variant)
    _plan(place, variant, "--explain")


def empty(place: Place, variant: Variant = VARIANTS[0]) -> None:
    """No result, no state: the state's tables are there, as `migrate` makes them once, and hold nothing."""
    place.run(environments.HERE / "sql" / "empty_sqlmesh.sql")
    environments.run(place, "sqlmesh", variant, "migrate")


def fill(place: Place, variant: Variant = VARIANTS[0]) -> None:
    """All days."""
    _plan(place, variant, "--auto-apply")


def night(place: Place, day: date, variant: Variant = VARIANTS[0]) -> None:
    """One day again: its rows are deleted and inserted."""
    window = ("--start", day.isoformat(), "--end", day.isoformat())
    _plan(place, variant, "--auto-apply", "--restate-model", RESULT, *window)


def _plan(place: Place, variant: Variant, *words: str) -> None:
    """For production, as of the midnight that ends the last day: SQLMesh computes every day before it."""
    now = (place.last + timedelta(days=1)).isoformat()
    environments.run(place, "sqlmesh", variant, "plan", "--no-prompts", "--execution-time", now, *words)
