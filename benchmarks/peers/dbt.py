"""dbt on Postgres: an incremental model in microbatches of a day."""

from datetime import date, timedelta
from typing import Final

from benchmarks.peers import environments
from benchmarks.peers.place import Place, Variant

VERSION: Final = "dbt-core 1.11.16, dbt-postgres 1.11.0"
RESULT: Final = "peer_dbt.daily_tokens"
VARIANTS: Final = (Variant("a day in a batch, one at a time", days_in_a_batch=1, batches_at_once=1),)
"""One: a model may ask for concurrent batches, and this adapter still runs one after another."""


def prepare(place: Place, variant: Variant = VARIANTS[0]) -> None:
    """The environment, the project, and what dbt keeps of a parsed project for its next commands."""
    environments.install(place, "dbt")
    environments.copy_project(place, "dbt", variant)
    empty(place, variant)
    environments.run(place, "dbt", variant, "parse")


def empty(place: Place, variant: Variant = VARIANTS[0]) -> None:
    """No result; dbt has no state but the table itself."""
    place.run(environments.HERE / "sql" / "empty_dbt.sql")


def fill(place: Place, variant: Variant = VARIANTS[0]) -> None:
    """All days."""
    _run(place, variant, place.first, place.last)


def night(place: Place, day: date, variant: Variant = VARIANTS[0]) -> None:
    """One day again; the merge changes and adds rows, and takes none away."""
    _run(place, variant, day, day)


def _run(place: Place, variant: Variant, first: date, last: date) -> None:
    end = last + timedelta(days=1)
    window = ("--event-time-start", first.isoformat(), "--event-time-end", end.isoformat())
    environments.run(place, "dbt", variant, "run", *window)
