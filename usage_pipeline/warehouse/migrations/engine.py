"""Apply, undo and print the schema: foundation, Alembic's revisions, rights, functions from files."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from usage_pipeline.warehouse import functions, statements, tables
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.migrations import rights, state
from usage_pipeline.warehouse.migrations.state import State
from usage_pipeline.warehouse.roles import Role

_SQL = "warehouse.migrations.sql"


def status(warehouse: Warehouse, wanted: Sequence[FunctionFile]) -> State:
    """What stands in the database, read without changing it."""
    with warehouse.begin(Role.LOGIN) as connection:
        state.require_whole(connection)
        is_founded = state.founded(connection)
        if not is_founded and state.is_readable(connection) is None:
            return state.untouched(wanted)
        if not is_founded or rights.foreign(connection):
            return State(None, state.revisions(), (), (), len(rights.needed(connection)))
    with warehouse.begin(Role.OWNER) as connection:
        found = state.read(connection, wanted, with_rights=True)
        is_restored = found.is_current and rights.names_foreign_transactions(connection)
    return replace(found, rights=1) if is_restored else found


def apply(warehouse: Warehouse, to: str = "head") -> tuple[str, ...]:
    """Run the foundation, the pending revisions, then what rights differ; the names of what ran.

    A restored database first gives its objects back to the owner of all; half of one is refused unchanged.
    """
    with warehouse.begin(Role.LOGIN) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        if not state.founded(connection):
            statements.run_script(connection, statements.read(_SQL, "foundation.up"))
    with warehouse.begin(Role.LOGIN) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        changed = rights.take_ownership(connection)
        tables.act_as(connection, Role.OWNER)
        state.read(connection, ())
    with warehouse.begin(Role.OWNER) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        before = state.read(connection, ()).current or ""
        _alembic(lambda config: command.upgrade(config, to), connection)
        after = state.current(connection) or ""
        is_newest = after == state.number(state.revisions()[-1])
        changed += rights.settle(connection) if is_newest else 0
    ran = tuple(name for name in state.revisions() if before < state.number(name) <= after)
    return (*ran, *rights.counted(changed))


def install(warehouse: Warehouse, wanted: Sequence[FunctionFile]) -> tuple[str, ...]:
    """Create the functions that differ from their files; the names of the files that ran."""
    with warehouse.begin(Role.OWNER) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        return functions.install(connection, wanted)


def roll_back(warehouse: Warehouse, wanted: Sequence[FunctionFile], to: str = "base") -> None:
    """Undo revisions down to `to`, which stays; what they drop is gone for good."""
    with warehouse.begin(Role.LOGIN) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        undo(connection, wanted, to)


def undo(connection: Connection, wanted: Sequence[FunctionFile], to: str) -> None:
    """The same within a transaction of the login's; `base` undoes the foundation too.

    The functions from files go with any revision: they are of the code that knows it, and whichever code
    comes next makes its own.
    """
    tables.act_as(connection, Role.OWNER)
    if state.current(connection) is not None:
        functions.remove(connection, wanted)
        _alembic(lambda config: command.downgrade(config, to), connection)
    if to == "base":
        tables.act_as(connection, Role.LOGIN)
        statements.run_script(connection, statements.read(_SQL, "foundation.down"))


def script(
    grants: Sequence[str], wanted: Sequence[FunctionFile], login: str, last_grants: Sequence[str] = ()
) -> str:
    """Everything a first `apply` of this login runs, as SQL for a person to read and run, whoever that is.

    Nothing waits for the last grants, so one of them that fails stops nothing.
    """
    revisions = io.StringIO()
    _alembic(lambda config: command.upgrade(config, "head", sql=True), None, revisions)
    as_owner, as_login = statements.read(_SQL, "act_as_owner"), statements.read(_SQL, "act_as_login")
    return "\n".join(
        [
            statements.read(_SQL, "foundation.up"),
            statements.printed(_SQL, "membership", login=login),
            as_owner,
            revisions.getvalue(),
            as_login,
            *(f"{grant};" for grant in grants),
            as_owner,
            functions.script(wanted),
            as_login,
            rights.script(),
            *(f"{grant};" for grant in last_grants),
        ]
    )


def _alembic(
    action: Callable[[Config], object], connection: Connection | None, output: io.StringIO | None = None
) -> None:
    with as_file(files("usage_pipeline.warehouse.migrations")) as folder:
        config = Config(output_buffer=output, attributes={"connection": connection})
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        action(config)
