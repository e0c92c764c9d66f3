"""The opt-in asset `session_totals`: a title, a window, what became of its conversations."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import dagster as dg

from usage_pipeline import settings
from usage_pipeline.periods import calendar, partitions
from usage_pipeline.periods.calendar import Grain, Window
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import catalogue, readiness, runs
from usage_pipeline.rollups import session_totals as work
from usage_pipeline.rollups.session_totals import Kept
from usage_pipeline.sources import session_totals as sources
from usage_pipeline.sources import specs
from usage_pipeline.sources.adapters import SUPABASE_CHAT, SessionTotals
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

_NAMED: Final = 5
_WHEN_RED: Final = (
    "When it is red: the run names what is in the way. Rows that the application holds: run it again later. "
    "What is off: `usage-pipeline sources enable session-totals`."
)


def _catalogue(totals: SessionTotals) -> dict[str, Any]:
    """What the page says of the asset whatever is in it."""
    meaning = (
        "Tokens of all answers of the conversation; on its owner's row, 0 on others.\n\nIncludes answers of "
        "every day, those of days that are not computed too. Excludes helpers answered from a cache; "
        "unmetered and refused answers add 0."
    )
    return {
        "runbook": dg.MetadataValue.md(_WHEN_RED),
        "dagster/table_name": totals.table,
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(totals.column, description=meaning)]),
        "sql": catalogue.shown(
            statements.read("sources.adapters", each) for each in (totals.untrue, totals.write)
        ),
    }


def session_totals(first_day: date) -> dg.AssetsDefinition:
    """The days of session totals, from the first day on."""

    @dg.asset(
        name="session_totals",
        group_name="sessions",
        partitions_def=partitions.of(Grain.DAILY, first_day),
        deps=list(specs.keys("token_events")),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"postgres", "sql"},
        pool="session_totals",
        owners=["team:data"],
        tags={"grain": "daily", "subject": "tokens"},
        code_version=work.CODE_VERSION,
        metadata=_catalogue(sources.of(SUPABASE_CHAT)),
    )
    def compute(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult[None]:
        """Tokens of each conversation that the day touched, kept true in the application's own session table.

        Off until `usage-pipeline sources enable session-totals`: before that nothing runs it. The number
        is that of all answers of the conversation, of every day. No other column and no other row is written;
        what the column cannot hold is not changed, and reported.
        """
        days = runs.days_of(context)
        runs.take_up(context, warehouse)
        whole = Window(calendar.midnight(days[0]), calendar.window(Grain.DAILY, days[-1]).end)
        try:
            with readiness.explained(warehouse, Role.WRITER):
                touched, kept = _keep(warehouse, whole)
        except Refusal as refusal:
            raise dg.Failure(str(refusal), allow_retries=False) from None
        found = {midnight: touched.get(midnight, []) for midnight in map(calendar.midnight, days)}
        if kept.held:
            _report(context, {day: ids for day, ids in found.items() if kept.held.isdisjoint(ids)}, kept)
            raise dg.Failure(_blame(kept.held))
        if kept.too_large:
            context.log.warning(
                f"{len(kept.too_large)} left as they are, too large: {_named(kept.too_large)}"
            )
        for day, ids in found.items():
            context.add_asset_metadata(_numbers(ids, kept), partition_key=_key(day))
        return dg.MaterializeResult()

    return compute


def off_spec(totals: dg.AssetsDefinition) -> dg.AssetSpec:
    """While it is off the page shows it and what switches it on, and *Materialize all* leaves it out."""
    return totals.get_asset_spec().replace_attributes(
        deps=[*specs.keys("token_events")], partitions_def=None, automation_condition=None
    )


def _keep(warehouse: Warehouse, whole: Window) -> tuple[Mapping[datetime, Sequence[UUID]], Kept]:
    """The conversations of each day, and what became of them."""
    totals = sources.of(readiness.require(warehouse, settings.load()))
    with warehouse.begin(Role.WRITER) as connection:
        state = sources.require(connection, totals)
    touched = work.touched(warehouse, totals, whole)
    each_once = list(dict.fromkeys(one for ids in touched.values() for one in ids))
    return touched, work.keep(warehouse, totals, state, each_once)


def _numbers(ids: Sequence[UUID], kept: Kept) -> Mapping[str, dg.MetadataValue]:
    """What the run did with the conversations of one day."""
    too_large = kept.too_large.intersection(ids)
    named = {"too_large": dg.TextMetadataValue(_named(too_large))} if too_large else {}
    return {
        "conversations": dg.MetadataValue.int(len(ids)),
        "rows_written": dg.MetadataValue.int(sum(kept.written[each] for each in ids)),
        "too_large_conversations": dg.MetadataValue.int(len(too_large)),
        **named,
    }


def _report(context: dg.AssetExecutionContext, done: Mapping[datetime, Sequence[UUID]], kept: Kept) -> None:
    """Tell Dagster which days are whole before the run fails: a failed run counts as nothing done."""
    for day, ids in done.items():
        runs.report_partition(context.instance, context.asset_key, _key(day), _numbers(ids, kept))


def _blame(held: Iterable[UUID]) -> str:
    refusal = Refusal(
        f"session totals of {len(set(held))} conversations were not written",
        why=f"the application holds their sessions: {_named(held)}",
        fix="run it again when it has let go; what is committed stays",
    )
    return str(refusal)


def _named(conversation_ids: Iterable[UUID]) -> str:
    """A few of them, and how many more there are."""
    every = [str(each) for each in sorted(conversation_ids)]
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return f"{', '.join(every[:_NAMED])}{more}"


def _key(day: datetime) -> str:
    return day.date().isoformat()
