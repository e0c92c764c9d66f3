"""Owners, rights and policies of everything of ours: what differs from `rights.sql`, and its correction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql
from sqlalchemy import Connection

from usage_pipeline.refusals import ATTENTION, Refusal
from usage_pipeline.warehouse import statements, tables
from usage_pipeline.warehouse.roles import Role

_SQL: Final = "warehouse.migrations.sql"


@dataclass(frozen=True)
class Needed:
    """One statement; `is_ownership`: it gives an object to the owner of all, which comes first."""

    statement: str
    is_ownership: bool
    is_permitted: bool


class OwnedByOthers(Refusal):
    """Objects of ours belong to a login that this one may not act for: after a restore by that login."""

    def __init__(self, needed: Sequence[str]) -> None:
        super().__init__(
            f"{len(needed)} objects of ours do not belong to {Role.OWNER}",
            why="they were restored by another login, and this one may not give them away",
            fix="$ migrate apply prints the statements that their owner or a superuser runs",
            exit_code=ATTENTION,
        )
        self.statements = tuple(needed)


def needed(connection: Connection) -> list[Needed]:
    """What differs, in the order in which it runs; any role may look."""
    return [Needed(**row) for row in statements.run(connection, _SQL, "rights").mappings()]


def foreign(connection: Connection) -> list[Needed]:
    """Of that, what gives objects back to their owner: until then nothing else can be done."""
    return [each for each in needed(connection) if each.is_ownership]


def take_ownership(connection: Connection) -> int:
    """Give every object of ours to the owner of all, or refuse and change nothing; how many were given."""
    given = foreign(connection)
    if not all(each.is_permitted for each in given):
        raise OwnedByOthers([each.statement for each in given])
    for each in given:
        statements.run_script(connection, each.statement)
    return len(given)


def settle(connection: Connection) -> int:
    """Run what differs, and close restatements of another server's; the caller acts as the owner."""
    differing = needed(connection)
    for each in differing:
        statements.run_script(connection, each.statement)
    if restored := names_foreign_transactions(connection):
        statements.run_script(connection, statements.read(_SQL, "close_restatements"))
    return len(differing) + restored


def names_foreign_transactions(connection: Connection) -> bool:
    """Whether a restatement names a transaction that only another server has had."""
    tables.act_as(connection, Role.READER)  # the owner sees no row
    found = statements.run(connection, _SQL, "foreign_restatements").scalar_one()
    tables.act_as(connection, Role.OWNER)
    return bool(found)


def counted(number: int) -> tuple[str, ...]:
    """So many of them in words; nothing of none."""
    return (f"rights ({number} statement{'s' * (number != 1)})",) if number else ()


def script() -> str:
    """The same for a person to read and run."""
    text = statements.named(_SQL, "apply_rights", rights=sql.SQL(statements.read(_SQL, "rights")))
    return text.as_string()
