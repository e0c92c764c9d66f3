"""What a check is: a truth of an asset, the statement that looks, and what a person does when it is red."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import dagster as dg
import sqlalchemy as sa

from usage_pipeline import refusals
from usage_pipeline.engine import render
from usage_pipeline.rollups import catalogue
from usage_pipeline.rollups.rollup import Rollup
from usage_pipeline.warehouse import statements

Bind: TypeAlias = str | int
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The second half of a check that reads rows of the family's table.

    `statement` is composed from the table, binds `window_start`, `window_end`, `period_starts` and
    `covered_untils`, and returns a row for each `period_start`; `judge` is given what the check's own
    statement found of a period, then this row (empty if there is none).
    """

    statement: Callable[[Rollup], sa.Select[Any]]
    judge: Callable[[Rollup, Row, Row], Row]


@dataclass(frozen=True)
class Check:
    """`statement` is a file of the room, `fix` a command with {asset}, {first}, {last} and {after} in it.

    The statement returns a row for each period it looked at: `period_start`; `verdict`: holds, broken,
    skipped or, if the comparison decides, NULL; `why`, in words; then numbers, which the page adds up and
    plots. It is given `rollup`, `window_start`, `window_end`, and the binds of the check. A period that it
    calls `is_sealed` needs `fix_sealed`. Without a fix no command of ours helps, and `when_red` is the end of
    the line.

    Those that it found broken before and does not look at now are looked at again after every run, each by
    itself with the binds `again`, until they hold: else a run over other days, or the time, would clear
    them. None: it judges the newest state, whatever the run was over.
    """

    name: str
    statement: str
    meaning: str
    when_red: str
    fix: str = ""
    fix_sealed: str = ""
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    comparison: Comparison | None = None
    binds: Mapping[str, Bind] = field(default_factory=dict)
    again: Mapping[str, Bind] | None = None

    def spec(self, rollup: Rollup) -> dg.AssetCheckSpec:
        """As Dagster's page shows it; nothing waits for it: a wrong number is refused where it is stored."""
        return dg.AssetCheckSpec(
            self.name,
            asset=rollup.name,
            blocking=False,
            description=f"{self.meaning}\n\nWhen it is red: {refusals.as_typed(self.when_red)}",
            metadata={"sql": catalogue.shown(self._texts(rollup))},
        )

    def _texts(self, rollup: Rollup) -> Iterator[str]:
        yield statements.read("rollups.sql", self.statement)
        if self.comparison:
            yield render.printed(self.comparison.statement(rollup)) + "\n"
