"""Dagster's Postgres storage, on a server that runs for as long as some process of Dagster's needs it."""

import atexit
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from itertools import groupby
from typing import Final, Self

from dagster import DagsterEventType, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.storage.config import PostgresStorageConfig
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Engine, create_engine, make_url

from usage_pipeline import settings
from usage_pipeline.warehouse import embedded, urls

_PLANNED: Final = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_DONE: Final = DagsterEventType.ASSET_MATERIALIZATION


class StackEvents(PostgresEventLogStorage):
    """The event log: what a run plans and has done for each partition is written many at a time."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Dagster's own writes a run's plan event by event, fifteen milliseconds for each partition."""
        for kind, some in groupby(events, lambda event: event.get_dagster_event().event_type):
            if kind in (_PLANNED, _DONE):
                self._store_together(list(some))
            else:
                super().store_event_batch(list(some))

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        statement = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        rows = [self._event_to_row(event) for event in events]
        with self.index_transaction() as connection:
            ids = [int(row[0]) for row in connection.execute(statement, rows)]
            self._store_asset_event_tags(connection, events, ids)
            pairs = zip(events, ids, strict=True)
            newest = {event.get_dagster_event().asset_key: (event, event_id) for event, event_id in pairs}
            for event, event_id in newest.values():
                self._store_asset_event(connection, event, event_id)

    def store_asset_check_event(self, event: EventLogEntry, event_id: int | None) -> None:
        """A check of ours speaks of a whole run; Dagster plans it for each of the run's partitions.

        None of those ever comes: they would stand for ever in the check's history, hundreds to a run.
        """
        super().store_asset_check_event(_of_the_whole_run(event), event_id)

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


def _of_the_whole_run(event: EventLogEntry) -> EventLogEntry:
    told = event.get_dagster_event()
    planned = told.event_specific_data
    if not isinstance(planned, AssetCheckEvaluationPlanned):
        return event
    whole = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=told._replace(event_specific_data=whole))


class StackStorage(DagsterPostgresStorage):
    """The storage that `dagster.yaml` names: so Dagster's own commands work while no stack runs.

    Its three parts share a connection that stays open; Dagster's own open one for each statement.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, should_autocreate_tables=True, inst_data=inst_data)
        self._event_log_storage = StackEvents(postgres_url, should_autocreate_tables=False)
        engine = _engine(postgres_url)
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = engine

    @classmethod
    def from_config_value(  # type: ignore[override]  # as Dagster's own storage does
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> Self:
        given = urls.of_dagster(pg_url_from_config(config_value))
        url = given.render_as_string(hide_password=False)
        _hold(url)
        return cls(postgres_url=url, inst_data=inst_data)


def _engine(url: str) -> Engine:
    """One connection, more while threads need them; one that the server ended is opened anew."""
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=-1,
        pool_pre_ping=True,
        pool_recycle=300,
        hide_parameters=True,
    )


@cache
def _hold(url: str) -> None:
    """Keep the stack's embedded server up until this process ends, if that is where the URL leads."""
    host = make_url(url).query.get("host")
    home = settings.load().home
    if not host or not (home / "settings.toml").exists():
        return
    server = embedded.of(home)
    if str(server.sockets) == host and server.data.exists():
        holding = ExitStack()
        holding.enter_context(embedded.held(server))
        atexit.register(holding.close)
