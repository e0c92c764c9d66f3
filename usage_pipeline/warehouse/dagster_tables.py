"""Dagster's storage, asked without loading Dagster."""

import psycopg
from sqlalchemy import URL

from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import statements, urls


def exist(url: URL) -> bool:
    """Whether Dagster's tables were made already in this database."""
    return _answer(url, "dagster_tables_exist")


def show_work(url: URL) -> bool:
    """Whether Dagster believes that some run is at work."""
    return _answer(url, "dagster_runs_at_work")


def _answer(url: URL, name: str) -> bool:
    question = statements.read("warehouse.sql", name).encode()
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, connect_timeout=10, autocommit=True) as connection:
            found = connection.execute(question).fetchone()
    except psycopg.Error as error:
        raise Refusal(
            f"Dagster's storage, {urls.in_words(url)}, cannot be reached",
            why=urls.first_line(error, url),
            fix="check that it runs and DAGSTER_PG_URL, or unset that to use the stack's own server",
        ) from None
    return found is not None and bool(found[0])
