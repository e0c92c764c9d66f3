"""Down and up again with every row; what nobody agreed to, could not be saved or does not fit is refused."""

import errno
import json
import os
import resource
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Connection

from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import functions
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import backfills, embedded, tables
from usage_pipeline.warehouse.backfills import Asked
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine, rollback, staging, state, way_down
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.tables import Table
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.rollups.test_tokens import wait_for_a_lock
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs
from usage_pipeline_tests.warehouse import filled
from usage_pipeline_tests.warehouse.filled import Contents
from usage_pipeline_tests.warehouse.test_migrations import CATALOGUE

REVISIONS: Final = state.revisions()
LEDGER, TOKENS = "usage.rollup_ledger", "usage.user_token_usage"
RESTATEMENTS, POLICY = "usage.restatements", "usage.rollup_policy"
WANTED: Final = functions.wanted(SUPABASE_CHAT)
FIRING: Final = (
    "select tgrelid::regclass::text, tgname, tgenabled from pg_trigger where not tgisinternal order by 1, 2"
)
TARGETS: Final = ("base", *(state.number(name) for name in REVISIONS[:-1]))


@dataclass(frozen=True)
class Stand:
    """A filled database, the verbs on it, and a folder of one's own."""

    server: Server
    database: str
    master: psycopg.Connection
    verbs: Verbs
    folder: Path

    def __call__(self, *words: str, **environment: str) -> Done:
        url = self.server.url(self.database).set(drivername="postgresql").render_as_string()
        given = {
            "USAGE_DATABASE_URL": url, "USAGE_HOME": str(self.folder / "home"),
            "USAGE_START": str(filled.START), "USAGE_TOKENS_GRACE_DAYS": str(filled.GRACE_DAYS),
        }  # fmt: skip
        return self.verbs(*words, **given, **environment)

    def down(self, *words: str) -> list[str]:
        """The files of one rollback."""
        done = self("migrate", "rollback", *words, "--yes")
        assert done.code == 0, done.said
        return done.out.splitlines()

    def up(self, *files: str) -> Done:
        applied = self("migrate", "apply")
        assert applied.code == 0, applied.said
        return self("migrate", "restore", *files)

    def everything(self) -> tuple[Contents, Any]:
        """Every row, the whole catalogue, and which triggers fire."""
        firing = self.master.execute(FIRING).fetchall()
        return filled.contents(self.master), (self.master.execute(CATALOGUE).fetchall(), firing)


@pytest.fixture(scope="module")
def filled_database(server: Server) -> Iterator[str]:
    """The database that each test's own is a clone of."""
    with cloned(server, TEMPLATE) as name:
        warehouse = Warehouse(server.url(name))
        with server.connect(name, embedded.LOGIN) as session:
            filled.fill(Chat(session), warehouse)
        warehouse.dispose()
        with server.connect(name) as master:
            filled.prune(master)
        yield name


@pytest.fixture
def stand(server: Server, filled_database: str, verbs: Verbs, tmp_path: Path) -> Iterator[Stand]:
    with cloned(server, filled_database) as name, server.connect(name) as master:
        yield Stand(server, name, master, verbs, tmp_path)


def refused(done: Done, code: int, *words: str) -> None:
    """One line, and nothing on standard output."""
    told_before = ("✓", "  ", "from ")
    lines = [line for line in done.said.splitlines() if not line.startswith(told_before)]
    assert (done.code, done.out, len(lines)) == (code, "", 1), done
    assert "Fix: " in lines[0]
    assert all(word in lines[0] for word in words), lines[0]


def test_the_database_is_filled(stand: Stand) -> None:
    """Rows that are not there prove nothing when they come back."""
    found = filled.contents(stand.master)
    counts = filled.rows_of_ours(found)
    assert set(counts) == {
        LEDGER, TOKENS, RESTATEMENTS, POLICY, "usage.backfills", "usage.source_horizon"
    }  # fmt: skip
    states = stand.master.execute(f"select state, count(*) from {LEDGER} group by 1".encode()).fetchall()  # noqa: S608
    assert {name for name, _ in states} == {"open", "sealed", "pruned"}
    kept = stand.master.execute(f"select count(*) from {LEDGER} where kept_rows > 0".encode()).fetchall()  # noqa: S608
    assert kept != [(0,)]
    assert counts[TOKENS] > 20


@pytest.mark.parametrize("target", TARGETS)
def test_down_and_up_again_every_row_is_there(stand: Stand, target: str) -> None:
    """From the newest revision to each other: ids, times, seals, ranges and the next id are as they were."""
    before = stand.everything()
    files = stand.down("--to", target)
    assert files
    done = stand.up(*reversed(files))
    assert done.code == 0, done.said
    assert stand.everything() == before


def test_step_by_step_down_and_up_at_once(stand: Stand) -> None:
    """Each step saves what it alone takes: a table whose columns went before it is put together again."""
    before = stand.everything()
    files = [file for _ in REVISIONS for file in stand.down()]
    assert stand("migrate", "rollback", "--yes").said.strip() == "There is nothing to roll back."
    assert "usage" not in {name.partition(".")[0] for name in filled.contents(stand.master)}
    done = stand.up(*files)
    assert done.code == 0, done.said
    assert stand.everything() == before


@pytest.mark.parametrize("step", range(1, len(REVISIONS)))
def test_each_step_by_itself(stand: Stand, step: int) -> None:
    """One revision down from each, and up again."""
    upper, lower = REVISIONS[-step], REVISIONS[-step - 1]
    files = stand.down("--to", upper) if step > 1 else []
    before = filled.contents(stand.master)
    own = stand.down("--to", lower)
    assert stand.master.execute("select version_num from usage_private.schema_version").fetchall() == [
        (state.number(lower),)
    ]
    warehouse = Warehouse(stand.server.url(stand.database))
    engine.apply(warehouse, to=state.number(upper))
    warehouse.dispose()
    done = stand("migrate", "restore", *own) if own else None
    assert done is None or done.code == 0, done
    assert filled.contents(stand.master) == before
    assert stand.up(*files).code == 0 if files else True


def test_every_function_of_ours_goes(stand: Stand) -> None:
    """Those from files would stay behind and call what is gone; whichever code comes next makes its own."""
    found = "select count(*) from pg_proc where pronamespace::regnamespace::text = 'usage'"
    (before,) = stand.master.execute(found).fetchall()
    assert before > (5,)
    files = stand.down()
    assert stand.master.execute(found).fetchall() == [(0,)]
    stand.up(*files)
    assert stand.master.execute(found).fetchall() == [before]


def test_the_next_id_is_a_new_one(stand: Stand) -> None:
    stand.up(*stand.down("--to", "0002"))
    warehouse = Warehouse(stand.server.url(stand.database))
    asked = Asked(("tokens_daily",), filled.START, filled.START, "1", 1)
    with backfills.held(warehouse, asked, run_id="next", root_run_id=None, backfill_id=None) as held:
        assert held.id == 4
    warehouse.dispose()


def test_rows_are_not_dropped_unless_that_is_said(stand: Stand) -> None:
    before = stand.everything()
    counts = filled.rows_of_ours(before[0])
    done = stand("migrate", "rollback", "--to", "0001", "--into", str(stand.folder / "a b"))
    refused(
        done, 4, f"{TOKENS} ({counts[TOKENS]} rows)", f"of {LEDGER} ({counts[LEDGER]} rows)",
        f"{POLICY} (1 row)", f"usage-pipeline migrate rollback --to 0001 --into '{stand.folder}/a b' --yes",
    )  # fmt: skip
    assert stand.everything() == before
    assert list(stand.folder.iterdir()) == []


def test_what_changed_since_it_was_agreed_to_stays(stand: Stand) -> None:
    """One down is another one once somebody else went it; what was empty was never asked about."""
    warehouse = Warehouse(stand.server.url(stand.database))
    agreed = rollback.plan(warehouse, WANTED, None)
    assert agreed is not None
    stand.down()
    before = stand.everything()
    with pytest.raises(Refusal, match="somebody else migrated"):
        rollback.perform(warehouse, WANTED, None, stand.folder, agreed)
    empty = way_down.WayDown("0003", "0002", (), (), (), ())
    with pytest.raises(Refusal, match="a table that was empty holds rows now"):
        rollback.perform(warehouse, WANTED, None, stand.folder, empty)
    warehouse.dispose()
    assert stand.everything() == before
    assert not list(stand.folder.glob("*.rows"))


def test_what_is_empty_goes_without_a_word(stand: Stand) -> None:
    stand.master.execute("truncate usage.restatements, usage.rollup_policy, usage.source_horizon,"
                         " usage.rollup_ledger, usage.backfills")  # fmt: skip
    done = stand("migrate", "rollback", "--to", "0003_backfills")
    assert (done.code, done.out) == (0, ""), done.said
    assert f"drops      {RESTATEMENTS}, 0 rows" in done.said
    assert list(stand.folder.iterdir()) == []


def test_what_is_said_before_and_after(stand: Stand) -> None:
    """Whoever reads it knows what goes, where it is saved, and how it comes back."""
    counts = filled.rows_of_ours(filled.contents(stand.master))
    done = stand("migrate", "rollback", "--to", "base", "--yes")
    assert f"undoes     {', '.join(reversed(REVISIONS))}" in done.said
    assert f"drops      {TOKENS}, {counts[TOKENS]} rows" in done.said
    assert "stays on a table that is not ours: select on public.chat_messages_v2 to usage_writer" in done.said
    files = done.out.splitlines()
    assert len(files) == len(counts)
    assert f"migrate restore {' '.join(files)}" in done.said
    for file in map(Path, files):
        assert file.parent == stand.folder / "home" / "rolled-back"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        head, *rows = file.read_bytes().splitlines()
        told = json.loads(head)
        assert file.name.startswith(f"{told['table']}.0005.2")
        assert told["rows"] == len(rows) == counts[told["table"]]
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("to", "code", "words"),
    [
        ("0009", 2, "there is no revision `0009`"),
        ("0005_families", 2, "0005_families has not run"),
        ("", 2, "there is no revision ``"),
    ],
)
def test_a_revision_that_is_not_below(stand: Stand, to: str, code: int, words: str) -> None:
    stand.down()
    refused(stand("migrate", "rollback", "--to", to), code, words)
    assert "nothing to roll back" in stand("migrate", "rollback", "--to", "0004").said


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def cut_by_a_row(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def alter(file: Path) -> None:
    text = file.read_bytes()
    file.write_bytes(text[:-3] + bytes([text[-3] ^ 1]) + text[-2:])


def double_a_row(file: Path) -> None:
    file.write_bytes(file.read_bytes() + file.read_bytes().splitlines(keepends=True)[-1])


def name_another_table(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"usage.', b'"public.', 1))


def name_other_rows(file: Path) -> None:
    head = json.loads(file.read_bytes().splitlines()[0])
    file.write_bytes(file.read_bytes().replace(f'"rows": {head["rows"]}'.encode(), b'"rows": 0', 1))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def write_another(file: Path) -> None:
    file.write_text("[1]\n")


@pytest.mark.parametrize(
    "damage",
    [cut, cut_by_a_row, alter, double_a_row, name_another_table, name_other_rows, empty, write_another],
)
def test_a_file_that_is_not_as_it_was_written(stand: Stand, damage: Any) -> None:
    """One bad file of several: the others are not written either."""
    files = stand.down("--to", "0002")
    stand("migrate", "apply")
    before = stand.everything()
    damage(Path(next(file for file in files if RESTATEMENTS in file)))
    refused(stand("migrate", "restore", *files), 4, RESTATEMENTS)
    assert stand.everything() == before


def test_a_file_without_its_table(stand: Stand) -> None:
    files = stand.down("--to", "0003")
    refused(stand("migrate", "restore", *files), 3, "does not exist", "usage-pipeline migrate apply")
    files += stand.down("--to", "base")
    refused(stand("migrate", "restore", *files), 3, "does not exist", "usage-pipeline migrate apply")


def test_a_file_of_a_table_that_has_other_columns(stand: Stand) -> None:
    files = stand.down("--to", "0003")
    older = [file for file in stand.down("--to", "0002") if "usage.backfills." in file]
    stand("migrate", "apply")
    before = stand.everything()
    refused(
        stand("migrate", "restore", *older), 4, "no file has the column `period_count` of usage.backfills"
    )
    stand.master.execute("alter table usage.restatements drop column before cascade")
    refused(stand("migrate", "restore", *files), 4, "usage.restatements has no column `before`")
    assert filled.contents(stand.master)[LEDGER] == before[0][LEDGER]


def test_a_table_that_holds_other_rows(stand: Stand) -> None:
    """The settings have written their own rows: which of them are right only a person knows."""
    files = stand.down("--to", "0003")
    assert stand("migrate", "apply").code == 0
    stand.master.execute("update usage.rollup_policy set grace_days = 8")
    before = stand.everything()
    for given in (files, [file for file in files if POLICY in file]):
        refused(stand("migrate", "restore", *given), 4, f"{POLICY} is not empty", "leave that file out")
        assert stand.everything() == before
    done = stand("migrate", "restore", *(file for file in files if POLICY not in file))
    assert done.code == 0, done.said
    again = stand("migrate", "restore", *(file for file in files if RESTATEMENTS in file))
    assert again.code == 0
    assert "stood already" in again.said


@pytest.mark.parametrize("is_alone", [False, True])
def test_the_saved_policy_replaces_the_one_of_apply(stand: Stand, is_alone: bool) -> None:
    """`retention set` had changed the grace; apply after the rollback records the one of the settings."""
    stand.master.execute("update usage.rollup_policy set grace_days = 30, first_day = '2025-12-01'")
    before = stand.everything()
    files = stand.down("--to", "base")
    assert stand("migrate", "apply").code == 0
    assert filled.contents(stand.master)[POLICY] != before[0][POLICY]
    if is_alone:
        own = [file for file in files if POLICY in file]
        done = stand("migrate", "restore", *own)
        assert done.code == 0, done.said
        assert filled.contents(stand.master)[POLICY] == before[0][POLICY]
    done = stand("migrate", "restore", *files)
    assert done.code == 0, done.said
    assert stand.everything() == before


def test_columns_of_rows_that_have_changed_since(stand: Stand) -> None:
    """What was kept of a day that was computed anew meanwhile is another day's number."""
    files = stand.down("--to", "0003")
    stand.master.execute(
        "update usage.rollup_ledger set checksum = 'other' where rollup = 'tokens_daily' and state = 'open'"
    )
    stand("migrate", "apply")
    before = stand.everything()
    refused(
        stand("migrate", "restore", *files),
        4,
        f"below, kept_rows, kept, states of {LEDGER} cannot be given back",
    )
    assert stand.everything() == before


def test_two_files_of_the_same(stand: Stand) -> None:
    files = [file for file in stand.down("--to", "0003") if RESTATEMENTS in file]
    stand("migrate", "apply")
    refused(stand("migrate", "restore", *files, *files), 2, "several files", RESTATEMENTS)


def test_what_others_refer_to_is_restored_first(stand: Stand) -> None:
    files = sorted(stand.down("--to", "base"), key=lambda file: LEDGER in file)
    stand("migrate", "apply")
    stand.master.execute(
        "alter table usage.restatements add foreign key (rollup, period_start) references usage.rollup_ledger"
    )
    done = stand("migrate", "restore", *files)
    assert done.code == 0, done.said


@pytest.mark.parametrize("table", [RESTATEMENTS, LEDGER])
def test_rows_that_a_policy_hides_are_saved(stand: Stand, table: str) -> None:
    """Row-level security is forced: what it hides from the owner would be dropped without a copy."""
    before = stand.everything()
    with filled.hidden(stand.master, table):
        files = stand.down("--to", "base")
    assert stand.up(*files).code == 0
    assert stand.everything() == before


class Unlifted:
    """The tables' module, in which nobody lifts anything."""

    def __init__(self, row_security: str) -> None:
        self.row_security = row_security

    def __getattr__(self, name: str) -> Any:
        return getattr(tables, name)

    def lift(self, connection: Connection, table: Table) -> None:
        connection.exec_driver_sql(f"set local row_security = {self.row_security}")


@pytest.mark.parametrize(
    ("row_security", "words"), [("on", "0 could be read"), ("off", "row-level security")]
)
def test_nothing_is_dropped_that_could_not_be_read(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, row_security: str, words: str
) -> None:
    """Twice secured: the database says that it hides rows, and the count says it if the database does not."""
    before = stand.everything()
    monkeypatch.setattr(rollback, "tables", Unlifted(row_security))
    refused(
        stand("migrate", "rollback", "--yes", "--into", str(stand.folder)), 4 if "0" in words else 1, words
    )
    assert stand.everything() == before
    assert list(stand.folder.iterdir()) == []


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process gets longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_takes_nothing(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is dropped that does not lie on the disk, and no half of a file is left."""
    before = stand.everything()
    (stand.folder / "file").write_text("mine")
    into = ("migrate", "rollback", "--to", "base", "--yes", "--into")
    refused(
        stand(*into, str(stand.folder / "file" / "x")), 1, "cannot be written", "Not a directory", "--into"
    )
    with small_files(1500):
        refused(stand(*into, str(stand.folder / "small")), 1, "cannot be written", "File too large")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(stand(*into, str(stand.folder / "full")), 1, "no room is left for", "nothing was dropped")
    assert stand.everything() == before
    assert sorted(each.name for each in stand.folder.rglob("*")) == ["file", "full", "small"]


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_interrupt_on_the_way_down(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last file and before the commit: the tables stand, and no file says that they do not."""
    before = stand.everything()
    undo = engine.undo
    calls: list[Any] = []

    def interrupted(*arguments: Any) -> None:
        undo(*arguments)
        calls.append(arguments)
        if len(calls) == 3:
            assert len(list((stand.folder / "to").iterdir())) == 6
            raise KeyboardInterrupt

    monkeypatch.setattr(engine, "undo", interrupted)
    done = stand("migrate", "rollback", "--to", "base", "--yes", "--into", str(stand.folder / "to"))
    assert done.code == 130
    assert stand.everything() == before
    assert list((stand.folder / "to").iterdir()) == []


def test_a_connection_that_is_lost_at_the_end(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the commit was heard nobody knows: then the files are all there may be."""
    before = stand.everything()

    def cut_off(*arguments: Any) -> None:
        stand.master.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where application_name = 'usage_pipeline' and datname = current_database()"
        )

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "_require_saved", cut_off)
        refused(
            stand("migrate", "rollback", "--to", "0003", "--yes"),
            1,
            "is done or is not",
            "migrate status",
            str(stand.folder),
        )
    assert stand.everything() == before
    assert len(list(stand.folder.rglob("*.rows"))) == 5
    undo = engine.undo

    def lost(*given: Any) -> None:
        cut_off()
        undo(*given)

    monkeypatch.setattr(engine, "undo", lost)
    refused(stand("migrate", "rollback", "--yes", "--into", str(stand.folder / "to")), 1, "was lost")
    assert stand.everything() == before


def test_an_interrupt_on_the_way_up(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    files = stand.down("--to", "base")
    stand("migrate", "apply")
    before = stand.everything()
    restore = staging.restore
    calls: list[Any] = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == len(files):
            raise KeyboardInterrupt
        return restore(*arguments)

    monkeypatch.setattr(staging, "restore", interrupted)
    assert stand("migrate", "restore", *files).code == 130
    assert stand.everything() == before


def test_a_step_that_drops_more_the_second_time(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes is not what was foreseen, and stands in no file: it must not go."""
    before = stand.everything()
    undo = engine.undo
    calls: list[Any] = []

    def changed(connection: Connection, *arguments: Any) -> None:
        undo(connection, *arguments)
        calls.append(arguments)
        if len(calls) == 3:
            connection.exec_driver_sql("alter table usage.rollup_ledger drop column duration_ms")

    monkeypatch.setattr(engine, "undo", changed)
    done = stand("migrate", "rollback", "--yes")
    refused(done, 1, "duration_ms", "would have gone unsaved")
    assert stand.everything() == before
    assert not list(stand.folder.rglob("*.rows"))


def _known(stand: Stand) -> list[Table]:
    warehouse = Warehouse(stand.server.url(stand.database))
    with warehouse.begin(Role.OWNER) as connection:
        found = list(tables.read(connection).values())
    warehouse.dispose()
    return found


def test_what_is_somebody_elses_stops_it(stand: Stand) -> None:
    """An analyst's view would go with the table, or hold it: it holds."""
    stand.master.execute("create view public.mine as select user_id from usage.user_token_usage")
    before = stand.everything()
    done = stand("migrate", "rollback", "--to", "0001", "--yes")
    refused(done, 1, "not ours depends on", "drop it first")
    assert stand.everything() == before


def test_a_run_in_progress_goes_on(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds a row of the ledger and will write elsewhere: it must not meet us there."""
    monkeypatch.setattr(tables, "PATIENCE", 0.3)
    with stand.server.connect(stand.database) as run:
        run.autocommit = False
        run.execute("set role usage_writer")
        run.execute("select from usage.rollup_ledger where rollup = 'tokens_daily' for update")
        refused(stand("migrate", "rollback", "--yes"), 1, "a lock was not had in time", "run it again")
        monkeypatch.setattr(tables, "PATIENCE", 30)
        with ThreadPoolExecutor(1) as pool:
            warehouse = Warehouse(stand.server.url(stand.database))
            planned = pool.submit(rollback.plan, warehouse, WANTED, None)
            run.execute("set lock_timeout = '2s'")
            began = time.monotonic()
            while time.monotonic() < began + 2:  # whoever waits for us comes to it in this time
                run.execute("savepoint looked")
                for table in ("restatements", "backfills", "rollup_policy", "user_token_usage"):
                    run.execute(f"select count(*) from usage.{table}".encode())  # noqa: S608
                run.execute("rollback to looked")  # the tables are free again but for the ledger
                assert not planned.done()
            run.commit()
            assert planned.result(30) is not None
            warehouse.dispose()


def test_a_backfill_between_two_periods_is_not_broken(stand: Stand) -> None:
    """It holds no table in that moment, and the next period would find none."""
    before = filled.contents(stand.master)
    warehouse = Warehouse(stand.server.url(stand.database))
    asked = Asked(("tokens_daily",), filled.START, filled.START, "1", 1)
    with backfills.held(warehouse, asked, run_id="now", root_run_id=None, backfill_id=None):
        for to in ("0003", "base"):
            refused(stand("migrate", "rollback", "--to", to, "--yes"), 4, "backfill 4 is running")
    warehouse.dispose()
    assert filled.contents(stand.master)[TOKENS] == before[TOKENS]


def test_it_waits_for_another_migration(stand: Stand) -> None:
    with stand.server.connect(stand.database) as other, ThreadPoolExecutor(1) as pool:
        other.execute("select pg_advisory_lock(hashtextextended('usage_pipeline.migrations', 0))")
        warehouse = Warehouse(stand.server.url(stand.database))
        planned = pool.submit(rollback.plan, warehouse, WANTED, "base")
        wait_for_a_lock(stand.server, stand.database)
        other.execute("select pg_advisory_unlock_all()")
        assert planned.result(30) is not None
        warehouse.dispose()


def test_what_a_step_takes_is_found_in_the_database(stand: Stand) -> None:
    """A list kept by hand would forget the next table: this one no list knows."""
    stand.master.execute(
        "create table usage.added (id bigint generated by default as identity primary key, half numeric,"
        " whole numeric generated always as (half * 2) stored);"
        "insert into usage.added (half) values (1.50), (null);"
        "alter table usage.added owner to usage_owner, enable row level security, force row level security"
    )
    known = {each.oid: each for each in _known(stand)}
    stand.master.execute(
        "alter table usage.added rename half to part; alter table usage.added drop column whole"
    )
    assert list(way_down.lost(known, {each.oid: each for each in _known(stand)})) == [], "renamed, generated"
    stand.master.execute("alter table usage.added alter column part type integer")
    (changed,) = way_down.lost(known, {each.oid: each for each in _known(stand)})
    assert changed.what == "half of usage.added"
    stand.master.execute("drop table usage.added; create table usage.added (id bigint)")
    (gone,) = way_down.lost(known, {each.oid: each for each in _known(stand)})
    assert (gone.what, gone.columns, gone.table.counters) == ("usage.added", None, {"id": 2})
