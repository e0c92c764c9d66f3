"""A chat application in a database of its own, and the contract's functions as the writer reads them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from usage_pipeline.demo.metering import Usage
from usage_pipeline.demo.oracle import Period
from usage_pipeline.periods.calendar import Grain, Window, window
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import NOON, Chat, set_clock

TODAY = window(Grain.DAILY, NOON.date())
UNREPORTED = ("cached_prompt_tokens", "cache_write_tokens", "reasoning_tokens")
_Row = TypeVar("_Row", bound=tuple[object, ...])


class Event(NamedTuple):
    """The tokens of one answer."""

    state: str
    prompt: int | None
    completion: int | None
    total: int | None


class Share(NamedTuple):
    """What one model has of one answer."""

    prompt: int
    completion: int
    unsplit: int
    total: int


class Refused(NamedTuple):
    """Why an answer's tokens do not count."""

    field: str
    reason: str
    value: str | None


@dataclass(frozen=True)
class Source:
    """Where a test puts rows of the application, and what is read back from them."""

    server: Server
    database: str
    chat: Chat
    warehouse: Warehouse

    def rows(self, query: str, **binds: object) -> list[Mapping[str, Any]]:
        """What the role that computes aggregates is given."""
        with self.warehouse.begin(Role.WRITER) as connection:
            return [dict(row) for row in connection.exec_driver_sql(query, binds).mappings()]

    def events(self, period: Window = TODAY) -> dict[UUID, Event]:
        rows = self.rows("select * from usage.token_events(%(start)s, %(until)s)", **_bounds(period))
        return _once(
            (row["event_id"], Event(row["usage_state"], *_tokens(row), row["total_tokens"])) for row in rows
        )

    def shares(self, period: Window = TODAY) -> dict[UUID, dict[str | None, Share]]:
        """Per answer, what each of its models has: one row each."""
        rows = self.rows("select * from usage.token_calls(%(start)s, %(until)s)", **_bounds(period))
        found: dict[UUID, dict[str | None, Share]] = defaultdict(dict)
        for row in rows:
            models = found[UUID(row["event_id"])]
            assert row["model"] not in models, "two rows for one answer and model"
            assert {row[name] for name in UNREPORTED} == {0}, "this source reports none of these"
            assert row["rate_class"] == "standard"
            models[row["model"]] = Share(*_tokens(row), row["unsplit_tokens"], row["total_tokens"])
        return found

    def refusals(self, period: Window = TODAY) -> dict[UUID, Refused]:
        rows = self.rows("select * from usage.token_refusals(%(start)s, %(until)s)", **_bounds(period))
        return _once((row["event_id"], Refused(row["field"], row["reason"], row["value"])) for row in rows)

    def owners(self, conversation_id: UUID) -> list[tuple[UUID | None, UUID | None]]:
        rows = self.rows("select * from usage.conversation_owner(%(id)s)", id=conversation_id)
        return [(row["user_id"], row["agent_id"]) for row in rows]

    def computed(self, period: Window = TODAY, only_user: UUID | None = None) -> dict[UUID, Period]:
        """The rollup's statement over a window, as the oracle would write its rows."""
        rows = self.rows(
            "select * from usage_private.tokens_of_window(%(start)s, %(until)s, %(only_user)s::uuid)",
            **_bounds(period),
            only_user=only_user,
        )
        return {row["user_id"]: _period(row) for row in rows}

    def set_clock(self, instant: datetime) -> None:
        """The one clock of every rule stands still at this instant."""
        with self.server.connect(self.database) as connection, connection.transaction():
            set_clock(connection, instant)


def event(usage: Usage) -> Event:
    """What the oracle read, as the source tells it."""
    return Event(usage.state, usage.prompt, usage.completion, usage.total)


def imbalance(event: Event, shares: Mapping[str | None, Share]) -> str | None:
    """Why the shares of the models are not the event, no more and no less; None if they are."""
    if not shares:
        return "no row"
    sums = Share(*(sum(share[place] for share in shares.values()) for place in range(4)))
    if sums.total != (event.total or 0):
        return f"totals {sums.total} of {event.total}"
    if (sums.prompt, sums.completion) != (event.prompt or 0, event.completion or 0):
        return f"split {sums.prompt} + {sums.completion} of {event.prompt} + {event.completion}"
    for model, share in shares.items():
        if share.prompt + share.completion + share.unsplit != share.total:
            return f"{model} does not add up: {share}"
    return None


def _bounds(period: Window) -> dict[str, datetime]:
    return {"start": period.start, "until": period.end}


def _tokens(row: Mapping[str, Any]) -> tuple[Any, Any]:
    return row["prompt_tokens"], row["completion_tokens"]


def _period(row: Mapping[str, Any]) -> Period:
    names = set(Period.__slots__) - {"conversation_count", "agent_ids", "conversation_ids"}
    return Period(
        **{name: row[name] for name in names},
        conversation_count=len(row["conversation_ids"]),
        agent_ids=tuple(row["agent_ids"]),
        conversation_ids=tuple(row["conversation_ids"]),
    )


def _once(rows: Iterable[tuple[str, _Row]]) -> dict[UUID, _Row]:
    found: dict[UUID, _Row] = {}
    for event_id, row in rows:
        assert UUID(event_id) not in found, "one answer twice"
        found[UUID(event_id)] = row
    return found
