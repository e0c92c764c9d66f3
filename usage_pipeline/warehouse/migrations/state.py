"""Where a database stands beside this code."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from sqlalchemy import Connection

from usage_pipeline.refusals import ATTENTION, REFUSED, Refusal
from usage_pipeline.warehouse import failures, functions, statements
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.migrations import rights

_SQL: Final = "warehouse.migrations.sql"


@dataclass(frozen=True)
class State:
    """`pending` revisions, `outdated` function files and `rights` are what `migrate apply` would run."""

    current: str | None
    revisions: tuple[str, ...]
    pending: tuple[str, ...]
    outdated: tuple[str, ...]
    rights: int = 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """What `migrate apply` would run, in words."""
        return (
            *self.pending,
            *rights.counted(self.rights),
            *(f"functions of {name}" for name in self.outdated),
        )

    @property
    def is_current(self) -> bool:
        return not self.waiting


def read(connection: Connection, wanted: Sequence[FunctionFile], *, with_rights: bool = False) -> State:
    """The state of this database; the session's role must be one of ours. To compare rights costs more."""
    version = current(connection)
    if version is not None and version not in {number(name) for name in revisions()}:
        raise Refusal(
            f"the database stands at revision {version}, which this code does not know",
            why=f"it was migrated by a newer version; this one knows up to {revisions()[-1]}",
            fix="bring this checkout up to date",
        )
    pending = tuple(name for name in revisions() if version is None or number(name) > version)
    require_whole(connection)
    differing = len(rights.needed(connection)) if with_rights and not pending else 0
    return State(version, revisions(), pending, functions.outdated(connection, wanted), differing)


def require_whole(connection: Connection) -> None:
    """Refuse a database of the newest revision (if it can be read) that lacks what the revisions make."""
    if not is_readable(connection) or current(connection) != number(revisions()[-1]):
        return
    missing = [str(row.object) for row in statements.run(connection, _SQL, "missing_objects")]
    if missing:
        raise _not_whole(f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}")


def lack(connection: Connection) -> Refusal | None:
    """Why a statement may miss something of ours: a revision that has not run, or that this code lacks."""
    try:
        pending = read(connection, ()).pending
    except Refusal as refusal:
        return refusal
    return failures.pending(f"not applied yet: {', '.join(pending)}") if pending else None


def untouched(wanted: Sequence[FunctionFile]) -> State:
    """The state of a database in which nothing of ours stands."""
    return State(None, revisions(), revisions(), tuple(file.name for file in wanted))


def revisions() -> tuple[str, ...]:
    """The names of all revisions, oldest first, as their files are called."""
    folder = files("usage_pipeline.warehouse.migrations.versions")
    names = (each.name for each in folder.iterdir())
    return tuple(sorted(name[1:].removesuffix(".py") for name in names if name.startswith("r")))


def number(revision: str) -> str:
    return revision.split("_", 1)[0]


def founded(connection: Connection) -> bool:
    """Whether the roles and schemas stand; any login may ask."""
    return bool(statements.run(connection, "warehouse.sql", "foundation_exists").scalar_one())


def is_readable(connection: Connection) -> bool | None:
    """Whether this role may read how far the revisions have run; None: none has."""
    found = statements.run(connection, "warehouse.sql", "schema_version_is_readable").scalar_one()
    return None if found is None else bool(found)


def current(connection: Connection) -> str | None:
    """The newest revision that has run."""
    if (can_read := is_readable(connection)) is None:
        return None
    if not can_read:
        raise Refusal(
            "the rights of our roles are missing", why="the database was restored without them",
            fix="$ migrate apply", exit_code=ATTENTION,
        )  # fmt: skip
    version = statements.run(connection, "warehouse.sql", "schema_version").scalar_one_or_none()
    if version is None:
        raise _not_whole("the row of usage_private.schema_version")
    return str(version)


def _not_whole(missing: str) -> Refusal:
    return Refusal(
        "the database holds only a part of our objects",
        why=f"missing: {missing}, as after a restore of half a dump",
        fix="restore the whole dump into an empty database, as docs/back-up.md says",
        exit_code=REFUSED,
    )
