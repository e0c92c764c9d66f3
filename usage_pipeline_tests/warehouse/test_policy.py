"""The database owns the first day and the grace: a process that says something else is refused."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from usage_pipeline import definitions  # noqa: F401 - it silences what Dagster warns of; before all others

# isort: split
from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import policy
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.policy import Policy
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.conftest import GRACE_DAYS, START
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.rollups.launching import tokens_daily
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs

Type = Callable[..., Done]
TEMPLATE_POLICY = Policy(START, GRACE_DAYS)
LOAD = "import json; from usage_pipeline.definitions import found; print(json.dumps(str(found.start)))"


@pytest.fixture
def typed(
    verbs: Verbs, server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Type:
    """A verb of a process that has the URL of the database, and nothing else."""
    monkeypatch.delenv("USAGE_START")
    url = server.url(database).set(drivername="postgresql").render_as_string()
    given = {"USAGE_DATABASE_URL": url, "USAGE_HOME": str(tmp_path / "nowhere")}
    return lambda *words, **more: verbs(*words, **{**given, **more})


@pytest.fixture
def unsettled(server: Server, database: str) -> None:
    """As after the revisions: nothing is recorded yet."""
    with server.connect(database) as superuser:
        superuser.execute("truncate usage.rollup_policy")


def recorded(warehouse: Warehouse) -> Policy | None:
    with warehouse.begin(Role.READER) as connection:
        return policy.read(connection)


def message_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = result.get_step_failure_events()
    return str(failure.step_failure_data)


@pytest.mark.parametrize(
    ("variable", "value", "both", "fix"),
    [
        (
            "USAGE_START", "2024-01-01", f"USAGE_START is 2024-01-01, and the database has {START}",
            "usage-pipeline sources start 2024-01-01",
        ),
        (
            "USAGE_TOKENS_GRACE_DAYS", "8",
            f"USAGE_TOKENS_GRACE_DAYS is 8, and the database has {GRACE_DAYS}",
            "usage-pipeline retention set --grace-days 8",
        ),
    ],
)  # fmt: skip
def test_a_run_with_other_settings_is_refused(
    chat: Chat, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch,
    variable: str, value: str, both: str, fix: str,
) -> None:  # fmt: skip
    """A pod without our file once moved a shared first day by two years: every month was incomplete."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    chat.answer(at=yesterday)
    monkeypatch.setenv(variable, value)
    result = dg.materialize(
        [tokens_daily],
        partition_key=yesterday.date().isoformat(),
        resources={"warehouse": warehouse},
        raise_on_error=False,
    )
    assert both in message_of(result)
    assert fix in message_of(result)
    assert recorded(warehouse) == TEMPLATE_POLICY
    with warehouse.begin(Role.READER) as connection:
        assert connection.execute(sa.text("select from usage.rollup_ledger")).all() == []


@pytest.mark.parametrize(
    "words",
    [
        ("recalc", "--user", "x", "--from", "yesterday", "--to", "yesterday"),
        ("restate", "tokens_daily", "--from", "yesterday", "--to", "yesterday", "--reason", "x"),
        ("migrate", "apply"),
        ("usage", "tokens"),
        ("sources", "horizon", "2026-01-01"),
    ],
)
def test_a_verb_with_other_settings_is_refused(
    typed: Type, warehouse: Warehouse, words: tuple[str, ...]
) -> None:
    done = typed(*words, USAGE_START="2024-01-01")
    assert done.code == 4
    assert f"USAGE_START is 2024-01-01, and the database has {START}" in done.said
    assert recorded(warehouse) == TEMPLATE_POLICY


def test_a_file_that_differs_is_named(typed: Type, tmp_path: Path) -> None:
    """After `sources start` on another machine, the file of this one still has the old day."""
    (tmp_path / "settings.toml").write_text('start = "2024-01-01"\n')
    done = typed("doctor", "--json", USAGE_HOME=str(tmp_path))
    (found,) = (each for each in json.loads(done.out)["data"] if each["name"] == "first day")
    assert not found["ok"]
    assert f"`start` in {tmp_path / 'settings.toml'} is 2024-01-01" in found["found"]


@pytest.mark.usefixtures("unsettled")
@pytest.mark.parametrize("has_messages", [True, False])
def test_apply_records_the_policy_once(
    chat: Chat, warehouse: Warehouse, typed: Type, has_messages: bool
) -> None:
    """With the oldest message, else with yesterday: a guess never reaches a shared database."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    oldest = date(2025, 5, 6) if has_messages else yesterday
    if has_messages:
        chat.answer(at=datetime(2025, 5, 6, 7, tzinfo=UTC))
    done = typed("migrate", "apply")
    assert done.code == 0, done.said
    assert recorded(warehouse) == Policy(oldest, policy.USUAL_GRACE_DAYS)
    chat.answer(at=datetime(2025, 1, 1, 7, tzinfo=UTC))
    assert typed("migrate", "apply").code == 0
    assert recorded(warehouse) == Policy(oldest, policy.USUAL_GRACE_DAYS)


@pytest.mark.usefixtures("unsettled")
def test_apply_records_what_is_set(warehouse: Warehouse, typed: Type) -> None:
    done = typed("migrate", "apply", USAGE_START="2025-02-03", USAGE_TOKENS_GRACE_DAYS="9")
    assert done.code == 0, done.said
    assert recorded(warehouse) == Policy(date(2025, 2, 3), 9)


def test_the_first_of_two_wins(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.WRITER) as connection:
        policy.settle(connection, Policy(date(2020, 1, 1), 1))
    assert recorded(warehouse) == TEMPLATE_POLICY


def test_the_first_day_is_moved_in_the_database(warehouse: Warehouse, typed: Type, tmp_path: Path) -> None:
    """And in the file, where there is one; a variable that still says the old day is named."""
    done = typed("sources", "start", "2025-12-01")
    assert done.code == 0
    assert f"The first day is 2025-12-01 (it was {START})" in done.said
    assert not (tmp_path / "nowhere").exists()
    done = typed("sources", "start", "2025-11-01", USAGE_HOME=str(tmp_path), USAGE_START="2025-12-01")
    assert recorded(warehouse) == Policy(date(2025, 11, 1), GRACE_DAYS)
    assert 'start = "2025-11-01"' in (tmp_path / "settings.toml").read_text()
    assert "USAGE_START still says 2025-12-01: set it to 2025-11-01, or unset it." in done.said


def test_a_first_day_that_the_database_does_not_take_is_not_half_moved(typed: Type, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('start = "2026-01-01"\n')
    url = "postgresql://u:canary@127.0.0.1:1/d"
    done = typed("sources", "start", "2025-12-01", USAGE_DATABASE_URL=url, USAGE_HOME=str(tmp_path))
    assert done.code == 1
    assert "cannot be reached" in done.said
    assert "canary" not in done.said
    assert (tmp_path / "settings.toml").read_text() == 'start = "2026-01-01"\n'


def test_the_grace_is_set_in_the_database(warehouse: Warehouse, typed: Type, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('tokens_grace_days = "3650"\n')
    done = typed("retention", "set", "--grace-days", "10", USAGE_HOME=str(tmp_path))
    assert (done.code, done.said) == (0, "The grace is 10 days (it was 3650).\n")
    assert recorded(warehouse) == Policy(START, 10)
    assert "10" in (tmp_path / "settings.toml").read_text()
    assert typed("retention", "set", "--grace-days", "0").code == 2


def test_a_process_without_a_first_day_asks_the_database(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("USAGE_START")
    url = server.url(database).set(drivername="postgresql").render_as_string()
    found = settings.load({"USAGE_DATABASE_URL": url, "USAGE_HOME": "/nonexistent"})
    assert found.start is None
    assert policy.at_load(found).first_day == START


@pytest.mark.stack
def test_a_location_without_a_first_day(server: Server, database: str) -> None:
    """As a pod loads it: with the URL of the database alone, and with one that does not answer."""
    url = server.url(database).set(drivername="postgresql").render_as_string()
    with stack.checked_out("usage-pod-") as checkout:
        loaded = checkout.run([sys.executable, "-c", LOAD], USAGE_DATABASE_URL=url)
        assert loaded.code == 0, loaded.said
        assert json.loads(loaded.out) == str(START)
        assert not (checkout.folder / ".usage").exists()
        day = ("--from", str(START), "--to", str(START), "--dry-run")
        differs = checkout.usage_pipeline(
            "backfill", "all", *day, USAGE_DATABASE_URL=url, USAGE_START="2024-01-01"
        )
        assert (differs.code, differs.out) == (4, ""), differs.said
        assert f"USAGE_START is 2024-01-01, and the database has {START}" in differs.said
        away = "postgresql://u:canary@127.0.0.1:1/d"
        refused = checkout.run([sys.executable, "-c", LOAD], USAGE_DATABASE_URL=away)
    assert refused.code == 1
    last = refused.said.strip().splitlines()[-1]
    assert "the first day is not known: USAGE_START is not set" in last
    assert "set USAGE_START" in last
    assert "canary" not in refused.said


@pytest.mark.usefixtures("unsettled")
def test_a_database_that_does_not_know_it_yet(typed: Type, warehouse: Warehouse) -> None:
    """Nothing runs on a guess."""
    found = settings.load({"USAGE_DATABASE_URL": "postgresql://x/y", "USAGE_HOME": "/nonexistent"})
    with pytest.raises(Refusal, match="the first day is not known"):
        _ = policy.filled(found, warehouse).first_day
    done = typed("recalc", "--user", "x", "--from", "yesterday", "--to", "yesterday")
    assert done.code == 3
    assert "usage-pipeline migrate apply" in done.said


@pytest.mark.usefixtures("unsettled")
def test_a_first_day_is_recorded_where_none_is(typed: Type, warehouse: Warehouse) -> None:
    """After `migrate sql` by somebody else: the day must not be said to be moved, and be lost."""
    assert typed("sources", "start", "2025-12-01").code == 0
    assert recorded(warehouse) == Policy(date(2025, 12, 1), policy.USUAL_GRACE_DAYS)


def test_a_file_that_cannot_be_changed_changes_nothing(
    typed: Type, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Half moved, every command would be refused for the difference."""
    (tmp_path / "settings.toml").write_text(f'"start" = "{START}"\n"tokens_grace_days" = "{GRACE_DAYS}"\n')
    for words in (("sources", "start", "2025-12-01"), ("retention", "set", "--grace-days", "9")):
        done = typed(*words, USAGE_HOME=str(tmp_path))
        assert (done.code, "settings.toml is not changed" in done.said) == (1, True), done.said
    assert recorded(warehouse) == TEMPLATE_POLICY


def test_without_tables_and_without_a_place_it_is_pending(
    server: Server, bare_database: str, typed: Type
) -> None:
    url = server.url(bare_database).set(drivername="postgresql").render_as_string()
    done = typed("sources", "start", "2025-12-01", USAGE_DATABASE_URL=url)
    assert done.code == 3
    assert "migrations are pending" in done.said


def test_another_database_takes_nothing_of_the_former(typed: Type, tmp_path: Path) -> None:
    """Its first day would leave messages out, and its automation would run unasked."""
    (tmp_path / "settings.toml").write_text(
        'database_url = "postgresql://somebody@elsewhere/theirs"\nstart = "2025-05-06"\n'
        'automation = "on"\nconnections = "1"\n'
    )
    done = typed("init", USAGE_HOME=str(tmp_path))
    assert done.code == 0, done.said
    assert "Removed, as set for the former database: automation, start." in done.said
    kept = (tmp_path / "settings.toml").read_text()
    assert ("start" in kept, "automation" in kept, "connections" in kept) == (False, False, True)
