"""Dagster's Postgres storage, on a server that runs for as long as some process of Dagster's needs it."""

import atexit
from contextlib import ExitStack
from functools import cache
from typing import Self

from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy.engine import make_url

from usage_pipeline import settings
from usage_pipeline.warehouse import embedded, urls


class StackStorage(DagsterPostgresStorage):
    """The storage that `dagster.yaml` names: so Dagster's own commands work while no stack runs."""

    @classmethod
    def from_config_value(  # type: ignore[override]  # as Dagster's own storage does
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> Self:
        given = urls.of_dagster(pg_url_from_config(config_value))
        url = given.render_as_string(hide_password=False)
        _hold(url)
        return cls(postgres_url=url, should_autocreate_tables=True, inst_data=inst_data)


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
