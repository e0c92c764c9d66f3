"""`migrate rollback` in a process of its own: asks whoever sits there, and may be killed anywhere."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest

from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.cli.test_own_database import read_until
from usage_pipeline_tests.cli.test_poor_databases import fill, url_of
from usage_pipeline_tests.conftest import GRACE_DAYS, START
from usage_pipeline_tests.stack import ROOT, Done
from usage_pipeline_tests.verbs import Verbs
from usage_pipeline_tests.warehouse import filled
from usage_pipeline_tests.warehouse.test_rollback import refused

pytestmark = pytest.mark.command

MANY: Final = """
insert into usage.backfills (assets, first_date, last_date, code_version, root_run_id, run_ids, started_at,
  ended_at, lock_key, state, period_count)
select array['tokens_daily'], '2026-03-04', '2026-03-04', '1', number::text, array[number::text], now(),
  now(), number, 'done', 1
from generate_series(1, 60000) number
"""
HALT: Final = """
create sequence public.ways_down;
create function public.halt() returns event_trigger language plpgsql security definer as $$
begin
  if exists (select from pg_event_trigger_dropped_objects() where object_identity = 'usage.rollup_ledger')
    and nextval('public.ways_down') = 3 then
    perform pg_sleep(60);
  end if;
end $$;
create event trigger halt on sql_drop execute function public.halt()
"""
"""The ledger goes three times: when it is planned, when it is looked at again, and at last."""


@dataclass(frozen=True)
class Down:
    """A way down to nothing, on a database with rows, and where its files are."""

    url: str
    home: Path
    verbs: Verbs

    @property
    def environment(self) -> dict[str, str]:
        return {
            "USAGE_DATABASE_URL": self.url, "USAGE_HOME": str(self.home),
            "USAGE_START": str(START), "USAGE_TOKENS_GRACE_DAYS": str(GRACE_DAYS),
        }  # fmt: skip

    def __call__(self, *words: str) -> Done:
        return self.verbs(*words, **self.environment)

    def found(self, pattern: str) -> list[str]:
        return [str(path) for path in self.home.joinpath("rolled-back").glob(pattern)]

    @contextmanager
    def killed(self, when: Callable[[], bool]) -> Iterator[None]:
        """It is gone without a word as soon as this is so."""
        command = [sys.executable, "-m", "usage_pipeline", "migrate", "rollback", "--to", "base", "--yes"]
        with subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            deadline = time.monotonic() + 60
            while not when():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.kill()
        yield

    def there_and_back(self, superuser: psycopg.Connection, before: filled.Contents) -> None:
        """The next way down is as if there had been none, and every row comes back."""
        done = self("migrate", "rollback", "--to", "base", "--yes")
        assert done.code == 0, done.said
        assert self("migrate", "apply").code == 0
        back = self("migrate", "restore", *done.out.splitlines())
        assert back.code == 0, back.said
        assert filled.contents(superuser) == before


@pytest.fixture
def down(server: Server, database: str, tmp_path: Path, verbs: Verbs) -> Down:
    fill(server, database)
    return Down(url_of(server, database), tmp_path, verbs)


@pytest.mark.stack
def test_killed_while_it_writes(down: Down, server: Server, database: str) -> None:
    """Half a file says of itself that it is none; the tables stand as if nobody had come."""
    with server.connect(database) as superuser:
        superuser.execute(MANY)
        before = filled.contents(superuser)
        with down.killed(lambda: any(Path(each).stat().st_size for each in down.found("*.partial"))):
            (half,) = down.found("*backfills*.partial")
        assert filled.contents(superuser) == before
        refused(down("migrate", "restore", half), 4, "does not begin as a file of rows")
        down.there_and_back(superuser, before)
        assert down.found("*.partial") == [half]


@pytest.mark.stack
def test_killed_before_the_commit(down: Down, server: Server, database: str) -> None:
    """All files are whole and nothing was dropped: they are copies, and do no harm."""
    with server.connect(database) as superuser:
        before = filled.contents(superuser)
        superuser.execute(HALT)

        def is_halted() -> bool:
            return bool(
                superuser.execute("select from pg_stat_activity where wait_event = 'PgSleep'").fetchall()
            )

        with down.killed(is_halted):
            copies = down.found("*")
        assert len(copies) == len(filled.rows_of_ours(before))
        assert all(each.endswith(".rows") for each in copies)
        assert filled.contents(superuser) == before
        superuser.execute("drop event trigger halt")
        again = down("migrate", "restore", *copies)
        assert again.code == 0, again.said
        assert filled.contents(superuser) == before
        down.there_and_back(superuser, before)
        both = down("migrate", "restore", *down.found("*.rows"))
        refused(both, 2, "several files hold the same")


@pytest.mark.parametrize(("answer", "drops"), [("", False), ("y", True)])
def test_a_person_is_asked(server: Server, database: str, tmp_path: Path, answer: str, drops: bool) -> None:
    fill(server, database)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "usage_pipeline", "migrate", "rollback", "--to", "base"],
        cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "USAGE_DATABASE_URL": url_of(server, database), "USAGE_HOME": str(tmp_path)},
    ) as process:  # fmt: skip
        os.close(theirs)
        said = read_until(ours, "Go on? [y/N]")
        assert "usage.user_token_usage, 1 row" in said
        os.write(ours, f"{answer}\n".encode())
        said += read_until(ours, None)
        assert process.wait(30) == 0, said
    os.close(ours)
    assert ("Nothing was rolled back." in said) is not drops
    assert len(list(tmp_path.rglob("*.rows"))) == (3 if drops else 0)
    with server.connect(database) as connection:
        found = connection.execute("select to_regclass('usage.user_token_usage') is null").fetchone()
    assert found == (drops,)
