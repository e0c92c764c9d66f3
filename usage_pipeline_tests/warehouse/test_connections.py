"""What somebody reads when the database cannot be used: what, why, what to do, and never a secret."""

import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import connections, embedded, urls
from usage_pipeline.warehouse.connections import Warehouse, open_warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.servers import Kind

SECRET = "hunter2hunter2"  # noqa: S105
RIGHT = "the right one"


@pytest.fixture(scope="module")
def guarded(server_kind: Kind) -> Iterator[Server]:
    """A server without our roles that asks one login for a password."""
    with server_kind.started() as found:
        rules = "".join(
            f"{way} guarded {where} scram-sha-256\n{way} all {where} trust\n"
            for way, where in (("local all", ""), ("host all", "127.0.0.1/32"))
        )
        (found.data / "pg_hba.conf").write_text(rules, encoding="utf-8")
        with found.connect() as connection:
            connection.execute("create role guarded login password 'the right one'")
            connection.execute("select pg_reload_conf()")
        yield found


def refusal(url: URL, role: Role = Role.WRITER) -> Refusal:
    """What connecting is refused with; whoever prints the whole traceback finds no secret in it either."""
    warehouse = Warehouse(url)
    with pytest.raises(Refusal) as caught, warehouse.begin(role):
        pass
    warehouse.dispose()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in str(warehouse) + repr(warehouse) + warehouse.place
    return caught.value


def test_a_server_that_does_not_answer(guarded: Server) -> None:
    found = refusal(urls.read(f"postgresql://usage:{SECRET}@127.0.0.1:1/app"))
    assert found.what == "the database app at 127.0.0.1:1 cannot be reached"
    assert "refused" in found.why
    assert "USAGE_DATABASE_URL" in found.fix


def test_a_host_that_does_not_exist() -> None:
    found = refusal(urls.read(f"postgresql://usage:{SECRET}@no-such-host.invalid/app"))
    assert found.what == "the database app at no-such-host.invalid cannot be reached"


def test_a_wrong_password(guarded: Server) -> None:
    url = guarded.url(embedded.DATABASE, login="guarded")
    found = refusal(url.set(password=SECRET))
    assert 'password authentication failed for user "guarded"' in found.why
    assert SECRET not in str(refusal(url.update_query_dict({"password": SECRET})))


def test_the_right_password_gets_in(guarded: Server) -> None:
    warehouse = Warehouse(guarded.url(embedded.DATABASE, login="guarded").set(password=RIGHT))
    with warehouse.begin(Role.LOGIN) as connection:
        assert connection.exec_driver_sql("select current_user::text").scalar_one() == "guarded"
    assert RIGHT not in repr(warehouse)
    warehouse.dispose()


def test_a_database_that_does_not_exist(guarded: Server) -> None:
    found = refusal(guarded.url("nowhere"))
    assert found.what.startswith("the server of nowhere at ")
    assert found.what.endswith(" has no such database or login")
    assert 'database "nowhere" does not exist' in found.why


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"postgres//usage:{SECRET}@host/app",
        f"mysql://usage:{SECRET}@host/app",
        f"sqlite:///{SECRET}",
        f"postgresql://usage:{SECRET}@host:port/app",
        f"postgresql://usage:{SECRET}@host:port",
        f"{SECRET}",
        f"postgresql:usage:{SECRET}@host/app",
        f"postgresql://usage:has@{SECRET}@host/app",
        f"postgresql://usage:{SECRET}@[::1/app",
        f"host=somewhere password={SECRET}",
    ],
)
def test_a_url_that_makes_no_sense_is_never_repeated(text: str) -> None:
    """Whoever mistypes it still typed a password, and the message goes to a log."""
    with pytest.raises(Refusal, match="USAGE_DATABASE_URL cannot be used") as caught:
        urls.read(text)
    assert caught.value.exit_code == USAGE
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "host", "database"),
    [
        ("postgresql://usage:word@host:5433/app", "host", "app"),
        ("postgres://usage:word@host:5433/app", "host", "app"),
        ("postgresql+psycopg2://usage:word@host:5433/app", "host", "app"),
        ("postgresql://usage.project:w%40rd@host:5433/app?sslmode=require", "host", "app"),
    ],
)
def test_every_usual_form_of_a_url_is_understood(text: str, host: str, database: str) -> None:
    found = urls.read(text)
    assert (found.drivername, found.host, found.port) == ("postgresql+psycopg", host, 5433)
    assert found.database == database
    assert found.password in ("word", "w@rd")


def test_a_server_that_is_too_old(
    guarded: Server, server_kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "OLDEST_SERVER", 99)
    found = refusal(guarded.url(embedded.DATABASE), Role.LOGIN)
    assert found.what.startswith(f"PostgreSQL {server_kind.version} (usage at ")
    assert found.why == "version 99 or newer is needed"


def test_a_database_without_our_roles(guarded: Server) -> None:
    found = refusal(guarded.url(embedded.DATABASE))
    assert found.line() == (
        "migrations are pending: the role usage_writer does not exist. Fix: usage-pipeline migrate apply"
    )


def test_a_login_that_may_not_act_as_our_role(server: Server, database: str) -> None:
    """The roles belong to the login that made them; another one has to be let in by it."""
    with server.connect() as connection:
        connection.execute("create role outsider login")
    found = refusal(server.url(database, login="outsider"))
    with server.connect() as connection:
        connection.execute("drop role outsider")
    assert found.what == "this login may not act as usage_writer"
    assert "grant usage_writer to" in found.fix


def test_a_session_that_is_refused_is_closed(server: Server, database: str) -> None:
    """A refused attempt that stays connected uses up the server's places, try by try."""
    with server.connect() as connection:
        connection.execute("create role outsider login")
        for _ in range(3):
            refusal(server.url(database, login="outsider"))
        deadline = time.monotonic() + 10  # a backend takes a moment to go
        while connection.execute("select from pg_stat_activity where usename = 'outsider'").fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        connection.execute("drop role outsider")


def test_a_refusal_by_the_database_leaves_the_row_out(warehouse: Warehouse) -> None:
    """DETAIL carries the values of the row, and the message goes to Dagster's event log."""
    with pytest.raises(Refusal) as caught, warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql(
            "insert into usage.rollup_ledger (rollup, period_start, period_end, state)"
            " values (%s, '2026-01-01', '2026-01-02', 'x')",
            (SECRET,),
        )
    assert caught.value.what == "the database refused (23514)"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_lost_connection_is_told_and_replaced(server: Server, warehouse: Warehouse) -> None:
    """A server that restarts ends every session; the next step must not be handed a dead one."""
    with warehouse.begin(Role.WRITER) as connection:
        pid = connection.exec_driver_sql("select pg_catalog.pg_backend_pid()").scalar_one()
    with server.connect() as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(Refusal, match="was lost") as caught, warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql("select 1")
    assert caught.value.fix == "run it again"
    with warehouse.begin(Role.WRITER) as connection:
        assert connection.exec_driver_sql("select current_user::text").scalar_one() == "usage_writer"


def test_settings_without_a_url_mean_the_embedded_server(tmp_path: Path) -> None:
    server = embedded.of(tmp_path)
    warehouse = open_warehouse(Settings(home=server.home))
    assert warehouse.place == f"usage at {server.sockets}"
    url = f"postgresql://usage:{SECRET}@127.0.0.1:1/app"
    assert SECRET not in repr(Settings(home=server.home, database_url=url))
    assert open_warehouse(Settings(home=server.home, database_url=url)).place == "app at 127.0.0.1:1"


@pytest.mark.parametrize("option", ["prepare_threshold=0", "row_factory=dict", "sslpasswort=x"])
def test_an_option_that_no_client_knows_is_named(option: str) -> None:
    with pytest.raises(Refusal, match=option.partition("=")[0]) as caught:
        urls.read(f"postgresql://u:{SECRET}@h/d?{option}")
    assert SECRET not in caught.value.line()


def test_a_url_is_shown_and_stored_without_what_may_be_a_secret() -> None:
    url = urls.read(
        f"postgresql://u:{SECRET}@h:5/d?sslmode=require&options=-c%20t%3D{SECRET}&scram_client_key=k"
    )
    shown = urls.without_secrets(url).render_as_string(hide_password=False)
    assert shown == "postgresql://u@h:5/d?sslmode=require"
    assert urls.holds_secret(url)
    assert not urls.holds_secret(urls.read(shown))
