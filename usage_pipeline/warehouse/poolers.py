"""A pooler between us and the server: for how long the session it hands out stays ours."""

from enum import StrEnum
from typing import Final

import psycopg

from usage_pipeline.warehouse import statements

_ROUNDS: Final = 3


class Mode(StrEnum):
    """For how long a pooler leaves a session to one client."""

    SESSION = "session"
    TRANSACTION = "transaction"
    STATEMENT = "statement"


def mode(first: psycopg.Connection, second: psycopg.Connection) -> Mode:
    """The mode of the pooler both came through; one that keeps no transaction ends the second client."""
    if not shares_sessions(first, second):
        return Mode.SESSION
    return Mode.TRANSACTION if _keeps_transactions(second) else Mode.STATEMENT


def shares_sessions(first: psycopg.Connection, second: psycopg.Connection) -> bool:
    """Whether two clients, here at once, ever meet in one session of the server, or one of them moves.

    Each asks twice in a row: a pooler that takes turns gives another session to the same client then, one
    that hands out what was used last gives the same session to both.
    """
    sessions: dict[psycopg.Connection, set[int]] = {first: set(), second: set()}
    for _ in range(_ROUNDS):
        for client in (first, first, second, second):
            sessions[client].add(_session_of(client))
    return len(sessions[first] | sessions[second]) != 2 or bool(sessions[first] & sessions[second])


def _keeps_transactions(client: psycopg.Connection) -> bool:
    try:
        with client.transaction():
            return len({_session_of(client) for _ in range(_ROUNDS)}) == 1
    except psycopg.Error:
        return False


def _session_of(client: psycopg.Connection) -> int:
    text = statements.read("warehouse.sql", "session_number").encode()
    row = client.execute(
        text, prepare=False
    ).fetchone()  # a prepared one would stay behind in a shared session
    assert row is not None
    return int(row[0])
