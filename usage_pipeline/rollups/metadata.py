"""What Dagster's page shows of one partition: numbers that it plots over time, and a picture of the day."""

import base64
from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from usage_pipeline.rollups.rollup import Outcome

_WIDTH: Final = 8
_HEIGHT: Final = 48


def of_period(outcome: Outcome) -> Mapping[str, dg.MetadataValue]:
    """The numbers of one period and, for a day, its hours."""
    if outcome.said != "computed":
        return {"state": dg.TextMetadataValue(outcome.said)}
    numbers = {name: dg.MetadataValue.int(number) for name, number in _numbers(outcome).items()}
    known = {**numbers, "state": dg.TextMetadataValue(_state(outcome))}
    hours = outcome.entry.hourly_rows
    return known if hours is None else {**known, "answers_by_hour": dg.MetadataValue.md(_picture(hours))}


def _state(outcome: Outcome) -> str:
    """Sealed, open, or up to when it is computed."""
    entry = outcome.entry
    if entry.covered_until < outcome.window.end:
        return f"{entry.state}, up to {entry.covered_until:%Y-%m-%d %H:%M} UTC"
    return entry.state


def _numbers(outcome: Outcome) -> Mapping[str, int]:
    entry = outcome.entry
    worked = {} if outcome.is_kept else {"duration_ms": round(outcome.seconds * 1000)}
    return {
        "dagster/partition_row_count": entry.stored_rows,
        "users": outcome.user_count,
        "messages": entry.totals["message_count"],
        "source_messages": entry.source_rows,
        "conversations": entry.totals["conversation_count"],
        "tokens": entry.totals["total_tokens"],
        "prompt_tokens": entry.totals["total_prompt_tokens"],
        "completion_tokens": entry.totals["total_completion_tokens"],
        "unattributed_messages": entry.state_count("unattributed"),
        "unmetered_messages": entry.state_count("unmetered"),
        "refused_messages": entry.state_count("refused"),
        "kept_messages": entry.kept_rows,
        "kept_tokens": entry.kept_sum("total_tokens"),
        "rows_written": outcome.changed,
        **worked,
    }


def _picture(hours: Sequence[int]) -> str:
    """A bar an hour, as an image within the text; it must stay small, every partition keeps its own."""
    most = max(hours)
    said = f"most {most:,} from {hours.index(most):02}:00 UTC" if most else "none"
    encoded = base64.b64encode(_bars(hours, most).encode()).decode()
    return f"![answers by hour, 0 to 23: {said}](data:image/svg+xml;base64,{encoded})\n\n{said}"


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
