"""A dump on a server without our roles: after `migrate apply` everything works, nothing is rewritten."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.servers import Kind
from usage_pipeline_tests.verbs import Verbs
from usage_pipeline_tests.warehouse import dumps
from usage_pipeline_tests.warehouse.dumps import NO_ROLES, READ_CLOCK, SUPERUSER, Target

pytestmark = [pytest.mark.stack, pytest.mark.sql]

OLDER: Final = Kind("15", "socket")


@pytest.fixture(scope="module")
def new_server(server_kind: Kind) -> Iterator[Server]:
    """A server on which our roles do not exist."""
    with server_kind.started() as found:
        yield found


@pytest.fixture
def target(new_server: Server, verbs: Verbs, tmp_path: Path) -> Iterator[Target]:
    with cloned(new_server, "template1") as name:
        yield Target(new_server, name, verbs, tmp_path)
    dumps.drop_roles(new_server)


@pytest.fixture(scope="module")
def source(server: Server) -> Iterator[str]:
    with dumps.filled_source(server) as name:
        yield name


@pytest.fixture(scope="module")
def dump(server: Server, source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dumps.dumped(server, source, tmp_path_factory.mktemp("dump") / "whole")


def heal(target: Target, restorer: str) -> None:
    """`migrate apply`; what it prints is run by the owner of the restored objects."""
    done = target("migrate", "apply")
    if restorer == SUPERUSER:
        assert done.code == 3, done
        assert "alter schema usage owner to usage_owner;" in done.out
        target.as_superuser(done.out)
        done = target("migrate", "apply")
        while done.code == 3:  # the application's tables are the superuser's too
            target.as_superuser(done.out)
            done = target("migrate", "apply")
    assert done.code == 0, done
    assert target("migrate", "status").code == 0


def require_as_before(target: Target, server: Server, source: str) -> None:
    """Rows, rights and seals of the source; every run again writes nothing; the guards hold."""
    assert dumps.contents(target.server, target.database) == dumps.contents(server, source)
    rows, seals = (dumps.rows(target.server, target.database, text) for text in (dumps.ROWS, dumps.SEALS))
    assert {state for _, _, state, *_ in seals} == {"open", "sealed"}
    target.rerun_everything()
    assert dumps.rows(target.server, target.database, dumps.ROWS) == rows
    assert dumps.rows(target.server, target.database, dumps.SEALS) == seals
    with target.server.connect(target.database, embedded.LOGIN) as session:
        session.execute("set role usage_writer")
        with pytest.raises(psycopg.Error, match="is sealed"):
            session.execute("update usage.user_token_usage set message_count = 7")


@pytest.mark.parametrize("restorer", [embedded.LOGIN, SUPERUSER])
@pytest.mark.parametrize("words", [NO_ROLES, ()], ids=["without-roles", "as-it-is"])
def test_a_restored_database_works_as_before(
    target: Target, server: Server, source: str, dump: Path, words: tuple[str, ...], restorer: str
) -> None:
    """Owners, grants and policies that name missing roles are lost on the way: apply gives them back."""
    target.restore(dump, *words, login=restorer)
    target.as_superuser(READ_CLOCK)
    heal(target, restorer)
    found, before = dumps.catalogue(target.server, target.database), dumps.catalogue(server, source)
    assert {
        key for key in {*found, *before} if found.get(key) != before.get(key) and "usage" in key[1]
    } == set()
    require_as_before(target, server, source)


def test_a_dump_of_an_older_server_works_on_this_one(
    target: Target, server_kind: Kind, tmp_path: Path
) -> None:
    """Dumped by its own programs: another pg_dump may copy an internal mark it does not know."""
    if lack := OLDER.lack():
        pytest.skip(lack)
    with OLDER.started() as older, dumps.filled_source(older) as source:
        file = dumps.dumped(older, source, tmp_path / "whole")
        target.restore(file, *NO_ROLES, login=embedded.LOGIN)
        target.as_superuser(READ_CLOCK)
        heal(target, embedded.LOGIN)
        require_as_before(target, older, source)


def test_a_restore_beside_another_product(
    server: Server, source: str, dump: Path, verbs: Verbs, tmp_path: Path
) -> None:
    """Where our roles exist already, a dump without rights says nothing of what it lacks."""
    with cloned(server, "template1") as name:
        target = Target(server, name, verbs, tmp_path)
        assert target.restore(dump, *NO_ROLES, login=embedded.LOGIN).returncode == 0
        target.as_superuser(READ_CLOCK)
        refused = target("recalc", "--user", "x", "--from", "2026-01-01", "--to", "2026-01-02")
        assert (refused.code, refused.said.count("\n")) == (3, 1), refused
        assert "migrate apply" in refused.said
        before = target("migrate", "status")
        assert before.code == 3
        assert "pending  rights (" in before.out
        heal(target, embedded.LOGIN)
        require_as_before(target, server, source)


def test_the_tables_of_ours_alone(target: Target, server: Server, source: str, tmp_path: Path) -> None:
    """Our three schemas are restored beside an application that is there already."""
    ours = [f"--schema={name}" for name in ("usage", "usage_private", "usage_parts")]
    whole = dumps.dumped(server, source, tmp_path / "theirs", "--exclude-schema=usage*")
    target.restore(whole, *NO_ROLES, login=embedded.LOGIN)
    target.restore(dumps.dumped(server, source, tmp_path / "ours", *ours), *NO_ROLES, login=embedded.LOGIN)
    target.as_superuser(READ_CLOCK)
    heal(target, embedded.LOGIN)
    require_as_before(target, server, source)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["--section=pre-data", "--section=data"], "the active trigger guard_"),
        (["--schema-only"], "the row of usage_private.schema_version"),
    ],
)
def test_half_a_dump_is_refused_unchanged(target: Target, dump: Path, words: list[str], missing: str) -> None:
    """Rows without the guards over their seal look whole until somebody changes one."""
    target.restore(dump, *NO_ROLES, *words, login=embedded.LOGIN)
    before = dumps.catalogue(target.server, target.database)
    for command in ("apply", "status"):
        done = target("migrate", command)
        last = done.said.splitlines()[-1]
        assert (done.code, done.out) == (4, ""), done
        assert missing in done.said, done.said
        assert "docs/back-up.md" in last
        assert dumps.catalogue(target.server, target.database) == before


def test_a_restore_without_the_rows_is_reported(target: Target, dump: Path) -> None:
    """A dump cut short at the largest table leaves a ledger that speaks of rows nobody has."""
    target.restore(dump, *NO_ROLES, "--section=pre-data", login=embedded.LOGIN)
    for table in ("rollup_ledger", "schema_version", "rollup_policy"):
        target.restore(dump, "--data-only", f"--table={table}", login=SUPERUSER)
    target.restore(dump, *NO_ROLES, "--section=post-data", login=embedded.LOGIN)
    heal(target, embedded.LOGIN)
    done = target("doctor")
    assert done.code == 3
    assert "! stored rows" in done.out, done.out
    assert "periods have no row, and the ledger counts some: the first is tokens_" in done.out


def test_who_may_dump(server: Server, source: str, tmp_path: Path) -> None:
    """Row-level security binds the owner too; obeying it, pg_dump writes no row and no error."""
    login, owner = dumps.address(server, source), "--role=usage_owner"
    refused = dumps.program(server, "pg_dump", "--schema=usage", f"--file={tmp_path / 'a'}", login)
    assert refused.returncode == 1
    assert "query would be affected by row-level security policy" in refused.stderr
    hidden = tmp_path / "hidden"
    words = ("--schema=usage", "--enable-row-security", owner, f"--file={hidden}", login)
    assert dumps.program(server, "pg_dump", *words).returncode == 0
    assert "tokens_daily" not in hidden.read_text()
