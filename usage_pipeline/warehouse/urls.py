"""URLs of databases as they may be shown and stored: without what nobody else may read."""

from typing import Final

import psycopg
from psycopg import pq
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.settings import HARMLESS_OPTIONS

_KNOWN: Final = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def read(text: str, variable: str = "USAGE_DATABASE_URL", driver: str = "psycopg") -> URL:
    """A URL as a person writes it, for this driver; never repeated in an error, it may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    known = url is not None and url.get_backend_name() in ("postgresql", "postgres")
    if url is None or not known or "@" in (url.host or ""):  # the rest of a password with an @ in it
        raise Refusal(
            f"{variable} cannot be used",
            why="it must look like postgresql://user:password@host:5432/database"
            " (a special character in the password is written %XX)",
            fix=f"correct {variable}",
            exit_code=USAGE,
        )
    unknown = sorted(set(url.query) - _KNOWN)
    if unknown:
        raise Refusal(
            f"{variable} cannot be used",
            why=f"PostgreSQL's clients know no option `{unknown[0]}`",
            fix=f"take it out of {variable}",
            exit_code=USAGE,
        )
    return url.set(drivername=f"postgresql+{driver}")


def of_dagster(text: str) -> URL:
    """Where Dagster keeps its own tables; its driver has to be named, a bare URL means another one."""
    return read(text, "DAGSTER_PG_URL", "psycopg2")


def without_secrets(url: URL) -> URL:
    """The same place as a person writes it, for whoever brings the password along."""
    return URL.create(
        "postgresql", username=url.username, host=url.host, port=url.port, database=url.database
    ).set(query={key: value for key, value in url.query.items() if key in HARMLESS_OPTIONS})


def holds_secret(url: URL) -> bool:
    return bool(url.password) or not set(url.query) <= HARMLESS_OPTIONS


def in_words(url: URL) -> str:
    """The place as a person says it."""
    host = url.host or url.query.get("host") or "the local socket"
    return f"{url.database or 'its default database'} at {host}" + (f":{url.port}" if url.port else "")


def server(url: URL) -> tuple[object, int]:
    """The server a URL leads to, as far as its words tell."""
    return url.host or url.query.get("host"), url.port or 5432


def first_line(error: psycopg.Error, url: URL) -> str:
    """Why a connection failed, without the secrets that brought it."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for secret in (url.password, *(url.query[key] for key in set(url.query) - HARMLESS_OPTIONS)):
        said = said.replace(str(secret), "***") if secret else said
    return said
