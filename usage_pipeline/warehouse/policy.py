"""The policy of a family, its first day and its grace: the database owns it, and a process can only agree."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from sqlalchemy import Connection

from usage_pipeline import settings
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import failures, statements
from usage_pipeline.warehouse.connections import Warehouse, open_warehouse
from usage_pipeline.warehouse.roles import Role

TOKENS: Final = "tokens"
USUAL_GRACE_DAYS: Final = 7
_PATIENCE_SECONDS: Final = 3
"""Dagster loads the definitions often, and a page waits for it."""


@dataclass(frozen=True)
class Policy:
    """From which day on there are partitions, and how long after its end a period is sealed."""

    first_day: date
    grace_days: int


def read(connection: Connection, family: str = TOKENS) -> Policy | None:
    """What the database knows; None before `migrate apply` has recorded it."""
    row = statements.run(connection, "warehouse.sql", "policy", family=family).one_or_none()
    return None if row is None else Policy(row.first_day, row.grace_days)


def known(connection: Connection, family: str = TOKENS) -> Policy:
    """The same, refused where nothing is recorded."""
    found = read(connection, family)
    if found is None:
        raise failures.pending(f"the first day of {family} is not recorded in the database")
    return found


def require(connection: Connection, found: Settings, family: str = TOKENS) -> Policy:
    """The database's policy, refused to a process whose own settings say something else."""
    there = known(connection, family)
    if found.start not in (None, there.first_day):
        raise _differs(found, "start", found.start, there.first_day, f"$ sources start {found.start}")
    if found.tokens_grace_days not in (None, there.grace_days):
        days = found.tokens_grace_days
        raise _differs(
            found, "tokens_grace_days", days, there.grace_days, f"$ retention set --grace-days {days}"
        )
    return there


def settle(connection: Connection, policy: Policy, family: str = TOKENS) -> None:
    """Record it where none is recorded yet."""
    statements.run(
        connection, "warehouse.sql", "settle_policy",
        family=family, first_day=policy.first_day, grace_days=policy.grace_days,
    )  # fmt: skip


def change(
    connection: Connection,
    family: str = TOKENS,
    *,
    first_day: date | None = None,
    grace_days: int | None = None,
) -> None:
    """Move what is given, because a person says so."""
    statements.run(
        connection, "warehouse.sql", "change_policy",
        family=family, first_day=first_day, grace_days=grace_days,
    )  # fmt: skip


def filled(found: Settings, warehouse: Warehouse) -> Settings:
    """The settings with the database's first day where they name none; as they are if it cannot be asked."""
    if found.start is None:
        with suppress(Refusal):
            return _asked(found, warehouse)
    return found


def at_load(found: Settings) -> Settings:
    """The settings with a first day, asked of the database if they name none: Dagster needs one."""
    if found.start is not None:
        return found
    warehouse = open_warehouse(found, read_only=True, patience_seconds=_PATIENCE_SECONDS)
    try:
        return _asked(found, warehouse)
    except Refusal as refusal:
        raise Refusal(
            "the first day is not known",
            why=f"USAGE_START is not set, and the database does not say it: {refusal.what}",
            fix=refusal.fix
            if isinstance(refusal, failures.Pending)
            else f"set USAGE_START, or {refusal.fix}",
            exit_code=refusal.exit_code,
        ) from None
    finally:
        warehouse.dispose()


def _asked(found: Settings, warehouse: Warehouse) -> Settings:
    with warehouse.begin(Role.READER) as connection:
        statements.run(connection, "warehouse.sql", "limit_time", milliseconds=_PATIENCE_SECONDS * 1000)
        return replace(found, start=known(connection).first_day)


def _differs(found: Settings, key: str, own: object, there: object, fix: str) -> Refusal:
    origin = settings.origin(found, key)
    return Refusal(
        f"{origin} is {own}, and the database has {there}",
        why="the database owns the first day and the grace, and no run changes them",
        fix=f"take {origin} out, or change the database: {fix}",
        exit_code=REFUSED,
    )
