"""What the dagster.yaml of an instance says: where its tables are, and why Dagster cannot use it."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from usage_pipeline import refusals
from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import embedded, urls

if TYPE_CHECKING:  # Dagster takes a second to load: only commands that need an operator's instance pay for it
    from dagster._core.instance.ref import InstanceRef
    from dagster._serdes import ConfigurableClassData

_NO_TELEMETRY: Final = {"telemetry": {"enabled": False}}
"""It writes into the login's own folder, and a run fails where that is closed."""


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
    data = reference(found).storage_data
    assert data is not None
    return _storage(found, data)


def artifacts(found: Settings) -> str | None:
    """The folder by which the page of this instance is recognised."""
    if found.operators_instance is None:
        return str(found.dagster_home)
    data = reference(found).local_artifact_storage_data
    return data.config_dict.get("base_dir")


def reference(found: Settings) -> "InstanceRef":
    """The instance as its dagster.yaml describes it; nothing is opened."""
    from dagster._core.instance.ref import InstanceRef

    require(found)
    warnings = logging.getLogger("dagster")
    with reading(found):
        warnings.disabled = True  # that there is no dagster.yaml, which is as usual as a default one
        try:
            return InstanceRef.from_dir(str(found.dagster_home), overrides=_NO_TELEMETRY)
        finally:
            warnings.disabled = False


@contextmanager
def reading(found: Settings) -> Iterator[None]:
    """What Dagster says of a dagster.yaml that it cannot use, in one line and without the file's values."""
    from dagster import DagsterError
    from dagster._check import CheckError
    from yaml import YAMLError

    try:
        yield
    except OSError as error:
        raise refusals.of_system(error, elsewhere="DAGSTER_HOME") from None
    except (DagsterError, CheckError, YAMLError, ImportError) as error:
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
    from dagster._check import CheckError
    from yaml import MarkedYAMLError

    if isinstance(error, CheckError):  # which repeats what it was given
        named = re.search(r"Couldn't import module [\w.]+", str(error))
        return named[0] if named else "it holds no settings of Dagster's"
    if isinstance(error, MarkedYAMLError):
        return f"line {error.problem_mark.line + 1} is no YAML" if error.problem_mark else "it is no YAML"
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

    with reading(found):
        result = process_config(pg_config(), config)
        if not result.success or result.value is None:
            raise DagsterInvalidConfigError("", result.errors or [], config)  # type: ignore[no-untyped-call]
        text = pg_url_from_config(result.value)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _unusable(found, "its postgres_url is no URL") from None
    return Storage(urls.in_words(url), None if config.get("auth_provider") else url)
