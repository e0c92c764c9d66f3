"""Runs of one command: they join its record, and keep what any of them has finished."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from usage_pipeline.periods import partitions
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import assets, runs
from usage_pipeline.rollups.rollup import ROLLUPS, Outcome, Span
from usage_pipeline.rollups.runs import Command
from usage_pipeline.warehouse import backfills
from usage_pipeline.warehouse.backfills import Asked, Held
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import ConnectionLost
from usage_pipeline.warehouse.roles import Role
from usage_pipeline.warehouse.statements import driver
from usage_pipeline_tests.conftest import START
from usage_pipeline_tests.factories import NOON, Chat, tokens_of

pytestmark = pytest.mark.command

FIRST = NOON.date() - timedelta(days=NOON.weekday())
LAST = FIRST + timedelta(days=13)
SPANS = [Span.holding(ROLLUPS[name], FIRST, LAST) for name in ("tokens_daily", "tokens_weekly")]
IDS = tuple(str(UUID(int=number)) for number in range(1, 5))
ASKED = Asked(tuple(span.rollup.name for span in SPANS), FIRST, LAST, "1", 16)


def materialize(warehouse: Warehouse, span: Span, run_id: str, command: Command) -> None:
    """One Dagster run over a span."""
    first, last = partitions.ends(span.rollup.grain, span.windows)
    ours = dg.Definitions(assets.assets(START, command), resources={"warehouse": warehouse})
    with dg.DagsterInstance.ephemeral() as instance:
        ours.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_id=run_id,
            asset_selection=[dg.AssetKey(span.rollup.name)],
            tags={runs.RANGE_TAG: first, runs.RANGE_END_TAG: last},
        )


def run(warehouse: Warehouse, *run_ids: str, backfill_id: int | None = None) -> list[Outcome]:
    """Days, then weeks, in one record; what each period said. It is broken off before it ends."""
    outcomes: list[Outcome] = []
    with (
        suppress(KeyboardInterrupt),
        backfills.held(
            warehouse, ASKED, run_id=run_ids[0], root_run_id=None, backfill_id=backfill_id
        ) as held,
    ):
        command = Command(held, outcomes.append)
        for run_id, span in zip(run_ids, SPANS, strict=True):
            materialize(warehouse, span, run_id, command)
        raise KeyboardInterrupt
    return outcomes


def the_only_one(warehouse: Warehouse) -> backfills.Backfill:
    with warehouse.begin(Role.READER) as connection:
        (found,) = backfills.newest(connection)
    return found


def test_runs_of_a_command_are_one_backfill(chat: Chat, warehouse: Warehouse) -> None:
    """With a record a run, the same command would find none of its own and begin anew."""
    chat.answer()
    assert [each.said for each in run(warehouse, *IDS[:2])] == ["computed"] * 16
    found = the_only_one(warehouse)
    assert (found.run_ids, found.state, found.finished_count) == (IDS[:2], "interrupted", 16)
    again = run(warehouse, *IDS[2:], backfill_id=found.id)
    assert [each.is_kept for each in again] == [True] * 16
    assert the_only_one(warehouse).run_ids == IDS


def test_a_week_is_not_finished_when_its_days_have_changed(chat: Chat, warehouse: Warehouse) -> None:
    """Somebody computed a day between the two commands: the week that was made before lacks its answers."""
    run(warehouse, *IDS[:2])
    chat.answer()
    tokens_of(Grain.DAILY).compute(warehouse, SPANS[0].windows[NOON.weekday()], "another")
    again = run(warehouse, *IDS[2:], backfill_id=the_only_one(warehouse).id)
    fresh = [each for each in again if not each.is_kept]
    assert [(each.rollup.name, each.entry.totals["message_count"]) for each in fresh] == [
        ("tokens_daily", 1),
        ("tokens_weekly", 1),
    ]


@pytest.mark.parametrize("ask", [lambda held: held.join("next"), Held.require_session], ids=["join", "look"])
def test_whoever_has_lost_the_record_is_told_so(
    ask: Callable[[Held], None],
    warehouse: Warehouse,
    superuser: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In our words, whichever of its sessions it was: what a run has computed stays, and is told."""
    monkeypatch.setattr(backfills, "_LOOKS_APART", 0)
    with backfills.held(warehouse, ASKED, run_id="first", root_run_id=None, backfill_id=None) as held:
        superuser.execute("select pg_terminate_backend(%s, 5000)", [driver(held.session).info.backend_pid])
        with pytest.raises(ConnectionLost, match="was lost"):
            ask(held)
