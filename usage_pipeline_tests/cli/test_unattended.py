"""The switch of what runs by itself, and the night that it is for, on a database of one's own."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dotenv import dotenv_values

from usage_pipeline.cli import graphql
from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.own_stack import runs, until, up
from usage_pipeline_tests.cli.test_up import bare_url, facts, verb
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.stack import Checkout

pytestmark = pytest.mark.stack

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
MATERIALIZED = (
    "{ assetsOrError { ... on AssetConnection { nodes {"
    " key { path } assetMaterializations(limit: 100) { partition } } } } }"
)


@pytest.fixture
def own(server: Server) -> Iterator[tuple[Checkout, psycopg.Connection]]:
    """A stack on a database of its own, migrated, with two days of answers; and a superuser's look at it."""
    with stack.checked_out("usage-unattended-") as checkout, cloned(server, "template1") as name:
        with server.connect(name, embedded.LOGIN) as connection:
            loading.create_application(connection)
            for days in (1, 2):
                Chat(connection).answer(at=TODAY - timedelta(days=days) + timedelta(hours=3))
        assert verb(checkout, "init", "--database-url", bare_url(server, name)).code == 0
        assert verb(checkout, "migrate", "apply").code == 0
        with server.connect(name) as superuser:
            yield checkout, superuser


def automation(checkout: Checkout, *words: str) -> dict[str, Any]:
    done = verb(checkout, "automation", *words, "--json")
    assert done.code == 0, done.said
    found: dict[str, Any] = json.loads(done.out)["data"]
    return found


def test_the_switch(own: tuple[Checkout, psycopg.Connection]) -> None:
    """Off until somebody says so; what is said holds while a stack runs, and at its next start."""
    checkout, _ = own
    assert (automation(checkout)["on"], automation(checkout)["stack_runs"]) == (False, False)
    with up(checkout) as address:
        assert automation(checkout) | {"on": False, "stack_runs": True} == automation(checkout)
        assert automation(checkout, "on")["on"] is True
        assert graphql.sensor(address, "automation")[0] is True
        until(lambda: automation(checkout)["last_look"] is not None)
        assert facts(verb(checkout, "status", "--json"))["automation"]["on"] is True
        shown = verb(checkout, "automation").out
        assert "on, looked" in shown
        assert "what is due at" in shown
    assert automation(checkout)["on"] is True
    assert automation(checkout, "off")["on"] is False
    with up(checkout) as address:
        assert graphql.sensor(address, "automation")[0] is False
        assert "automation on" in verb(checkout, "automation").out


def test_a_real_night(own: tuple[Checkout, psycopg.Connection]) -> None:
    """The stack was off since yesterday: its daemon makes up for the night, once, finest grain first."""
    checkout, _ = own
    assert automation(checkout, "on")["on"] is True
    with up(checkout):
        until(lambda: automation(checkout)["last_look"] is not None)
    given = {name: str(value) for name, value in dotenv_values(checkout.folder / ".env").items()}
    given["PYTHONPATH"] = f"{checkout.folder}:{stack.ROOT}"
    done = checkout.run([sys.executable, "-m", "usage_pipeline_tests.cli.last_look", "24"], **given)
    assert done.code == 0, done.said
    days = [(TODAY - timedelta(days=number)).date().isoformat() for number in (2, 1, 0)]
    with up(checkout) as address:
        until(lambda: done_partitions(address).get("tokens_yearly", []) != [])
        until(lambda: all(run["status"] == "SUCCESS" for run in runs(address).values()))
        found = done_partitions(address)
    while found["tokens_daily"].count(days[-1]) > 1:  # a new hour began meanwhile
        found["tokens_daily"].remove(days[-1])
    assert found["tokens_daily"] == days
    assert sorted(found) == ["tokens_daily", "tokens_monthly", "tokens_weekly", "tokens_yearly"]
    for keys in found.values():
        assert len(keys) == len(set(keys)), found


def done_partitions(address: str) -> dict[str, list[str]]:
    """What every run materialized, each time it did, by asset."""
    found: dict[str, list[str]] = {}
    for node in graphql.ask(address, MATERIALIZED)["assetsOrError"]["nodes"]:
        keys = sorted(each["partition"] for each in node["assetMaterializations"])
        if keys:
            found[node["key"]["path"][0]] = keys
    return found
