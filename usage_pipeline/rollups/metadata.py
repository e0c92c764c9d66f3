"""What Dagster's page shows of one partition: numbers that it plots over time, and a picture of the day."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from usage_pipeline.rollups.rollup import Outcome

_WIDTH: Final = 8
_HEIGHT: Final = 48


def of_period(outcome: Outcome) -> Mapping[str, dg.MetadataValue]:
    """The numbers of one period and, for a day, its hours."""
    if outcome.said != "computed":
        return {"state": dg.TextMetadataValue(outcome.said)}
    known = {**_numbers(outcome), "state": dg.TextMetadataValue(_state(outcome))}
    hours, events = outcome.entry.hourly_rows, outcome.rollup.family.words.events
    if hours is None:
        return known
    return {**known, f"{events}_by_hour": dg.MetadataValue.md(_picture(hours, events))}


def _state(outcome: Outcome) -> str:
    """Sealed, open, or up to when it is computed."""
    entry = outcome.entry
    if entry.covered_until < outcome.window.end:
        return f"{entry.state}, up to {entry.covered_until:%Y-%m-%d %H:%M} UTC"
    return entry.state


def _numbers(outcome: Outcome) -> dict[str, dg.MetadataValue]:
    entry, family = outcome.entry, outcome.rollup.family
    events = family.words.events
    numbers: dict[str, Any] = {
        "dagster/partition_row_count": entry.stored_rows,
        **_units(outcome),
        f"source_{events}": entry.source_rows,
        **{each.named: entry.totals[each.column] for each in family.measures if each.column in entry.totals},
        **{f"{state}_{events}": count for state, count in entry.states.items()},
        f"kept_{events}": entry.kept_rows,
        **{f"kept_{each.named}": entry.kept_sum(each.column) for each in family.kept},
        "rows_written": outcome.changed,
        **({} if outcome.is_kept else {"duration_ms": round(outcome.seconds * 1000)}),
    }
    return {name: _number(value) for name, value in numbers.items() if value is not None}


def _units(outcome: Outcome) -> dict[str, int]:
    """Known users with usage, where each has one row; what belongs to nobody is one row more."""
    family, entry = outcome.rollup.family, outcome.entry
    if family.key != (family.unit,):
        return {}
    return {family.words.units: entry.stored_rows - (entry.state_count("unattributed") > 0)}


def _number(value: int | str) -> dg.MetadataValue:
    """Money is text, so that it is exact; the page plots it."""
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(value))


def _picture(hours: Sequence[int], events: str) -> str:
    """A bar an hour, as an image within the text; it must stay small, every partition keeps its own."""
    most = max(hours)
    said = f"most {most:,} from {hours.index(most):02}:00 UTC" if most else "none"
    encoded = base64.b64encode(_bars(hours, most).encode()).decode()
    return f"![{events} by hour, 0 to 23: {said}](data:image/svg+xml;base64,{encoded})\n\n{said}"


def _bars(hours: Sequence[int], most: int) -> str:
    heights = [round(_HEIGHT * count / most) if most else 0 for count in hours]
    bars = "".join(
        f"M{number * _WIDTH} {_HEIGHT}v-{height}h{_WIDTH - 2}v{height}z"
        for number, height in enumerate(heights)
        if height
    )
    size = f'width="{_WIDTH * len(hours)}" height="{_HEIGHT + 1}"'
    line = f'<path d="M0 {_HEIGHT}.5h{_WIDTH * len(hours)}" stroke="#888"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{line}<path d="{bars}" fill="#4f7cff"/></svg>'
