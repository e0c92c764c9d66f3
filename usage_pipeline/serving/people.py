"""Who an id, a name or a part of a name stands for, and what a person calls them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import statements

NOBODY: Final = UUID(int=0)
UNATTRIBUTED: Final = "(unattributed)"
_NAMED: Final = 8
_NO_SUCH_CHARACTER: Final = (psycopg.errors.UntranslatableCharacter, psycopg.errors.CharacterNotInRepertoire)
"""What the name that is searched for is refused with, whatever the directory is like."""
_PATIENCE_MS: Final = 2_000
"""How long a command waits for names: the directory may be a view that never ends."""


@dataclass(frozen=True)
class Person:
    """Somebody with usage or a name."""

    user_id: UUID
    label: str | None

    @property
    def name(self) -> str:
        """What a person calls them."""
        return label_of(self.user_id, self.label)


def person(connection: Connection, wanted: str) -> Person:
    """The one user that an id, a whole name or a part of a name stands for."""
    if wanted.casefold() in (UNATTRIBUTED, UNATTRIBUTED.strip("()")):
        return Person(NOBODY, UNATTRIBUTED)
    if not wanted.strip():
        raise Refusal("--user is empty", fix="give a name or an id", exit_code=USAGE)
    user_id = _uuid(wanted)
    people = _by_name(connection, wanted) if user_id is None else _by_id(connection, user_id)
    exact = [each for each in people if (each.label or "").casefold() == wanted.casefold()]
    if len(people) != 1 and len(exact) == 1:
        return exact[0]
    if len(people) == 1:
        return people[0]
    if not people:
        raise Refusal(
            f"no user is called `{wanted}`",
            why="neither the directory nor the stored usage knows this id or name",
            fix="$ usage tokens shows who has usage",
            exit_code=USAGE,
        )
    listed = ", ".join(f"{each.label or ''} {each.user_id}".strip() for each in people[:_NAMED])
    listed += f" and {len(people) - _NAMED} more" if len(people) > _NAMED else ""
    raise Refusal(
        f"`{wanted}` stands for {len(people)} users",
        why=listed,
        fix="give one of these ids to --user",
        exit_code=USAGE,
    )


def label_of(user_id: UUID, label: str | None) -> str:
    """What a person calls this user."""
    return UNATTRIBUTED if user_id == NOBODY else (label or "").strip() or str(user_id)


def labels(connection: Connection, user_ids: Iterable[UUID | None]) -> Mapping[UUID, str]:
    """What these users are called, as far as the directory says it in time; asked for after their numbers."""
    wanted = {each for each in user_ids if each not in (None, NOBODY)}
    try:
        rows = _directory(connection, "labels", user_ids=list(wanted)) if wanted else []
    except DBAPIError as error:
        _require_alive(error)
        return {}
    return {row["user_id"]: row["label"] for row in rows}


def _by_id(connection: Connection, user_id: UUID) -> Sequence[Person]:
    """Whoever has usage needs no directory; without usage, only a directory that answers can deny an id."""
    if statements.run(connection, "serving.sql", "newest_rows_of_user", user_id=user_id).first():
        return [Person(user_id, labels(connection, [user_id]).get(user_id))]
    try:
        rows = _directory(connection, "people", wanted=None, user_id=user_id)
    except DBAPIError as error:
        _require_alive(error)
        return [Person(user_id, None)]
    return [Person(**row) for row in rows]


def _by_name(connection: Connection, wanted: str) -> Sequence[Person]:
    try:
        rows = _directory(connection, "people", wanted=wanted, user_id=None)
    except DBAPIError as error:
        _require_alive(error)
        if isinstance(error.orig, _NO_SUCH_CHARACTER):
            raise
        raise Refusal(
            "users cannot be searched by name now",
            why=f"the directory of names {_obstacle(error)}",
            fix="give an id to --user: $ usage tokens shows them",
        ) from None
    return [Person(**row) for row in rows]


def _directory(connection: Connection, name: str, **binds: object) -> Sequence[Any]:
    """A statement over names, with a limit; rolled back, so that the limit ends and an error stays inside."""
    savepoint = connection.begin_nested()
    try:
        statements.run(connection, "warehouse.sql", "limit_time", milliseconds=_PATIENCE_MS)
        return statements.run(connection, "serving.sql", name, **binds).mappings().all()
    finally:
        savepoint.rollback()


def _require_alive(error: DBAPIError) -> None:
    """A lost connection is no matter of names."""
    if error.connection_invalidated:
        raise error


def _obstacle(error: DBAPIError) -> str:
    if isinstance(error.orig, psycopg.errors.QueryCanceled):
        return "does not answer in time"
    said = error.orig.diag.message_primary if isinstance(error.orig, psycopg.Error) else None
    return f"cannot be read: {said or type(error.orig).__name__}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
