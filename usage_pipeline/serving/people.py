"""Who an id, a name or a part of a name stands for, and what a person calls them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.warehouse import statements

NOBODY: Final = UUID(int=0)
UNATTRIBUTED: Final = "(unattributed)"
_NAMED: Final = 8


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
    people = _people(connection, wanted)
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


def _people(connection: Connection, wanted: str) -> Sequence[Person]:
    rows = statements.run(
        connection, "serving.sql", "people", wanted=wanted, user_id=_uuid(wanted)
    ).mappings()
    return [Person(**row) for row in rows]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
