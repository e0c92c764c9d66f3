"""A run of checks: the periods of its asset's run, one statement a check, nothing written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

import dagster as dg
from sqlalchemy import Connection

from usage_pipeline.periods import calendar, partitions
from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import check_memory, check_results, readiness, runs
from usage_pipeline.rollups.check import Bind, Check, Row
from usage_pipeline.rollups.rollup import Rollup, Span
from usage_pipeline.rollups.runs import Command
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

_PARTITION_TAG: Final = "dagster/partition"
_NEWEST: Final = 14
"""So many periods are looked at where no run names any."""
_MOST_AGAIN: Final = 31
"""Of those that were broken before so many are looked at again by one run; the others stay red till then."""


def of_asset(rollup: Rollup, checks: Sequence[Check]) -> dg.AssetChecksDefinition:
    """These checks of one asset: one step, after every run of it; one alone can be launched too."""

    @dg.multi_asset_check(
        name=f"{rollup.name}_checks",
        specs=[each.spec(rollup) for each in checks],
        can_subset=True,
    )
    def look(
        context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[dg.AssetCheckResult]:
        wanted = {each.name for each in context.selected_asset_check_keys}
        runs.take_up(context, warehouse)
        for each in checks:
            if each.name in wanted:
                yield result(context.instance, warehouse, rollup, each, context.run.tags)

    return look


def run(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    rollup: Rollup,
    checks: Sequence[Check],
    command: Command | None,
) -> dg.MaterializeResult[None]:
    """A run of the asset; where some of its periods were refused, its checks too.

    Of a step that failed Dagster leaves out the checks, and what was altered would be looked at by nobody.
    """
    try:
        return runs.run(context, warehouse, rollup, command)
    except runs.Incomplete as incomplete:
        tags = context.run.tags
        found = [result(context.instance, warehouse, rollup, each, tags) for each in checks]
        incomplete.looked_at = [check_results.evaluation(each) for each in found]
        for each in incomplete.looked_at:
            context.instance.report_runless_asset_event(each)
        raise


def result(
    instance: dg.DagsterInstance, warehouse: Warehouse, rollup: Rollup, check: Check, tags: Mapping[str, str]
) -> dg.AssetCheckResult:
    """One check; that it could not look is a warning, because what the run computed stays."""
    before = [] if check.again is None else check_memory.before(instance, rollup, check)
    try:
        with readiness.explained(warehouse), warehouse.begin(Role.READER) as connection:
            rows = _rows(connection, rollup, check, _asked(rollup, tags) or _newest(connection, rollup))
            seen = {row["period_start"] for row in rows if row["verdict"] != "skipped"}
            unseen = [start for start in before if start not in seen]
            again = unseen[:_MOST_AGAIN]
            rows = [row for row in rows if row["period_start"] not in again]
            rows += _again(connection, rollup, check, again)
    except Refusal as refusal:
        return check_results.of_refusal(check, rollup, refusal, before)
    rows.sort(key=itemgetter("period_start"))
    return check_results.of_rows(check, rollup, rows, unseen[_MOST_AGAIN:])


def _again(connection: Connection, rollup: Rollup, check: Check, starts: Collection[datetime]) -> list[Row]:
    """Each by itself: they may lie anywhere."""
    windows = [calendar.window(rollup.grain, start.date()) for start in starts]
    return [row for each in windows for row in _rows(connection, rollup, check, each, **(check.again or {}))]


def _rows(connection: Connection, rollup: Rollup, check: Check, whole: Window, **binds: Bind) -> list[Row]:
    """What the statement of the check found; what it leaves open the comparison decides."""
    bounds = {"window_start": whole.start, "window_end": whole.end}
    found = statements.run(
        connection, "rollups.sql", check.statement, rollup=rollup.name, **bounds, **{**check.binds, **binds}
    ).mappings()  # fmt: skip
    rows: list[Row] = [dict(row) for row in found]
    undecided = [row for row in rows if row["verdict"] is None]
    if check.comparison is None or not undecided:
        return rows
    arrays = {f"{name}s": [row[name] for row in undecided] for name in ("period_start", "covered_until")}
    stored = connection.execute(check.comparison.statement(rollup), {**bounds, **arrays}).mappings()
    by_period = {row["period_start"]: dict(row) for row in stored}
    judged = [
        check.comparison.judge(rollup, row, by_period.get(row["period_start"], {})) for row in undecided
    ]
    return [*(row for row in rows if row["verdict"]), *judged]


def _newest(connection: Connection, rollup: Rollup) -> Window:
    """Of a check that is launched alone."""
    return Window(
        *statements.run(connection, "rollups.sql", "newest_periods", rollup=rollup.name, most=_NEWEST).one()
    )


def _asked(rollup: Rollup, tags: Mapping[str, str]) -> Window | None:
    """The periods of the run, by its tags; a check that is launched alone has none."""
    first = tags.get(runs.RANGE_TAG) or tags.get(_PARTITION_TAG)
    if not first:
        return None
    days = partitions.days([first, tags.get(runs.RANGE_END_TAG, first)])
    return Span.holding(rollup, *days).whole
