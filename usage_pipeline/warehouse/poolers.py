"""A pooler between us and the server: whether the session we set up stays ours."""

from typing import Final

import psycopg

from usage_pipeline.warehouse import statements

_ROUNDS: Final = 3


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


def _session_of(client: psycopg.Connection) -> int:
    text = statements.read("warehouse.sql", "session_number").encode()
    row = client.execute(
        text, prepare=False
    ).fetchone()  # a prepared one would stay behind in a shared session
    assert row is not None
    return int(row[0])
