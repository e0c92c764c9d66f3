"""A run of one period without a database: `look`, `replace` and `record` on dicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import usage_pipeline.engine
from usage_pipeline.periods.calendar import midnight
from usage_pipeline_tests.derived import rows, rungs
from usage_pipeline_tests.derived.oracle import LARGE, Entry, Intent, Oracle, State, kept_of
from usage_pipeline_tests.derived.rows import ADDED, NOBODY, Measure, Rows
from usage_pipeline_tests.derived.rungs import Period

HOME: Final = Path(usage_pipeline.engine.__file__).parent
COUNT: Final = "messages"


class Ledger(NamedTuple):
    """What stands after a run; equal rows have equal checksums."""

    state: str
    covered_until: datetime
    rows: Rows
    checksum: str
    source_rows: int | None
    source: Rows | None
    below: Mapping[Period, str | None]
    kept: Mapping[UUID, Measure]
    sealed_at: datetime | None


class Change(NamedTuple):
    """A line of `restatements`."""

    period: Period
    user: UUID
    before: rows.Row | None
    after: rows.Row | None


@dataclass(frozen=True)
class Outcome:
    """What one run did, or the name of the reason why it did not."""

    said: str
    is_refused: bool = False
    periods: tuple[Period, ...] = ()
    ledger: Ledger | None = None
    restated: frozenset[Change] = frozenset()


class _Text(InspectLoader):
    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:
        return self.text


def loaded(name: str, text: str) -> Any:
    """A module made of this text, beside the real one of that name."""
    spec = spec_from_loader(f"{name}_of_a_test", _Text(text))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(name: str) -> str:
    return (HOME / f"{name}.py").read_text(encoding="utf-8")


class Engine:
    """`decide` and `prove`, as they stand or with another text, over what the oracle holds."""

    def __init__(self, **texts: str) -> None:
        self.decide = loaded("decide", texts.get("decide") or text_of("decide"))
        self.prove = loaded("prove", texts.get("prove") or text_of("prove"))
        self.prove.LEAST_ROWS = LARGE
        self._known: dict[Period, tuple[Entry, Any]] = {}

    def run(self, oracle: Oracle, period: Period, intent: Intent, user: UUID | None) -> Outcome:
        """What the run would do; the oracle is only read."""
        facts = self.look(oracle, period)
        plan = self.decide.decide(facts, self.decide.Intent(intent), is_one=user is not None)
        if not isinstance(plan, self.decide.Compute):
            named = {each.starts for each in getattr(plan, "periods", ())}
            periods = tuple(each for each in period.below if each.start in named)
            return Outcome(plan.reason.name, isinstance(plan, self.decide.Refuse), periods)
        written = write(oracle, period, plan, user)
        found = self._found(oracle, period, plan, written)
        refused = self.prove.prove(facts, plan, found, count=COUNT, added=ADDED)
        if refused:
            return Outcome(refused.reason.name, is_refused=True)
        return Outcome(
            "COMPUTED",
            ledger=recorded(oracle, period, plan, written),
            restated=restated(period, oracle.entries.get(period), written)
            if plan.is_recorded
            else frozenset(),
        )

    def attempt(
        self, oracle: Oracle, period: Period, intent: Intent, user: UUID | None
    ) -> tuple[Any, Any, Any]:
        """What `prove` is shown of a run that `decide` does not refuse."""
        facts = self.look(oracle, period)
        plan = self.decide.decide(facts, self.decide.Intent(intent), is_one=user is not None)
        return facts, plan, self._found(oracle, period, plan, write(oracle, period, plan, user))

    def _found(self, oracle: Oracle, period: Period, plan: Any, written: "Written") -> Any:
        return self.prove.Found(**figures(oracle.entries.get(period), plan, written))

    def look(self, oracle: Oracle, period: Period) -> Any:
        return self.decide.Facts(
            clock=oracle.now,
            first_day=midnight(oracle.first_day),
            seals_from=period.end + oracle.grace,
            horizon=oracle.horizon,
            own=self._period(oracle, period),
            below=[self._period(oracle, each) for each in period.below] if period.below else None,
        )

    def _period(self, oracle: Oracle, period: Period) -> Any:
        entry = oracle.entries.get(period)
        if entry is None:
            return self.decide.Period(period.start, period.end, None, is_gone=oracle.is_gone(period))
        is_gone = entry.state is State.PARTIAL and oracle.is_gone(period)
        known = self._known.get(period)
        if known is None or known[0] is not entry or known[1].is_gone is not is_gone:
            known = self._known[period] = entry, self.decide.Period(
                period.start, period.end, entry.state.value, entry.covered_until, checksum(entry.version),
                entry.totals, is_gone=is_gone,
            )  # fmt: skip
        return known[1]


class Written(NamedTuple):
    """The rows after the run, and what they were made of."""

    after: Rows
    source: Rows
    source_rows: int
    kept: Mapping[UUID, Measure]


def write(oracle: Oracle, period: Period, plan: Any, user: UUID | None) -> Written:
    """What the plan says, and nothing else."""
    entry = oracle.entries.get(period)
    before = entry.rows if entry else {}
    if plan.is_unchanged:
        assert entry
        source = before if entry.source is None else entry.source
        return Written(before, source, rows.message_count(source), entry.kept)
    source = read(oracle, period, plan)
    only = user if plan.writes_one else None
    after, kept = kept_of(before, source, only, keeps=plan.keeps)
    source_rows = rows.message_count(source)
    if plan.reads_one:
        source = {each: row for each, row in source.items() if each == user}
    return Written(after, source, source_rows, kept if plan.is_raw and plan.is_recorded else {})


def read(oracle: Oracle, period: Period, plan: Any) -> Rows:
    if plan.is_raw:
        return oracle.raw(period, plan.covered_until)
    starts = {each.starts for each in plan.parts}
    parts = (oracle.entries[each].rows for each in period.below if each.start in starts)
    return rows.of_periods(parts, keeps=period.grain in rungs.KEEPS_CONVERSATIONS)


def figures(entry: Entry | None, plan: Any, written: Written) -> dict[str, Any]:
    """What `replace` would count."""
    before = entry.rows if entry else {}
    gone, new = set(before) - set(written.after), set(written.after) - set(before)
    totals = rows.totals(written.after.values())
    return {
        "inserted": len(new),
        "updated": sum(before[each] != written.after[each] for each in set(before) - gone),
        "deleted": len(gone),
        "source_rows": written.source_rows,
        "hourly_rows": None,
        "computed_rows": rows.message_count(written.source),
        "computed_states": states(written.source, rows.totals(written.source.values())),
        "stored_rows": len(written.after),
        "totals": totals,
        "states": states(written.after, totals),
        "checksum": checksum(frozenset(written.after.items())),
        "checksum_before": checksum(frozenset(before.items())) if plan.is_verified else None,
        "kept_rows": sum(messages for messages, *_ in written.kept.values()),
        "kept": {
            str(each): {"message_count": kept[0], "total_tokens": kept[2]}
            for each, kept in written.kept.items()
        },
    }


def states(found: Rows, totals: Mapping[str, int]) -> dict[str, int]:
    nobody = found[NOBODY].messages if NOBODY in found else 0
    return {"unattributed": nobody, "unmetered": totals["unmetered"], "refused": totals["refused"]}


def recorded(oracle: Oracle, period: Period, plan: Any, written: Written) -> Ledger:
    """The ledger's row after the run."""
    entry = oracle.entries.get(period)
    is_counted = plan.state != State.PARTIAL
    source = written.after if plan.reads_one else written.source
    below = _below(entry) if plan.below is None or (plan.is_raw and written.kept) else plan.below
    by_start = {each.start: each for each in period.below}
    return Ledger(
        plan.state,
        plan.covered_until,
        written.after,
        checksum(frozenset(written.after.items())),
        rows.message_count(source) if is_counted else None,
        source if is_counted else None,
        {by_start[start]: found for start, found in below.items()},
        entry.kept if plan.reads_one and entry else written.kept,
        oracle.now if plan.seals else entry.sealed_at if entry else None,
    )


def held(entry: Entry) -> Ledger:
    """The same, as the oracle has it."""
    return Ledger(
        entry.state,
        entry.covered_until,
        entry.rows,
        checksum(entry.version),
        entry.source_rows,
        entry.source,
        {each: checksum(version) for each, version in entry.below.items()},
        entry.kept,
        entry.sealed_at,
    )


def restated(period: Period, entry: Entry | None, written: Written) -> frozenset[Change]:
    before = entry.rows if entry else {}
    both = ((each, before.get(each), written.after.get(each)) for each in {*before, *written.after})
    return frozenset(Change(period, user, old, new) for user, old, new in both if old != new)


def checksum(version: frozenset[Any]) -> str:
    return f"v1:{hash(version)}"


def _below(entry: Entry | None) -> dict[datetime, str]:
    found = entry.below if entry else {}
    return {each.start: checksum(version) for each, version in found.items()}
