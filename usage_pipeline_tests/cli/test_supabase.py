"""A database as Supabase sets one up: the whole way as its `postgres`, no superuser, and who sees what."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import quote

import psycopg
import pytest

from usage_pipeline.demo import loading, story, verification
from usage_pipeline.demo.story import Story
from usage_pipeline.warehouse import urls
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.own_stack import launch, page, running, runs, until
from usage_pipeline_tests.cli.test_own_database import refused
from usage_pipeline_tests.cli.test_up import facts
from usage_pipeline_tests.servers import Kind
from usage_pipeline_tests.stack import Checkout, Done
from usage_pipeline_tests.supabase import project as supabase
from usage_pipeline_tests.supabase.project import PASSWORD, VISITORS, Project
from usage_pipeline_tests.verbs import Verbs

pytestmark = pytest.mark.stack

DEBIANS: Final = Kind("15", "tcp")
TODAY: Final = datetime.now(UTC).date()
YESTERDAY: Final = TODAY - timedelta(days=1)
RELATIONS: Final = b"""
select relation.oid::regclass::text
from pg_class relation
where relation.relnamespace::regnamespace::text in ('usage', 'usage_private', 'usage_parts')
  and relation.relkind in ('r', 'p', 'v', 'm', 'S')
order by 1
"""
FUNCTIONS: Final = b"""
select format('%s(%s)', function.oid::regproc, (
  select string_agg(format('null::%s', kind.oid::regtype), ', ' order by kind.place)
  from unnest(function.proargtypes) with ordinality kind (oid, place)
))
from pg_proc function
where function.pronamespace::regnamespace::text in ('usage', 'usage_private')
  and function.prokind = 'f' and function.prorettype <> 'trigger'::regtype
order by 1
"""
OF_SOMEBODY: Final = b"""
select session.user_id, count(*) as answers
from public.chat_messages_v2 message
join public.conversation_sessions session using (conversation_id)
where session.user_id is not null
group by session.user_id
order by answers desc, session.user_id
limit 1
"""


@dataclass(frozen=True)
class Own:
    """A stack on the project, as far as its owner came: what each step said, and what was put in."""

    checkout: Checkout
    project: Project
    story: Story
    steps: dict[str, Done]

    def __call__(self, *words: str, url: str | None = None) -> Done:
        return typed(self.checkout, url or self.project.url, *words)


def typed(checkout: Checkout, url: str, *words: str) -> Done:
    """One verb; the URL stands in the environment, with its password, which no verb ever says."""
    done = checkout.usage_pipeline(*words, USAGE_DATABASE_URL=url)
    assert not reveals(done.out + done.said), words
    return done


class Looks(Protocol):
    """A verb that only looks, on the direct way unless another is given."""

    def __call__(self, *words: str, url: str | None = None) -> Done: ...


def reveals(text: str) -> bool:
    return PASSWORD in text or quote(PASSWORD, safe="") in text


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """On Debian's PostgreSQL 15, which is Supabase's; on the embedded one where that is not installed."""
    kind = Kind("18", "tcp") if DEBIANS.lack() else DEBIANS
    with kind.started() as server:
        yield supabase.made_of(server)


@pytest.fixture(scope="module")
def own(project: Project) -> Iterator[Own]:
    """From an application with six weeks of answers to every grain computed."""
    told = story.tell(YESTERDAY, 42)
    with project.connect() as connection, connection.transaction():
        loading.load(connection, told)
        loading.load_late(connection, told)
    with stack.checked_out("usage-supabase-") as checkout:
        steps = {
            "init": typed(checkout, project.url, "init"),
            "doctor": typed(checkout, project.url, "doctor"),
            "sql": typed(checkout, project.url, "migrate", "sql"),
        }
        tried(project, steps["sql"].out)
        span = ("--from", str(told.first_day), "--to", "yesterday")
        steps["apply"] = typed(checkout, project.url, "migrate", "apply")
        steps["backfill"] = typed(checkout, project.url, "backfill", "all", *span)
        yield Own(checkout, project, told, steps)


def tried(project: Project, script: str) -> None:
    """What `migrate sql` prints is run as in Supabase's editor, by `postgres`, and undone again."""
    with project.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(script.encode())
        connection.execute("set role usage_writer")
        assert connection.execute("select max(version_num) from usage_private.schema_version").fetchone() == (
            "0005",
        )
        counted = "select count(*) from usage.token_events(now() - interval '99 days', now())"
        row = connection.execute(counted.encode()).fetchone()
        assert row
        assert row[0] > 0


@pytest.fixture(scope="module")
def shared(own: Own) -> Iterator[str]:
    """The URL of the pooler by transaction, Supabase's port 6543."""
    with own.project.pooled("transaction") as url:
        yield url


@pytest.fixture
def looks(own: Own, verbs: Verbs) -> Looks:
    """Typed in this process, which knows the stack's folder and its first day."""
    home, start = str(own.checkout.folder / ".usage"), str(own.story.first_day)

    def typed_here(*words: str, url: str | None = None) -> Done:
        url = url or own.project.url
        done = verbs(*words, USAGE_HOME=home, USAGE_START=start, USAGE_DATABASE_URL=url)
        assert not reveals(done.out + done.said), words
        return done

    return typed_here


def test_it_was_the_server_that_debian_has(looks: Looks) -> None:
    """Elsewhere the same is shown on another version, and that must be told."""
    if lack := DEBIANS.lack():
        pytest.skip(lack)
    assert facts(looks("status", "--json"))["database"]["server_version"].startswith("15.")


def test_each_step_by_a_login_that_is_no_superuser(own: Own, looks: Looks) -> None:
    with own.project.connect() as connection:
        powers = b"select rolsuper, rolcreaterole, rolbypassrls from pg_roles where rolname = current_user"
        assert connection.execute(powers).fetchone() == (False, True, True)
        owners = b"select distinct tableowner::text from pg_tables where schemaname = 'public'"
        assert connection.execute(owners).fetchall() == [("postgres",)]
    codes = {step: done.code for step, done in own.steps.items()}
    assert codes == {"init": 0, "doctor": 3, "sql": 0, "apply": 0, "backfill": 0}, own.steps
    assert "create policy usage_writer_reads on public.chat_messages_v2" in own.steps["init"].said
    assert "8 given" in own.steps["apply"].said
    assert f"{own.story.first_day} (the oldest message)" in own.steps["apply"].said
    assert looks("migrate", "status").code == 0


def test_every_stored_number_is_what_was_put_in(own: Own) -> None:
    """The sources hide every row from whoever has no policy; the computing role has no way round them."""
    with own.project.connect() as connection:
        text = b"select bool_or(rolsuper or rolbypassrls) from pg_roles where rolname like 'usage\\_%'"
        assert connection.execute(text).fetchone() == (False,)
    assert difference(own.project.url, own.story) is None
    again = own("backfill", "all", "--from", str(own.story.first_day), "--to", "yesterday", "--restart")
    assert "rows inserted 0 · updated 0 · deleted 0" in again.said


def difference(url: str, told: Story) -> str | None:
    warehouse = Warehouse(urls.read(url))
    try:
        with warehouse.begin(Role.READER) as connection:
            return verification.difference(connection, told, now=datetime.now(UTC))
    finally:
        warehouse.dispose()


def test_reading_behind_the_pooler_by_transaction(own: Own, looks: Looks, shared: str) -> None:
    """Reports run where an application's own connections do; they say the same as on the direct way."""
    assert difference(shared, own.story) is None
    for words in (
        ("usage", "tokens", "--json", "--from", str(own.story.first_day)),
        ("usage", "tokens", "--json", "--grain", "monthly"),
        ("backfill", "--list", "--json"),
        ("migrate", "status"),
        ("sources", "--json"),
        ("restatements", "--json"),
    ):
        behind, direct = looks(*words, url=shared), looks(*words)
        assert (behind.code, behind.out) == (direct.code, direct.out), behind.said
        assert behind.out
    found = facts(looks("status", "--json", url=shared))
    assert found["database"]["pooler"] == "transaction"
    assert found["computed"]["missing_days"] == 0


def test_whatever_writes_is_refused_behind_it(own: Own, shared: str) -> None:
    """One line, before anything is written: what is in the way, and the port to take instead."""
    file = own.checkout.folder / ".usage" / "settings.toml"
    before = file.read_bytes()
    span = ("--from", "yesterday", "--to", "yesterday")
    for words in (
        ("init",),
        ("init", "--database-url", shared),
        ("migrate", "apply"),
        ("up", "--no-open"),
        ("backfill", "all", *span),
        ("recalc", "--user", own.story.users[0].full_name, *span),
        ("sources", "enable", "session-totals"),
    ):
        done = own(*words, url=shared)
        refused(done, 4, "shares sessions", "can be read and no more", "port 5432 instead of 6543")
    assert file.read_bytes() == before


def ill(done: Done) -> dict[str, str]:
    """What the doctor finds, by the check's name."""
    found = json.loads(done.out)["data"]
    assert done.code == (0 if all(each["ok"] for each in found) else 3)
    return {each["name"]: each["found"] for each in found if not each["ok"]}


def test_the_doctor_on_each_of_the_three_ways(own: Own, looks: Looks, shared: str) -> None:
    assert ill(looks("doctor", "--json")) == {}
    with own.project.pooled("session") as url:
        done = looks("doctor", "--json", url=url)
        assert ill(done) == {}
        assert "through a pooler that keeps sessions" in done.out
    found = ill(looks("doctor", "--json", url=shared))
    assert list(found) == ["connection"]
    assert "a connection pooler in front of postgres" in found["connection"]
    assert "pools by transaction" in found["connection"]


def test_the_doctor_before_the_first_apply(own: Own) -> None:
    """One command mends it all, and is named once."""
    said = own.steps["doctor"].out.splitlines()
    assert [line.strip() for line in said if "Fix:" in line] == ["Fix: usage-pipeline migrate apply"]
    assert [line.split()[1] for line in said if line.startswith("!")] == ["migrations", "not"]


def test_a_user_sees_no_more_than_before(own: Own) -> None:
    """The policies that let us read everything must let nobody else."""
    with own.project.connect("supabase_admin") as connection:
        row = connection.execute(OF_SOMEBODY).fetchone()
    assert row
    user_id, answers = row
    counted = b"select count(*), count(distinct session.user_id) from public.chat_messages_v2 message"
    counted += b" join public.conversation_sessions session using (conversation_id)"
    with own.project.request("authenticated", user_id) as connection:
        assert connection.execute(counted).fetchone() == (answers, 1)
        assert connection.execute(b"select id from public.profiles").fetchall() == [(user_id,)]
    with own.project.request("anon") as connection:
        for table in (b"chat_messages_v2", b"conversation_sessions", b"profiles"):
            assert connection.execute(b"select count(*) from public." + table).fetchone() == (0,), table


@pytest.mark.parametrize("visitor", VISITORS)
def test_nothing_of_ours_is_open_to_the_api(own: Own, visitor: str) -> None:
    """Supabase grants much by itself; a partition or a function forgotten is open to the whole world."""
    with own.project.connect("supabase_admin") as connection:
        relations = [row[0] for row in connection.execute(RELATIONS)]
        calls = [row[0] for row in connection.execute(FUNCTIONS)]
        somebody = connection.execute(OF_SOMEBODY).fetchone()
    assert {"usage.user_token_usage", "usage.rollup_ledger"} <= set(relations)
    assert len([each for each in relations if "usage_parts.user_token_usage_daily_" in each]) > 1
    assert somebody
    reads = [f"select from {each}" for each in relations]
    for statement in (*reads, *(f"select {each}" for each in calls)):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            own.project.request(visitor, somebody[0]) as connection,
        ):
            connection.execute(statement.encode())


def test_a_stack_that_runs_on_it(own: Own) -> None:
    """Its page computes what came in meanwhile, by the pooler that keeps sessions; it holds no password."""
    with own.project.pooled("session") as url:
        with running(own.checkout, USAGE_DATABASE_URL=url) as started:
            address = page(own.checkout, USAGE_DATABASE_URL=url)
            assert facts(own("status", "--json", url=url))["page"]["answers"] is True
            run_id = launch(address, TODAY)
            until(lambda: runs(address)[run_id]["status"] == "SUCCESS")
            assert own("backfill", "tokens_weekly", "--from", "today", "--to", "today").code == 0
        assert not reveals(started.said)
    assert facts(own("status", "--json"))["computed"]["newest_day"] == str(TODAY)
    texts = [each for each in (own.checkout.folder / ".usage").rglob("*") if each.is_file()]
    for file in (own.checkout.folder / ".env", *texts):
        with suppress(PermissionError):
            assert not reveals(file.read_bytes().decode(errors="replace")), file
