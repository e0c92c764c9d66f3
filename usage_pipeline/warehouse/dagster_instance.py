"""The Dagster instance that a stack uses: its own, or the one an operator exports as DAGSTER_HOME."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_tables, dagster_yaml

if TYPE_CHECKING:  # Dagster takes a second to load: only commands that open an instance pay for it
    import dagster as dg

FRESH: Final = 60
"""Seconds in which a daemon that works is heard from twice."""


def has_tables(found: Settings) -> bool:
    """Whether Dagster's tables exist; a storage that only Dagster can ask is taken to have them."""
    url = dagster_yaml.storage(found).url
    return url is None or dagster_tables.exist(url, set_in=_where_it_is_set(found))


def shows_work(found: Settings) -> bool:
    """Whether some run may be at work in its eyes; False spares whoever asks the loading of Dagster."""
    url = None if found.operators_instance else dagster_yaml.own_storage(found)
    return url is None or dagster_tables.show_work(url, set_in=_where_it_is_set(found))


@contextmanager
def opened(found: Settings) -> "Iterator[dg.DagsterInstance]":
    """The instance in use; a storage that is lost while the body works is a refusal too."""
    import dagster as dg
    from dagster_postgres.utils import DagsterPostgresException

    has_tables(found)  # Dagster itself would try for ten seconds
    try:
        with dagster_yaml.reading(found):
            instance = dg.DagsterInstance.from_ref(dagster_yaml.reference(found))
        with instance:
            yield instance
    except (DagsterPostgresException, SQLAlchemyError) as error:
        raise Refusal(
            f"Dagster's storage, {dagster_yaml.storage(found).words}, was lost or cannot be used",
            why=type(error).__name__,
            fix=f"check that it can be reached and written, and {_where_it_is_set(found)}",
        ) from None


@dataclass(frozen=True)
class Heartbeat:
    """The last that was heard from a daemon: its process by an id, which of its tasks, how long ago."""

    daemon_id: str
    task: str
    age_seconds: int

    @property
    def is_fresh(self) -> bool:
        return self.age_seconds < FRESH


def heartbeat(instance: "dg.DagsterInstance") -> Heartbeat | None:
    """Of the daemon that was heard from last; None if none ever was."""
    beats = instance.get_daemon_heartbeats().values()
    newest = max(beats, key=lambda each: each.timestamp, default=None)
    if newest is None:
        return None
    age = round(time.time() - newest.timestamp)
    return Heartbeat(str(newest.daemon_id), str(newest.daemon_type), age)


def _where_it_is_set(found: Settings) -> str:
    if found.operators_instance:
        return str(found.dagster_home / "dagster.yaml")
    return "DAGSTER_PG_URL, or unset that to use the stack's own server"
