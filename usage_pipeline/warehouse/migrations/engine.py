"""Apply, show and undo the schema: the foundation, Alembic's revisions, then the functions from files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from usage_pipeline.warehouse import functions, statements
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.functions import FunctionFile

_SQL = "warehouse.migrations.sql"


@dataclass(frozen=True)
class Status:
    """Where a database stands beside this code; `pending` and `outdated` are what `migrate apply` would do."""

    current: str | None
    head: str
    pending: tuple[str, ...]
    outdated: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        return not self.pending and not self.outdated


def revisions() -> list[str]:
    """The names of all revisions, oldest first, as their files are called."""
    folder = files("usage_pipeline.warehouse.migrations.versions")
    return sorted(Path(str(each)).stem.removeprefix("r") for each in folder.iterdir() if each.name.startswith("r"))


def status(warehouse: Warehouse, wanted: Sequence[FunctionFile]) -> Status:
    """What stands in the database, read without changing it."""
    with warehouse.begin(Role.LOGIN) as connection:
        founded = _founded(connection)
        outdated = functions.outdated(connection, wanted)
    current = None
    if founded:
        with warehouse.begin(Role.OWNER) as connection:
            current = _current(connection)
    names = revisions()
    pending = tuple(name for name in names if current is None or name.split("_", 1)[0] > current)
    return Status(current, names[-1], pending, outdated)


def apply(warehouse: Warehouse, to: str = "head") -> tuple[str, ...]:
    """Run the foundation and the pending revisions; the names of those that ran."""
    with warehouse.begin(Role.LOGIN) as connection:
        if not _founded(connection):
            statements.run_script(connection, statements.read(_SQL, "foundation.up"))
    with warehouse.begin(Role.OWNER) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        before = _current(connection)
        _alembic(lambda config: command.upgrade(config, to), connection)
        after = _current(connection)
    return tuple(each for each in revisions() if (before or "") < each.split("_", 1)[0] <= (after or ""))


def roll_back(warehouse: Warehouse, to: str) -> None:
    """Undo revisions down to `to`, which stays; `base` undoes the foundation too."""
    with warehouse.begin(Role.OWNER) as connection:
        statements.run(connection, "warehouse.sql", "lock_migrations")
        _alembic(lambda config: command.downgrade(config, to), connection)
    if to == "base":
        with warehouse.begin(Role.LOGIN) as connection:
            statements.run_script(connection, statements.read(_SQL, "foundation.down"))


def script() -> str:
    """Everything a first `apply` runs before the functions, as SQL."""
    output = io.StringIO()
    _alembic(lambda config: command.upgrade(config, "head", sql=True), None, output)
    return f"{statements.read(_SQL, 'foundation.up')}\nset role usage_owner;\n\n{output.getvalue()}"


def _founded(connection: Connection) -> bool:
    return bool(statements.run(connection, "warehouse.sql", "foundation_exists").scalar_one())


def _current(connection: Connection) -> str | None:
    found = statements.run(connection, "warehouse.sql", "schema_version_exists").scalar_one()
    if not found:
        return None
    version = statements.run(connection, "warehouse.sql", "schema_version").scalar_one_or_none()
    return None if version is None else str(version)


def _alembic(action: object, connection: Connection | None, output: io.StringIO | None = None) -> None:
    assert callable(action)
    with as_file(files("usage_pipeline.warehouse.migrations")) as folder:
        config = Config(output_buffer=output, attributes={"connection": connection})
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        action(config)
