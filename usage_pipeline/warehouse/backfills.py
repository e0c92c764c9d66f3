"""Backfills: recorded when they start, alive while a session holds them, taken up again if interrupted."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Role, Warehouse
from usage_pipeline.warehouse.failures import Unusable

LISTED: Final = 20


@dataclass(frozen=True)
class Asked:
    """What somebody asked for: these days of these assets, by this code."""

    assets: tuple[str, ...]
    first: date
    last: date
    code_version: str

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


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
    """One that this process works on. What its earlier runs have finished is not computed again."""

    id: int
    run_ids: tuple[str, ...]
    has_failed: bool = False


@contextmanager
def held(
    warehouse: Warehouse, asked: Asked, *, run_id: str, root_run_id: str | None, backfill_id: int | None
) -> Iterator[Held]:
    """Record a range, or take up the one that this run goes on with, and hold it while the body works."""
    with warehouse.session(Role.WRITER) as connection:
        taken = _take(connection, asked, run_id, root_run_id, backfill_id)
        yield taken
        with suppress(Unusable), warehouse.begin(Role.WRITER) as ending:
            state = "failed" if taken.has_failed else "done"
            statements.run(ending, "warehouse.sql", "end_backfill", backfill_id=taken.id, state=state)


def newest(connection: Connection) -> list[Backfill]:
    """The last backfills, the newest first."""
    return _read(connection, most=LISTED, assets=None, first_date=None, last_date=None, code_version=None)


def unfinished(connection: Connection, asked: Asked) -> Backfill | None:
    """The newest one of exactly this range, unless it came to its end."""
    same = _read(connection, most=1, **_binds(asked))
    return same[0] if same and same[0].state != "done" else None


def _read(connection: Connection, **binds: object) -> list[Backfill]:
    rows = statements.run(connection, "warehouse.sql", "backfills", **binds).mappings()
    return [
        Backfill(
            row["id"],
            Asked(tuple(row["assets"]), row["first_date"], row["last_date"], row["code_version"]),
            tuple(row["run_ids"]),
            row["started_at"],
            row["ended_at"],
            row["state"],
            row["finished_count"],
        )
        for row in rows
    ]


def _binds(asked: Asked) -> dict[str, object]:
    return {
        "assets": list(asked.assets), "first_date": asked.first, "last_date": asked.last,
        "code_version": asked.code_version,
    }  # fmt: skip


def _take(
    connection: Connection, asked: Asked, run_id: str, root_run_id: str | None, backfill_id: int | None
) -> Held:
    binds = {**_binds(asked), "run_id": run_id}
    before = {"root_run_id": root_run_id, "backfill_id": backfill_id}
    row = statements.run(connection, "warehouse.sql", "resume_backfill", **binds, **before).one_or_none()
    if row is None:
        row = statements.run(connection, "warehouse.sql", "insert_backfill", **binds).one()
    taken = Held(int(row[0]), tuple(row[1]))
    if not statements.run(connection, "warehouse.sql", "hold_backfill", backfill_id=taken.id).scalar_one():
        raise Refusal(
            f"backfill {taken.id} is running already",
            why="another run of the same range works on it",
            fix="wait for it; $ backfill --list shows how far it is",
            exit_code=REFUSED,
        )
    connection.commit()
    return taken
