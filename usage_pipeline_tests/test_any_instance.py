"""Nothing of ours is needed in a Dagster instance: an operator's own works, and stays as it is."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import workers
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_instance, dagster_yaml, embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import pod, servers
from usage_pipeline_tests.cli.own_stack import launch, launch_backfill, runs, until
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.conftest import GRACE_DAYS
from usage_pipeline_tests.factories import Chat, set_policy
from usage_pipeline_tests.pod import Pod
from usage_pipeline_tests.servers import Kind
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs

pytestmark = pytest.mark.command

TODAY: Final = datetime.now(UTC).date()
DAYS: Final = [TODAY - timedelta(days=number) for number in (2, 1, 0)]
AS_DAGSTERS_DOCS_PRINT_IT: Final = """
storage:
  postgres:
    postgres_db:
      username: my_username
      password: my_password
      hostname: my_hostname
      db_name: my_database
      port: 5432
"""


@pytest.fixture
def deployed(tmp_path: Path, server: Server, database: str, chat: Chat, warehouse: Warehouse) -> Pod:
    """The URL of a database that somebody else has migrated, and no other variable; the default instance."""
    for day in DAYS[:2]:
        chat.answer(at=datetime(day.year, day.month, day.day, 3, tzinfo=UTC))
    with warehouse.begin(Role.WRITER) as connection:
        set_policy(connection, first_day=DAYS[0], grace_days=GRACE_DAYS)
    url = server.url(database).set(drivername="postgresql").render_as_string()
    return pod.make(tmp_path, USAGE_DATABASE_URL=url)


@pytest.fixture(scope="module")
def dagsters(server_kind: Kind) -> Iterator[int]:
    """The port of a server for Dagster's own tables, with the login and the database of its docs."""
    with Kind(server_kind.version, "tcp").started() as found:
        with found.connect() as connection:
            connection.execute("create role my_username login password 'my_password'")
            embedded.create_database(connection, "my_database", owner="my_username")
        assert isinstance(found, servers.TcpServer)
        yield found.port


@pytest.fixture(params=["default YAML", "storage: postgres"])
def anywhere(request: pytest.FixtureRequest, deployed: Pod) -> Pod:
    """The same on each storage that Dagster's own documentation names first."""
    if request.param == "storage: postgres":
        port = request.getfixturevalue("dagsters")
        text = AS_DAGSTERS_DOCS_PRINT_IT.replace("my_hostname", servers.LOOPBACK).replace("5432", str(port))
        (deployed.dagster_home / "dagster.yaml").write_text(text)
    return deployed


@pytest.mark.stack
@pytest.mark.sql
def test_an_instance_of_an_operators(anywhere: Pod) -> None:
    """Definitions load, a range, a backfill and its checks run, on variables alone and without a trace."""
    before, file = anywhere.files(), anywhere.dagster_home / "dagster.yaml"
    text = file.read_text() if file.exists() else None
    days = ("--from", str(DAYS[0]), "--to", str(DAYS[-1]))
    done = anywhere("usage_pipeline", "backfill", "all", *days, HOME="/dev/null/closed")
    assert done.code == 0, done.said
    done = anywhere(
        "dagster", "asset", "materialize", "-m", "usage_pipeline.definitions", "--select", "tokens_daily",
        "--partition-range", f"{DAYS[0]}...{DAYS[1]}",
    )  # fmt: skip
    assert done.code == 0, done.said
    with anywhere.instance() as instance:
        known = instance.get_runs()
        assert [run.status.value for run in known] == ["SUCCESS"] * (len(ROLLUPS) + 1)
        keys = instance.get_materialized_partitions(dg.AssetKey("tokens_daily"))
        assert keys == {day.isoformat() for day in DAYS}
        assert all(instance.get_materialized_partitions(dg.AssetKey(name)) for name in ROLLUPS)
        looked = dg.AssetCheckKey(dg.AssetKey("tokens_daily"), "conservation")
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([looked])[looked]
        assert latest.status.value == "SUCCEEDED"
        assert latest.run_id == known[0].run_id
    assert anywhere.files() == before
    assert (file.read_text() if file.exists() else None) == text


def typed(verbs: Verbs, pod: Pod, *words: str) -> Done:
    """A verb that only looks, in this process."""
    variables = {"USAGE_HOME": str(pod.typed_in / ".usage"), "DAGSTER_HOME": str(pod.dagster_home)}
    return verbs(*words, **variables, **pod.environment, USAGE_START=str(DAYS[0]))


@pytest.mark.stack
def test_what_doctor_and_status_say_of_it(anywhere: Pod, verbs: Verbs) -> None:
    """They know no more of it than its dagster.yaml says, and no password of it is shown."""
    before = anywhere.files()
    is_postgres = (anywhere.dagster_home / "dagster.yaml").exists()
    place = f"my_database at {servers.LOOPBACK}" if is_postgres else f"SQLite in {anywhere.dagster_home}"
    found = typed(verbs, anywhere, "doctor")
    line = next(line for line in found.out.splitlines() if "dagster " in line)
    assert line.startswith("✓")
    assert f"your instance in {anywhere.dagster_home} (DAGSTER_HOME) keeps its tables in {place}" in line
    shown = typed(verbs, anywhere, "status")
    assert shown.code == 3
    assert place in next(line for line in shown.out.splitlines() if line.startswith("dagster"))
    assert "was not heard of yet" in shown.out
    assert "embedded" not in shown.out
    assert "my_password" not in found.out + found.said + shown.out + shown.said
    assert anywhere.files() == before


def of(home: Path, text: str) -> Settings:
    (home / "dagster.yaml").write_text(text)
    return Settings(home=home / "none", operators_instance=home)


LEGACY: Final = """
run_storage: {module: dagster_postgres.run_storage, class: PostgresRunStorage, config: &postgres
  {postgres_db: {username: u, password: canary, hostname: h, db_name: d}}}
event_log_storage: {module: dagster_postgres.event_log, class: PostgresEventLogStorage, config: *postgres}
schedule_storage: {module: dagster_postgres.schedule_storage, class: PostgresScheduleStorage,
  config: *postgres}
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "SQLite in {home}"),
        ("storage: {sqlite: {base_dir: /elsewhere}}", "SQLite in /elsewhere"),
        (AS_DAGSTERS_DOCS_PRINT_IT, "my_database at my_hostname:5432"),
        ("storage: {postgres: {postgres_url: 'postgresql://u:canary@h:1/d?sslmode=require'}}", "d at h:1"),
        ("storage: {postgres: {postgres_url: {env: THEIR_URL}}}", "theirs at elsewhere"),
        (LEGACY, "d at h:5432"),
        ("storage: {mysql: {mysql_url: 'mysql://u:canary@h/d'}}", "DagsterMySQLStorage"),
    ],
)
def test_every_form_of_a_storage_is_put_in_words(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_URL", "postgresql://u:canary@elsewhere/theirs")
    assert dagster_yaml.storage(of(tmp_path, text)).words == words.format(home=tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("storage: {postgres: {postgres_url: {env: NOT_SET}}}", '"NOT_SET" is not set'),
        ("storage: {postgres: {postgres_db: {usernam: canary}}}", 'unexpected config entry "usernam"'),
        ("storage: {postgres: {postgres_url: 'canary'}}", "its postgres_url is no URL"),
        (
            "storage: {custom: {module: theirs.canary, class: Storage, config: {password: canary}",
            "line . is no YAML",
        ),
        ("storage: [canary", "line . is no YAML"),
        ("postgresql://u:canary@h/d", "it holds no settings"),
    ],
)
def test_a_dagster_yaml_that_cannot_be_used_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=why) as caught:
        dagster_yaml.storage(of(tmp_path, text))
    assert f"Fix: correct {tmp_path / 'dagster.yaml'}" in caught.value.line()
    assert "canary" not in caught.value.line()


def test_a_storage_of_nobody_we_know_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    found = of(tmp_path, "storage: {custom: {module: theirs, class: Storage, config: {password: canary}}}")
    with (
        pytest.raises(Refusal, match="Couldn't import module theirs") as caught,
        dagster_instance.opened(found),
    ):
        pass
    assert "canary" not in caught.value.line()


def test_a_place_that_takes_no_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history").touch()
    with pytest.raises(Refusal, match=str(tmp_path / "history")), dagster_instance.opened(of(tmp_path, "")):
        pass


@pytest.mark.parametrize(
    ("place", "why"),
    [("missing", "it does not exist"), ("file", "it is no folder"), ("../here", "it is no absolute path")],
)
@pytest.mark.parametrize(
    "words",
    [
        ("up", "--no-open"),
        ("backfill", "all", "--from", str(DAYS[0]), "--to", str(DAYS[-1])),
        ("recalc", "--user", "nil", "--from", str(DAYS[0]), "--to", str(DAYS[-1])),
        ("restate", "tokens_daily", "--from", str(DAYS[0]), "--to", str(DAYS[-1]), "--reason", "why"),
    ],
    ids=lambda words: words[0],
)
def test_a_dagster_home_that_cannot_be_one(
    words: tuple[str, ...], place: str, why: str, tmp_path: Path, verbs: Verbs, server: Server, database: str
) -> None:
    """Refused before anything is done: afterwards the numbers would be there, and Dagster would not know."""
    (tmp_path / "file").touch()
    given = place if place.startswith(".") else str(tmp_path / place)
    done = verbs(*words, **variables(tmp_path, server, database, given))
    refused(done, 1, f"DAGSTER_HOME is {given}", why, "unset DAGSTER_HOME")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_looking_with_a_dagster_home_that_does_not_exist(
    tmp_path: Path, verbs: Verbs, server: Server, database: str
) -> None:
    """The rest of a report is worth having."""
    given = variables(tmp_path, server, database, str(tmp_path / "missing"))
    for verb in ("doctor", "status"):
        done = verbs(verb, **given)
        assert done.code == 3
        assert f"DAGSTER_HOME is {tmp_path / 'missing'}" in done.out
        assert "Traceback" not in done.said
    assert list(tmp_path.iterdir()) == []


def variables(folder: Path, server: Server, database: str, dagster_home: str) -> dict[str, str]:
    url = server.url(database).set(drivername="postgresql").render_as_string()
    return {
        "USAGE_HOME": str(folder / "home"), "USAGE_DATABASE_URL": url, "DAGSTER_HOME": dagster_home
    }  # fmt: skip


def test_whose_an_exported_dagster_home_is(tmp_path: Path) -> None:
    """Our `.env` and our processes name the stack's own; a demo has no other."""
    home = tmp_path / ".usage"
    own = home / "dagster"
    own.mkdir(parents=True)
    (tmp_path / "link").symlink_to(own)
    for exported in (own, f"{own}/", tmp_path / "link"):
        found = settings.load({"USAGE_HOME": str(home), "DAGSTER_HOME": str(exported)})
        assert (found.operators_instance, found.dagster_home) == (None, own)
    given = {"USAGE_HOME": str(home), "DAGSTER_HOME": "/theirs", "DAGSTER_PG_URL": "postgresql://h/d"}
    found = settings.load(given)
    assert found.operators_instance == found.dagster_home == Path("/theirs")
    assert found.dagster_pg_url is None, "what their dagster.yaml says decides"
    (home / settings.DEMO_MARKER).touch()
    found = settings.load(given)
    assert (found.operators_instance, found.dagster_home) == (None, own)


@pytest.mark.stack
def test_a_daemon_of_theirs_is_not_joined_by_a_second(deployed: Pod, verbs: Verbs) -> None:
    """Two daemons would launch every run twice; Dagster only writes a line into a log about it."""
    with deployed.instance() as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "their-daemon", []))
    refused(
        deployed("usage_pipeline", "up", "--no-open"),
        4, f"the Dagster instance in {deployed.dagster_home} has a daemon", "SENSOR of daemon their-daemon",
    )  # fmt: skip
    found = typed(verbs, deployed, "status")
    assert found.code == 0, found.out
    assert "that of your own instance" in found.out


@pytest.mark.stack
@pytest.mark.sql
def test_what_a_verb_changes_shows_there_too(deployed: Pod, chat: Chat) -> None:
    """Else its page would show the numbers of before; nothing but the switch is written beside it."""
    asked = ("--from", str(DAYS[1]), "--to", str(DAYS[1]))
    assert deployed("usage_pipeline", "backfill", "tokens_daily", *asked).code == 0
    session = chat.session(user_id=chat.user("Ada Lovelace"))
    at = datetime(DAYS[1].year, DAYS[1].month, DAYS[1].day, 4, tzinfo=UTC)
    chat.answer(at=at, conversation_id=session.conversation_id)
    before = deployed.files()
    done = deployed("usage_pipeline", "recalc", "--user", "Ada Lovelace", *asked)
    assert done.code == 0, done.said
    assert deployed.files() == before
    with deployed.instance() as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "their-daemon", []))
        (newest,) = instance.fetch_materializations(dg.AssetKey("tokens_daily"), limit=1).records
    assert (newest.run_id, newest.partition_key) == ("", DAYS[1].isoformat())
    switched = deployed("usage_pipeline", "automation", "on")
    assert switched.code == 0, switched.said
    assert "follows once it is reloaded" in switched.said
    assert "on, did not look yet" in switched.out
    assert (deployed.typed_in / ".usage" / "settings.toml").read_text() == 'automation = "on"\n'


@pytest.mark.stack
def test_a_process_for_each_step(deployed: Pod) -> None:
    """Each ends before its run does: a run that named it would be taken for one without a process."""
    location = deployed.typed_in / "location.py"
    location.write_text(
        "import dagster as dg\nfrom usage_pipeline import definitions\n"
        "defs = dg.Definitions(assets=definitions.defs.assets, asset_checks=definitions.defs.asset_checks,"
        " resources=definitions.defs.resources, executor=dg.multiprocess_executor)\n"
    )
    done = deployed(
        "dagster", "asset", "materialize", "-f", str(location), "--select", "tokens_daily",
        "--partition-range", f"{DAYS[0]}...{DAYS[1]}",
    )  # fmt: skip
    assert done.code == 0, done.said
    with deployed.instance() as instance:
        (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert workers.TAG not in run.tags


@pytest.mark.stack
def test_dagster_dev_on_a_plain_instance(deployed: Pod) -> None:
    """Dagster's own launcher, queue and daemon: a backfill of the page."""
    before = deployed.files()
    port = str(servers.free_port())
    address = f"http://{servers.LOOPBACK}:{port}"
    words = ("dagster", "dev", "-m", "usage_pipeline.definitions", "-h", servers.LOOPBACK, "-p", port)
    with deployed.running(*words):
        until(tried(lambda: launch_backfill(address, ["tokens_daily"], DAYS)))
        until(lambda: {run["status"] for run in runs(address).values()} == {"SUCCESS"})
    with deployed.instance() as instance:
        keys = instance.get_materialized_partitions(dg.AssetKey("tokens_daily"))
        assert keys == {day.isoformat() for day in DAYS}
    assert [each for each in deployed.files() if not each.startswith("said")] == before


@pytest.mark.stack
def test_up_on_an_instance_of_theirs(deployed: Pod) -> None:
    """Ended and started again at once: the daemon of before is known to be ours."""
    env = deployed.typed_in / ".env"
    settings.write_env_file(env, {"USAGE_HOME": "/elsewhere", "DAGSTER_HOME": "/elsewhere/dagster"})
    port = ("--port", str(servers.free_port()))
    with deployed.running("usage_pipeline", "up", "--no-open", *port):
        until(lambda: deployed.said.count("Ctrl-C stops") == 1)
        until(lambda: deployed("usage_pipeline", "status").code == 0)
        address = next(word for word in deployed.said.split() if word.startswith("http")).split("/loc")[0]
        run_id = launch(address, DAYS[0])
        until(lambda: runs(address)[run_id]["status"] == "SUCCESS")
        other = deployed("usage_pipeline", "up", "--no-open", USAGE_HOME=str(deployed.typed_in / "other"))
        refused(other, 4, "has a daemon already")
    assert ".env named another instance" in deployed.said
    with deployed.running("usage_pipeline", "up", "--no-open", *port):
        until(lambda: deployed.said.count("Ctrl-C stops") == 2)
    assert not env.exists()
    assert (deployed.typed_in / ".usage" / "current").read_text() == ".usage\n"
    assert not (deployed.dagster_home / "dagster.yaml").exists()


def tried(act: Callable[[], object]) -> Callable[[], bool]:
    """Whether it can be done by now."""

    def done() -> bool:
        try:
            act()
        except (OSError, KeyError, TypeError, AssertionError):
            return False
        return True

    return done
