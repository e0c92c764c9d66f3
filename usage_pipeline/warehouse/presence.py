"""The lock of a process that works on runs: held in the database until it ends, and seen from everywhere."""

import re
import secrets
from dataclasses import dataclass
from threading import Lock
from typing import Final

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import failures, statements
from usage_pipeline.warehouse.connections import Warehouse, require_alive
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.statements import driver

_NAME: Final = re.compile(r"([0-9]{1,19}) in database ([0-9]{1,10})")
_ONE_AT_A_TIME: Final = Lock()


@dataclass(frozen=True)
class Presence:
    """The lock and the session that holds it, which is nobody else's."""

    name: str
    session: Connection
    below: psycopg.Connection

    def lives(self) -> bool:
        """Whether it is held still: a server that restarts, or whoever rules it, ends sessions."""
        try:
            require_alive(self.session)
        except DBAPIError:
            return False
        return True

    def end(self) -> None:
        """Close it as it is: whatever the server says to that, the lock is free."""
        self.below.close()
        self.session.invalidate()


def name(warehouse: Warehouse) -> str | None:
    """What the lock of this process is called; None if no session is to be had for it, and nobody will know.

    It is held before anybody is told of it: who sees that it is free may take this process for gone.
    """
    with _ONE_AT_A_TIME:
        if warehouse.presence and not warehouse.presence.lives():
            warehouse.presence.end()
            warehouse.presence = None
        if not warehouse.presence:
            warehouse.presence = _taken(warehouse)
        return warehouse.presence.name if warehouse.presence else None


def is_held(warehouse: Warehouse, name: str) -> bool | None:
    """Whether the process with this lock is there; None of one in another database, or of what is no name."""
    known = _NAME.fullmatch(name)
    if not known:
        return None
    with warehouse.begin(Role.WRITER) as connection:
        found = statements.run(connection, "warehouse.sql", "is_held", lock_key=int(known[1])).one()
    return bool(found.is_held) if found.database == int(known[2]) else None


def _taken(warehouse: Warehouse) -> Presence | None:
    key = secrets.randbits(62)
    try:
        with failures.told(warehouse.place):
            session = warehouse.engine(Role.WRITER).connect()
            below = driver(session)
            session.detach()  # it takes no place of those that compute
            try:
                held = statements.run(session, "warehouse.sql", "hold", lock_key=key).one()
                session.commit()
            except BaseException:
                below.close()
                raise
    except Refusal:
        return None
    return Presence(f"{key} in database {held.database}", session, below)
