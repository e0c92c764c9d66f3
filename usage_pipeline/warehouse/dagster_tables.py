"""Dagster's storage, asked without loading Dagster."""

import psycopg
from sqlalchemy import URL

from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import statements, urls


def exist(url: URL, *, set_in: str) -> bool:
    """Whether Dagster's tables were made already in this database; `set_in` names it for the fix."""
    return _answer(url, "dagster_tables_exist", set_in)


def show_work(url: URL, *, set_in: str) -> bool:
    """Whether Dagster believes that some run is at work."""
    return _answer(url, "dagster_runs_at_work", set_in)


def _answer(url: URL, name: str, set_in: str) -> bool:
    question = statements.read("warehouse.sql", name).encode()
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, connect_timeout=10, autocommit=True) as connection:
            found = connection.execute(question).fetchone()
    except psycopg.Error as error:
        raise Refusal(
            f"Dagster's storage, {urls.in_words(url)}, cannot be reached",
            why=urls.first_line(error, url),
            fix=f"check that it runs, and {set_in}",
        ) from None
    return found is not None and bool(found[0])
