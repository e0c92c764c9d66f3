"""URLs of databases as they may be shown and stored: without what nobody else may read."""

from typing import Final

import psycopg
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from usage_pipeline.refusals import USAGE, Refusal

_SECRETS: Final = ("password", "sslpassword")


def read(text: str, variable: str) -> URL:
    """The URL that this variable holds; one that is none is refused without being repeated."""
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise Refusal(
            f"{variable} cannot be used",
            why="it must look like postgresql://user:password@host:5432/database",
            fix=f"correct {variable}",
            exit_code=USAGE,
        ) from None


def without_secrets(url: URL) -> URL:
    """The same place, for whoever brings the password along."""
    return URL.create(
        url.drivername, username=url.username, host=url.host, port=url.port, database=url.database
    ).set(query={key: value for key, value in url.query.items() if key not in _SECRETS})


def holds_secret(url: URL) -> bool:
    return bool(url.password) or any(key in url.query for key in _SECRETS)


def in_words(url: URL) -> str:
    """The place as a person says it."""
    host = url.host or url.query.get("host") or "the local socket"
    return f"{url.database or 'its default database'} at {host}" + (f":{url.port}" if url.port else "")


def first_line(error: psycopg.Error, url: URL) -> str:
    """Why a connection failed, without the secrets that brought it."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for secret in (url.password, *(url.query.get(key) for key in _SECRETS)):
        said = said.replace(str(secret), "***") if secret else said
    return said
