"""The Dagster instance that a stack uses: its own, or the one an operator exports as DAGSTER_HOME."""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_tables, embedded, urls

if TYPE_CHECKING:  # Dagster takes a second to load: only commands that open an instance pay for it
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef
    from dagster._serdes import ConfigurableClassData

_NO_TELEMETRY: Final = {"telemetry": {"enabled": False}}
"""It writes into the login's own folder, and a run fails where that is closed."""
FRESH: Final = 60
"""Seconds in which a daemon that works is heard from twice."""


@dataclass(frozen=True)
class Storage:
    """Where an instance keeps its tables, in words without a secret; `url` where that is PostgreSQL."""

    words: str
    url: URL | None = None


def own_storage(found: Settings) -> URL:
    """Where the stack's own instance keeps its tables; with the driver named, which Dagster needs."""
    if found.dagster_pg_url is None:
        return embedded.of(found.home).url(embedded.DAGSTER_DATABASE, driver="psycopg2")
    return urls.of_dagster(found.dagster_pg_url)


def storage(found: Settings) -> Storage:
    """The storage of the instance in use, as its dagster.yaml says; nothing is opened."""
    if found.operators_instance is None:
        url = own_storage(found)
        return Storage(urls.in_words(url), url)
    data = _reference(found).storage_data
    assert data is not None
    return _storage(found, data)


def require(found: Settings) -> None:
    """Refuse a DAGSTER_HOME that Dagster could not use, before anything is done."""
    home = found.operators_instance
    if home is None or (home.is_absolute() and home.is_dir()):
        return
    why = "it does not exist" if not home.exists() else "it is no folder"
    raise Refusal(
        f"DAGSTER_HOME is {home}, and no Dagster instance can be there",
        why=why if home.is_absolute() else "it is no absolute path",
        fix="export the folder of your instance, or unset DAGSTER_HOME to use the stack's own",
    )


def has_tables(found: Settings) -> bool:
    """Whether Dagster's tables exist; a storage that only Dagster can ask is taken to have them."""
    url = storage(found).url
    return url is None or dagster_tables.exist(url, set_in=_where_it_is_set(found))


def shows_work(found: Settings) -> bool:
    """Whether some run may be at work in its eyes; False spares whoever asks the loading of Dagster."""
    url = None if found.operators_instance else own_storage(found)
    return url is None or dagster_tables.show_work(url, set_in=_where_it_is_set(found))


@contextmanager
def opened(found: Settings) -> "Iterator[dg.DagsterInstance]":
    """The instance in use; a storage that is lost while the body works is a refusal too."""
    import dagster as dg
    from dagster_postgres.utils import DagsterPostgresException

    has_tables(found)  # Dagster itself would try for ten seconds
    try:
        with _reading(found):
            instance = dg.DagsterInstance.from_ref(_reference(found))
        with instance:
            yield instance
    except (DagsterPostgresException, SQLAlchemyError) as error:
        raise Refusal(
            f"Dagster's storage, {storage(found).words}, was lost or cannot be used",
            why=type(error).__name__,
            fix=f"check that it can be reached and written, and {_where_it_is_set(found)}",
        ) from None


def artifacts(found: Settings) -> str | None:
    """The folder by which the page of this instance is recognised."""
    if found.operators_instance is None:
        return str(found.dagster_home)
    data = _reference(found).local_artifact_storage_data
    return data.config_dict.get("base_dir")


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


def _reference(found: Settings) -> "InstanceRef":
    from dagster._core.instance.ref import InstanceRef

    require(found)
    warnings = logging.getLogger("dagster")
    with _reading(found):
        warnings.disabled = True  # that there is no dagster.yaml, which is as usual as a default one
        try:
            return InstanceRef.from_dir(str(found.dagster_home), overrides=_NO_TELEMETRY)
        finally:
            warnings.disabled = False


@contextmanager
def _reading(found: Settings) -> Iterator[None]:
    """What Dagster says of a dagster.yaml that it cannot use, in one line and without the file's values."""
    from dagster import DagsterError
    from dagster._check import CheckError
    from yaml import YAMLError

    try:
        yield
    except (DagsterError, CheckError, YAMLError, ImportError, OSError) as error:
        raise _unusable(found, _reason(error)) from None


def _unusable(found: Settings, why: str) -> Refusal:
    return Refusal(
        f"the Dagster instance in {found.dagster_home} cannot be used",
        why=why,
        fix=f"correct {found.dagster_home / 'dagster.yaml'}, or export the variable it names",
    )


def _reason(error: BaseException) -> str:
    """The first of its reasons, up to where it would repeat a value, which may be a password."""
    from dagster import DagsterInvalidConfigError

    if not isinstance(error, DagsterInvalidConfigError) or not error.errors:
        return str(error)
    said = error.errors[0].message
    unset = re.search('environment variable "[^"]*" which is not set', said)
    return unset[0].replace("which ", "") if unset else said.partition(". ")[0].splitlines()[0]


def _storage(found: Settings, data: "ConfigurableClassData") -> Storage:
    """A unified storage, or that of the runs where the file names one for each part."""
    config = data.config_dict or {}
    if "run_storage" in config:
        return _storage(found, type(data)(**config["run_storage"]))
    if {"postgres_url", "postgres_db"} & config.keys():
        return _postgres(found, config)
    if data.class_name.lower().startswith(("dagstersqlite", "sqlite")):
        return Storage(f"SQLite in {config.get('base_dir', found.dagster_home)}")
    return Storage(data.class_name)


def _postgres(found: Settings, config: Mapping[str, Any]) -> Storage:
    """A token instead of a password is the provider's to fetch: then only Dagster can connect."""
    from dagster import DagsterInvalidConfigError
    from dagster._config import process_config
    from dagster_postgres.utils import pg_config, pg_url_from_config

    with _reading(found):
        result = process_config(pg_config(), config)
        if not result.success or result.value is None:
            raise DagsterInvalidConfigError("", result.errors or [], config)  # type: ignore[no-untyped-call]
        text = pg_url_from_config(result.value)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _unusable(found, "its postgres_url is no URL") from None
    return Storage(urls.in_words(url), None if config.get("auth_provider") else url)


def _where_it_is_set(found: Settings) -> str:
    if found.operators_instance:
        return str(found.dagster_home / "dagster.yaml")
    return "DAGSTER_PG_URL, or unset that to use the stack's own server"
