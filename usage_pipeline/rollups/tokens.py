"""Tokens of one period of any grain: the database runs it whole, in one transaction."""

import time
from functools import partial
from typing import Final
from uuid import UUID

from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.rollups import readiness
from usage_pipeline.rollups.rollup import Outcome, Rollup
from usage_pipeline.warehouse import ledger, policy, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.ledger import Entry
from usage_pipeline.warehouse.roles import Role

FAMILY: Final = policy.TOKENS
CODE_VERSION: Final = "2"


def rollup(grain: Grain) -> Rollup:
    """The rollup of tokens of one grain."""
    return Rollup(
        f"{FAMILY}_{grain}", FAMILY, grain, CODE_VERSION,
        partial(_ensure_partitions, grain), partial(_run, grain),
    )  # fmt: skip


def run(
    warehouse: Warehouse,
    grain: Grain,
    window: Window,
    run_id: str,
    *,
    intent: str = "run",
    user_id: UUID | None = None,
    reason: str | None = None,
) -> Outcome:
    """Recompute one period; nothing is stored unless the books balance. `run_tokens.sql` has the intents."""
    began = time.perf_counter()
    name = f"{FAMILY}_{grain}"
    with readiness.explained(warehouse, Role.WRITER), warehouse.begin(Role.WRITER) as connection:
        said = statements.run(
            connection, "rollups.sql", "run_tokens_of_period",
            rollup=name, period_start=window.start, intent=intent, user_id=user_id, reason=reason,
            run_id=run_id, code_version=CODE_VERSION,
        ).one()  # fmt: skip
        entry = ledger.read(connection, name, window) or Entry.of_nothing(window)
    return Outcome(
        name, window, said.said, entry, said.totals_before, said.inserted, said.updated, said.deleted,
        time.perf_counter() - began,
    )  # fmt: skip


def _run(grain: Grain, warehouse: Warehouse, window: Window, run_id: str) -> Outcome:
    return run(warehouse, grain, window, run_id)


def _ensure_partitions(grain: Grain, warehouse: Warehouse, first: Window, last: Window) -> None:
    """Create the partitions the range needs, in a short transaction of its own."""
    with warehouse.begin(Role.WRITER) as connection:
        statements.run(
            connection, "rollups.sql", "ensure_partitions",
            period_type=grain.value, first=first.start, until=last.end,
        )  # fmt: skip


DAILY: Final = rollup(Grain.DAILY)
