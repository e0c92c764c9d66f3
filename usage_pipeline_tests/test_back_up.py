"""Every command that docs/back-up.md shows is run: from a filled server to one without our roles."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.servers import Kind
from usage_pipeline_tests.stack import ROOT, Checkout, Done
from usage_pipeline_tests.warehouse import dumps, filled

PAGE: Final = (ROOT / "docs" / "back-up.md").read_text(encoding="utf-8")
LOGIN, DUMP, CREATE, RESTORE, HEAL, COMPUTE, APART = (
    block.splitlines() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
)
MAY_BE_MISSING: Final = set(
    re.findall(r"`(usage_\w+)`", PAGE[PAGE.index('role "…"') : PAGE.index("3. Give back")])
)


@pytest.fixture
def source(server: Server) -> Iterator[str]:
    with dumps.filled_source(server) as name:
        yield name
    with server.connect() as master:
        master.execute("drop role if exists backup")


def typed(checkout: Checkout, server: Server, command: str, **given: str) -> Done:
    """As a shell runs it, with the programs of this server; our verb in this environment."""
    paths = f"{server.programs / 'bin'}{os.pathsep}{os.environ['PATH']}"
    verb = f"{shlex.quote(sys.executable)} -m usage_pipeline"
    words = ["sh", "-c", re.sub(r"^python3 dev\.py", verb, command)]
    return checkout.run(words, PATH=paths, **given)


@pytest.mark.stack
def test_the_commands_of_the_page(server: Server, source: str, server_kind: Kind) -> None:
    target, login = "restored", "app"
    with stack.checked_out("usage-back-up-") as checkout, server_kind.started() as other:
        from_here = {
            "ADMIN_URL": dumps.address(server, source, dumps.SUPERUSER),
            "BACKUP_URL": dumps.address(server, source, "backup"),
        }
        for command in (*LOGIN, *DUMP):
            done = typed(checkout, server, command, **from_here)
            assert done.code == 0, done
        given = {
            "USAGE_DATABASE_URL": dumps.address(other, target, login), "USAGE_START": str(filled.START),
            "USAGE_TOKENS_GRACE_DAYS": str(filled.GRACE_DAYS),
            "ADMIN_URL": dumps.address(other, "postgres", dumps.SUPERUSER),
            "PGDATABASE": target, "PGLOGIN": login,
        }  # fmt: skip
        for command in CREATE:
            done = typed(checkout, other, command, **given)
            assert done.code == 0, done
        restored = typed(checkout, other, RESTORE[0], **given)
        errors = [line for line in restored.said.splitlines() if "ERROR" in line]
        assert restored.code == 1
        unknown = [re.search(r'role "(\w+)" does not exist', line) for line in errors]
        assert {each[1] if each else None for each in unknown} <= MAY_BE_MISSING, errors
        assert {role.value for role in Role if role is not Role.LOGIN} == MAY_BE_MISSING
        with other.connect(target) as master:
            master.execute(dumps.READ_CLOCK.encode())
        for command in HEAL:
            done = typed(checkout, other, command, **given)
            found = [line for line in done.out.splitlines() if line.startswith("! ")]
            is_doctor = command.endswith("doctor")  # who sees that the test has set the database's clock back
            assert done.code == (3 if is_doctor else 0), done.out + done.said
            assert [line.split()[1] for line in found] == (["clock"] if is_doctor else [])
        rows = dumps.rows(other, target, dumps.ROWS)
        for command in (*COMPUTE, *APART):
            done = typed(checkout, other, command, **given)
            assert done.code == 0, done
        assert rows
        assert dumps.rows(other, target, dumps.ROWS) == rows
