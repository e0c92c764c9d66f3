"""Backfills: recorded when they start, alive while a session holds them, taken up again if interrupted."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, RowMapping

from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse import failures, statements
from usage_pipeline.warehouse.connections import Warehouse, require_alive
from usage_pipeline.warehouse.failures import Unusable
from usage_pipeline.warehouse.roles import Role

LISTED: Final = 20
LEFT: Final = ("interrupted", "superseded")
"""States of what nobody works on and did not end."""
_ALL: Final = 1_000_000
_LOOKS_APART: Final = 1.0  # seconds
_ANY: Final = dict.fromkeys(("assets", "first_date", "last_date", "code_version"))


@dataclass(frozen=True)
class Asked:
    """What somebody asked for: the periods of these assets that hold these days, by this code."""

    assets: tuple[str, ...]
    first: date
    last: date
    code_version: str
    period_count: int


@dataclass(frozen=True)
class Backfill:
    """One that is recorded; `state` is running, interrupted, superseded, done or failed."""

    id: int
    asked: Asked
    run_ids: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    state: str
    finished_count: int


@dataclass
class Held:
    """One that this process works on. What any of its runs has finished is not computed again."""

    id: int
    run_ids: tuple[str, ...]
    session: Connection
    place: str
    has_failed: bool = False
    looked_at: float = field(default_factory=time.monotonic)

    def join(self, run_id: str) -> None:
        """One more run works on it."""
        if run_id not in self.run_ids:
            with failures.told(self.place):
                joined = statements.run(
                    self.session, "warehouse.sql", "join_backfill", backfill_id=self.id, run_id=run_id
                )
                self.run_ids = tuple(joined.scalar_one())
                self.session.commit()

    def require_session(self) -> None:
        """Go on only while the session that holds it lives: without it, somebody else may take it up."""
        if time.monotonic() - self.looked_at < _LOOKS_APART:
            return
        with failures.told(self.place):
            require_alive(self.session)
        self.looked_at = time.monotonic()


@contextmanager
def held(
    warehouse: Warehouse, asked: Asked, *, run_id: str, root_run_id: str | None, backfill_id: int | None
) -> Iterator[Held]:
    """Record a range, or take up the one that this run goes on with, and hold it while the body works."""
    with warehouse.session(Role.WRITER) as connection:
        known, run_ids = _take(connection, asked, run_id, root_run_id, backfill_id)
        taken = Held(known, run_ids, connection, warehouse.place)
        yield taken
        with suppress(Unusable), warehouse.begin(Role.WRITER) as ending:
            state = "failed" if taken.has_failed else "done"
            statements.run(ending, "warehouse.sql", "end_backfill", backfill_id=taken.id, state=state)


def newest(connection: Connection) -> list[Backfill]:
    """The last backfills, the newest first."""
    return _read(connection, most=LISTED, only_running=False, **_ANY)


def not_ended(connection: Connection) -> list[Backfill]:
    """All that run, and all that were left, however long ago."""
    return _read(connection, most=_ALL, only_running=True, **_ANY)


def unfinished(connection: Connection, asked: Asked) -> Backfill | None:
    """The newest one of exactly this range, if it runs or was interrupted: one that failed has ended."""
    same = _read(connection, most=1, only_running=False, **_binds(asked))
    return same[0] if same and same[0].state in ("running", "interrupted") else None


def _read(connection: Connection, **binds: object) -> list[Backfill]:
    """Twice where one looks left: it may have ended after its row was read and before its lock was."""
    found = _look(connection, **binds)
    return _look(connection, **binds) if any(each.state in LEFT for each in found) else found


def _look(connection: Connection, **binds: object) -> list[Backfill]:
    rows = statements.run(connection, "warehouse.sql", "backfills", **binds).mappings()
    return [
        Backfill(
            row["id"],
            _asked(row),
            tuple(row["run_ids"]),
            row["started_at"],
            row["ended_at"],
            row["state"],
            row["finished_count"],
        )
        for row in rows
    ]


def _asked(row: RowMapping) -> Asked:
    return Asked(
        tuple(row["assets"]), row["first_date"], row["last_date"], row["code_version"], row["period_count"]
    )


def _binds(asked: Asked) -> dict[str, object]:
    return {
        "assets": list(asked.assets), "first_date": asked.first, "last_date": asked.last,
        "code_version": asked.code_version,
    }  # fmt: skip


def _take(
    connection: Connection, asked: Asked, run_id: str, root_run_id: str | None, backfill_id: int | None
) -> tuple[int, tuple[str, ...]]:
    """Its id and the runs that worked on it, this one the last."""
    before = statements.run(
        connection, "warehouse.sql", "lock_backfill",
        root_run_id=root_run_id, backfill_id=backfill_id, **_binds(asked),
    ).one_or_none()  # fmt: skip
    mine = {"run_id": run_id, "lock_key": secrets.randbits(62)}
    if before is None:
        row = statements.run(
            connection, "warehouse.sql", "insert_backfill",
            period_count=asked.period_count, **_binds(asked), **mine,
        ).one()  # fmt: skip
    else:
        _require_left(connection, before.id, before.lock_key)
        row = statements.run(
            connection, "warehouse.sql", "resume_backfill", backfill_id=before.id, **mine
        ).one()
    statements.run(connection, "warehouse.sql", "hold", lock_key=mine["lock_key"])
    connection.commit()
    return int(row[0]), tuple(row[1])


def _require_left(connection: Connection, backfill_id: int, lock_key: int) -> None:
    if statements.run(connection, "warehouse.sql", "is_held", lock_key=lock_key).one().is_held:
        raise Refusal(
            f"backfill {backfill_id} is running already",
            why="another run of the same range works on it",
            fix="wait for it; $ backfill --list shows how far it is",
            exit_code=REFUSED,
        )
