"""The verbs on a database that cannot do all that is asked of it: read-only, or in another encoding."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded, urls
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.failures import Unusable
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.conftest import TEMPLATE, drop_database, ensure_template, migrate
from usage_pipeline_tests.factories import NOON, Chat
from usage_pipeline_tests.rollups.test_tokens import run
from usage_pipeline_tests.servers import Kind
from usage_pipeline_tests.verbs import Verbs

ASKED = ("usage", "tokens", "--json", "--from", "2026-03-04", "--to", "2026-03-04")


def fill(server: Server, database: str, name: str = "Ada Lovelace") -> None:
    """One computed day of one person."""
    with server.connect(database, embedded.LOGIN) as connection:
        chat = Chat(connection)
        chat.answer(at=NOON, conversation_id=chat.session(user_id=chat.user(name)).conversation_id)
    warehouse = Warehouse(server.url(database))
    run(warehouse)
    warehouse.dispose()


def url_of(server: Server, database: str) -> str:
    return server.url(database).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def standby(server_kind: Kind) -> Iterator[str]:
    """The URL of a hot standby with one computed day."""
    with server_kind.started() as server:
        ensure_template(server)
        fill(server, TEMPLATE)
        with server.connect(TEMPLATE) as connection:
            connection.execute("drop function usage_private.tokens_of_window")
        embedded.stop(server)
        (server.data / "standby.signal").touch()
        embedded.start(server)
        with server.connect() as connection:
            assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
        yield url_of(server, TEMPLATE)


@pytest.fixture
def closed_to_writers(server: Server, database: str) -> str:
    """The URL of a database whose owner has made it read-only, with one computed day."""
    fill(server, database)
    with server.connect(database, embedded.LOGIN) as connection:
        connection.execute("set role usage_owner")
        connection.execute("drop function usage_private.tokens_of_window")
        connection.execute("reset role")
        text = psycopg.sql.SQL("alter database {} set default_transaction_read_only = on")
        connection.execute(text.format(psycopg.sql.Identifier(database)))
    return url_of(server, database)


@pytest.mark.parametrize("place", ["standby", "closed_to_writers"])
@pytest.mark.stack
def test_a_read_only_database_is_read_and_not_written(
    request: pytest.FixtureRequest, verbs: Verbs, place: str
) -> None:
    """Reports run on a standby on purpose; whoever writes there by mistake is told where to go instead."""
    url = request.getfixturevalue(place)
    typed = partial(verbs, USAGE_DATABASE_URL=url)
    shown = typed(*ASKED)
    assert shown.code == 0, shown.said
    assert json.loads(shown.out)["data"]["totals"]["total_tokens"] == 15
    looked = typed("migrate", "status")
    assert (looked.code, looked.said) == (3, "")
    assert "pending  functions of tokens_of_window" in looked.out
    assert typed("sources").code == 0
    refused(typed("migrate", "apply"), 1, "is read-only", "primary server", "default_transaction_read_only")
    warehouse = Warehouse(urls.read(url))
    with pytest.raises(Unusable, match="is read-only"):
        run(warehouse)
    warehouse.dispose()


def test_nothing_is_made_of_ours_in_a_read_only_database(
    server: Server, bare_database: str, verbs: Verbs
) -> None:
    with server.connect(bare_database, embedded.LOGIN) as connection:
        loading.create_application(connection)
        text = psycopg.sql.SQL("alter database {} set default_transaction_read_only = on")
        connection.execute(text.format(psycopg.sql.Identifier(bare_database)))
    url = url_of(server, bare_database)
    refused(verbs("migrate", "apply", USAGE_DATABASE_URL=url), 1, "is read-only")


@contextmanager
def encoded(server: Server, encoding: str) -> Iterator[str]:
    """A database of another encoding with the application's tables and everything of ours."""
    name = f"in_{encoding.lower()}"
    with server.connect() as connection:
        text = psycopg.sql.SQL(
            "create database {} owner {} template template0 encoding {} locale_provider libc locale 'C'"
        )
        connection.execute(
            text.format(psycopg.sql.Identifier(name), psycopg.sql.Identifier(embedded.LOGIN), encoding)
        )
    try:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
        migrate(Warehouse(server.url(name)))
        yield name
    finally:
        drop_database(server, name)


def test_a_database_in_latin_1_is_like_any_other(server: Server, verbs: Verbs) -> None:
    with encoded(server, "LATIN1") as database:
        fill(server, database, "Émile Borel")
        typed = partial(verbs, USAGE_DATABASE_URL=url_of(server, database))
        assert typed("migrate", "status").code == 0
        shown = typed(*ASKED)
        assert shown.code == 0, shown.said
        (row,) = json.loads(shown.out)["data"]["rows"]
        assert row["label"] == "Émile Borel"
        assert typed(*ASKED, "--user", "Émile").code == 0
        refused(typed(*ASKED, "--user", "Ωmega"), 1, "cannot hold a character", "LATIN1")


def test_a_database_without_an_encoding_may_hold_anything(server: Server, verbs: Verbs) -> None:
    """One name in another encoding must not hide the numbers of all."""
    with encoded(server, "SQL_ASCII") as database:
        fill(server, database, "Ada")
        with server.connect(database, embedded.LOGIN) as connection:
            connection.execute(
                r"update public.profiles set full_name = convert_from('\xc96d696c65', 'SQL_ASCII')"
            )
        typed = partial(verbs, USAGE_DATABASE_URL=url_of(server, database))
        shown = typed(*ASKED)
        assert shown.code == 0, shown.said
        (row,) = json.loads(shown.out)["data"]["rows"]
        assert row["label"] == "\N{REPLACEMENT CHARACTER}mile"
        assert typed(*ASKED, "--user", "mile").code == 0
        refused(typed(*ASKED, "--user", "Émile"), 2, "no user is called `Émile`")
        assert typed("usage", "tokens", "--from", "2026-03-04", "--to", "2026-03-04").code == 0
        assert typed("sources").code == 0
