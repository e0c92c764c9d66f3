"""What a check says: a line with periods, numbers and the command; a small table, and numbers to plot."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods import calendar, clock, partitions
from usage_pipeline.periods.calendar import Window
from usage_pipeline.refusals import Refusal, as_typed
from usage_pipeline.rollups import check_memory
from usage_pipeline.rollups.check import Check, Row
from usage_pipeline.rollups.rollup import Rollup

SHOWN: Final = 20
_NAMED: Final = 3
_WORDS: Final = ("period_start", "verdict", "why", "is_sealed")


def of_rows(
    check: Check, rollup: Rollup, rows: Sequence[Row], waiting: Sequence[datetime] = ()
) -> dg.AssetCheckResult:
    """What was found, of every period that was looked at; `waiting`: broken before, and not looked at now."""
    broken, skipped = (
        [row for row in rows if row["verdict"] == verdict] for verdict in ("broken", "skipped")
    )
    looked_at = [row for row in rows if row["verdict"] != "skipped"]
    counts = {
        "periods_looked_at": len(looked_at), "periods_broken": len(broken), "periods_skipped": len(skipped),
    }  # fmt: skip
    table = {"broken": _table(rollup, broken)} if broken else {}
    remembered = [*(row["period_start"] for row in broken), *waiting] if check.again is not None else []
    return dg.AssetCheckResult(
        passed=not (broken or waiting),
        asset_key=rollup.name,
        check_name=check.name,
        severity=check.severity,
        description=_broken(check, rollup, broken) if broken else _fine(looked_at, skipped, waiting),
        metadata={**counts, **_numbers(looked_at), **table, **check_memory.metadata(remembered)},
    )


def of_refusal(
    check: Check, rollup: Rollup, refusal: Refusal, waiting: Sequence[datetime] = ()
) -> dg.AssetCheckResult:
    """It could not look: nothing new is known to be wrong, and nothing to be right."""
    return dg.AssetCheckResult(
        passed=False,
        asset_key=rollup.name,
        check_name=check.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"it could not be looked at: {refusal.line(settings.program())}",
        metadata=check_memory.metadata(waiting),
    )


def evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The same beside a run, where no step of it says so."""
    assert result.asset_key is not None
    assert result.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


def _broken(check: Check, rollup: Rollup, broken: Sequence[Row]) -> str:
    """The first period with its numbers, the next by name, how many more, and what helps."""
    first, *others = broken
    named = [_key(rollup, row) for row in others[:_NAMED]]
    more = [f"{len(others) - _NAMED:,} more"] if len(others) > _NAMED else []
    also = f"; also {', '.join([*named, *more])}" if named else ""
    what, fix = f"{_key(rollup, first)}: {first['why']}{also}", _fix(check, rollup, broken)
    means = "" if fix else as_typed(check.when_red, settings.program())
    return Refusal(what, why=means, fix=fix).line(settings.program())


def _fine(looked_at: Sequence[Row], skipped: Sequence[Row], waiting: Sequence[datetime]) -> str:
    """What one row says, or how many hold; and what was not looked at."""
    if waiting:
        return f"{len(waiting):,} periods that were broken are not looked at again yet: the next runs do"
    left = f"{len(skipped):,} not looked at: {skipped[0]['why']}" if skipped else ""
    if not looked_at:
        return left or "no period of the run stands computed: there is nothing to look at"
    said = looked_at[0]["why"] if len(looked_at) == 1 else None
    held = said or f"{len(looked_at):,} looked at, {'it holds' if len(looked_at) == 1 else 'all hold'}"
    return f"{held}; {left}" if left else held


def _fix(check: Check, rollup: Rollup, broken: Sequence[Row]) -> str:
    """The commands over all of these periods: a run refuses a sealed one that was altered."""
    sealed = [row for row in broken if row.get("is_sealed") and check.fix_sealed]
    others = [row for row in broken if row not in sealed]
    fixes = ((check.fix_sealed, sealed), (check.fix, others))
    return "; then ".join(_command(fix, rollup, rows) for fix, rows in fixes if fix and rows)


def _command(fix: str, rollup: Rollup, rows: Sequence[Row]) -> str:
    """Within the days that a verb takes."""
    windows = [_window(rollup, row) for row in rows]
    first = max(min(windows).start.date(), settings.load().start or date.min)
    last = min(max(windows).last_day, max(first, clock.today()))
    return fix.format(asset=rollup.name, first=first, last=last, after=last + timedelta(days=1))


def _table(rollup: Rollup, broken: Sequence[Row]) -> dg.TableMetadataValue:
    """The period and what is wrong with it: a column for each number would push the page aside."""
    records = [
        dg.TableRecord({"period": _key(rollup, row), "why": str(row["why"])}) for row in broken[:SHOWN]
    ]
    return dg.MetadataValue.table(records)


def _numbers(rows: Sequence[Row]) -> dict[str, int | float]:
    """Of all periods that were looked at, added up."""
    names = dict.fromkeys(name for row in rows for name in row if name not in _WORDS)
    each = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return {name: _number(sum(found)) for name, found in each.items() if found}


def _number(value: int | Decimal) -> int | float:
    return value if isinstance(value, int) else float(value)


def _key(rollup: Rollup, row: Row) -> str:
    return partitions.key(rollup.grain, _window(rollup, row))


def _window(rollup: Rollup, row: Row) -> Window:
    return calendar.window(rollup.grain, row["period_start"].date())
