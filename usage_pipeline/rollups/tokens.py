"""Tokens of one period of any grain, as the engine runs it."""

import time
from functools import partial
from typing import Final
from uuid import UUID

from usage_pipeline.engine import run as engine
from usage_pipeline.engine.plan import Intent, Reason
from usage_pipeline.families.registry import of_asset
from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.rollups import readiness
from usage_pipeline.rollups.rollup import Outcome, Rollup
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

FAMILY: Final = TOKENS.name
CODE_VERSION: Final = TOKENS.code_version
_LEFT: Final = {Reason.PRUNED: "pruned", Reason.BEFORE_HORIZON: "before the horizon"}


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
    """Recompute one period; nothing is stored unless the books balance."""
    began = time.perf_counter()
    name = f"{FAMILY}_{grain}"
    order = engine.Order(*of_asset(name), window, run_id, Intent(intent), user_id, reason)
    try:
        with readiness.explained(warehouse, Role.WRITER), warehouse.begin(Role.WRITER) as connection:
            ran = engine.run(connection, order)
    except engine.Left as left:
        said = _LEFT[left.leave.reason]
        return Outcome(name, window, said, left.entry, {}, 0, 0, 0, time.perf_counter() - began)
    return Outcome(
        name, window, "computed", ran.entry, ran.before.totals, ran.inserted, ran.updated, ran.deleted,
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
