"""The toy's rows, computed in plain Python from its calls."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from usage_pipeline_tests.families.toy import WHOLE

Key = tuple[datetime, str, str]
Row = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of the source."""

    id: int
    called_at: datetime
    agent: str | None
    channel: str
    is_ok: bool = True
    ms: int | None = None
    cost: Decimal | None = None
    person_id: UUID | None = None
    region: str | None = None


def rows(
    calls: Iterable[Call], starts: Callable[[datetime], datetime], *, keeps_ids: bool = True
) -> Mapping[Key, Row]:
    """By start of its period, agent and channel; `starts` floors an instant to its period."""
    groups: dict[Key, list[Call]] = {}
    for call in calls:
        for channel in (WHOLE, call.channel):
            groups.setdefault((starts(call.called_at), call.agent or "nobody", channel), []).append(call)
    return {key: _row(group, keeps_ids) for key, group in groups.items()}


def _row(calls: list[Call], keeps_ids: bool) -> Row:
    times = [call.ms for call in calls if call.ms is not None]
    costs = [call.cost for call in calls if call.cost is not None]
    people = sorted({call.person_id for call in calls if call.person_id})
    buckets = sorted(Counter(time // 10 for time in times).items())
    return {
        "calls": len(calls),
        "failed": sum(not call.is_ok for call in calls),
        "cost": round(sum(costs, Decimal()), 6) if costs else None,
        "fastest_ms": min(times, default=None),
        "slowest_ms": max(times, default=None),
        "ms_sum": sum(times),
        "people": len(people),
        "person_ids": people if keeps_ids else None,
        "regions": sorted({call.region for call in calls if call.region}),
        "bucket_ids": [bucket for bucket, _ in buckets],
        "bucket_counts": [count for _, count in buckets],
    }
