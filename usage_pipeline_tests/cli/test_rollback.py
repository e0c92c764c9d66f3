"""A person at a terminal is asked before rows are dropped; Enter leaves them."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.cli.test_own_database import read_until
from usage_pipeline_tests.cli.test_poor_databases import fill, url_of
from usage_pipeline_tests.stack import ROOT


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
