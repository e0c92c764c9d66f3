"""Who watches the histories: a fault of one line in the database's functions, and they must tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.derived import stories
from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, Runs, histories
from usage_pipeline_tests.derived.world import World, opened

pytestmark = pytest.mark.once
ENOUGH: Final = 100  # histories, and each fault below is told within them


@dataclass(frozen=True)
class Fault:
    """One line of one file, as somebody might write it."""

    what: str
    file: str
    line: str
    wrong: str
    told_by: type[Runs] | Callable[[World], None] = Aged


FAULTS: Final = (
    Fault(
        "a period is covered to its end while it lasts",
        "run_tokens", "    else least(clock, ends)", "    else ends", Anything,
    ),
    Fault(
        "raw rows are read beyond covered_until",
        "replace_tokens", "replace_tokens.covered_until, replace_tokens.only_user)",
        "replace_tokens.window_end, replace_tokens.only_user)", InTime,
    ),
    Fault(
        "a gap is passed over",
        "run_tokens", "    covered := coalesce(gap, greatest(covered, reach));", "    covered := covered;",
        InTime,
    ),
    Fault(
        "what the seed's function has touched counts as computed",
        "lock_below", "when held.state in ('open', 'sealed') then",
        "when held.state in ('open', 'sealed', 'partial') then",
        stories.a_day_that_was_only_called_is_a_gap,
    ),
    Fault(
        "a user whose messages are as many as before is left as stored",
        "replace_tokens", "or computed.message_count >= stored", "or computed.message_count > stored",
        stories.a_row_as_long_as_before_may_grow,
    ),
    Fault(
        "a period is sealed over open ones",
        "run_tokens", "    and all_sealed and (is_raw", "    and (is_raw",
        stories.a_week_waits_for_its_days,
    ),
    Fault(
        "what is kept is not told",
        "run_tokens", "    kept = written.kept,", "    kept = '{}',",
        stories.a_loss_accepted_below_climbs,
    ),
    Fault(
        "a source that lost its rows is believed",
        "run_tokens", "    if least(stored.message_count, in_source) < step.least_share",
        "    if -1 > step.least_share",
        stories.a_large_day_is_halved_by_acceptance_alone,
    ),
    Fault(
        "one call of one user halves a large day",
        "run_tokens", "clock >= ends and p_intent <> 'accept'", "clock >= ends and p_intent = 'run'",
        stories.a_large_day_is_halved_by_acceptance_alone,
    ),
    Fault(
        "calls of one user after another halve a large day",
        "run_tokens", "    if least(stored.message_count, in_source) <", "    if stored.message_count <",
        stories.a_large_day_is_not_halved_user_by_user,
    ),
    Fault(
        "a loss that was accepted in an open period is not recorded",
        "run_tokens", "      coalesce(led.state = 'sealed' or accepts_open, false),",
        "      coalesce(led.state = 'sealed', false),",
        stories.a_large_day_is_halved_by_acceptance_alone,
    ),
    Fault(
        "what is restated is not recorded",
        "replace_tokens", "    where replace_tokens.is_recorded\n    order", "    where false\n    order",
    ),
    Fault(
        "who has nothing left keeps a row",
        "replace_tokens", "      and not replace_tokens.keeps\n", "      and replace_tokens.is_recorded\n",
        Anything,
    ),
    Fault(
        "conversations are added up",
        "tokens_of_periods", "count(distinct part.conversation_id)", "count(part.conversation_id)",
        Anything,
    ),
    Fault(
        "a row is added for each of its conversations",
        "tokens_of_periods", "(pg_catalog.sum(part.total_tokens) filter (where part.is_first))::bigint",
        "pg_catalog.sum(part.total_tokens)::bigint",
        Anything,
    ),
    Fault(
        "the seed's function reads up to now",
        "run_tokens", "when p_intent = 'user' and led.state = 'open' then led.covered_until",
        "when p_intent = 'user' and led.state = 'open' then least(clock, ends)",
        stories.a_call_reads_no_further_than_the_run,
    ),
    Fault(
        "a sealed period keeps what the periods below it have let go",
        "run_tokens", "led.state = 'sealed' and is_raw and p_intent", "led.state = 'sealed' and p_intent",
        stories.a_loss_accepted_below_climbs,
    ),
    Fault(
        "the grace is counted from the period's start",
        "run_tokens", "clock >= ends + pg_catalog.make", "clock >= p_start + pg_catalog.make", InTime,
    ),
    Fault(
        "a restatement leaves the checksums of what it was built from",
        "run_tokens", "case when is_raw and written.kept <> '{}' then", "case when led.state = 'sealed' then",
    ),
    Fault(
        "the horizon is not asked",
        "run_tokens", "  if is_raw and p_start < horizon then", "  if false then",
    ),
    Fault(
        "a sealed period is rebuilt from open ones",
        "run_tokens", "led.state = 'sealed' and not all_sealed then", "led.state = 'sealed' and false then",
        stories.a_sealed_week_is_not_rebuilt_from_an_open_day,
    ),
    Fault(
        "a day that went with its month counts as never computed",
        "lock_below", "or usage_private.is_gone(lock_below.below, periods.period_start) then", "then",
        stories.a_day_older_than_a_pruned_month_comes_in_with_its_week,
    ),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_told(server: Server, fault: Fault) -> None:
    """A check that no fault can fail is no check."""
    with opened(server) as world:
        world.install(seeded(fault))
        with pytest.raises(AssertionError):
            tell(fault.told_by, world)


def tell(told_by: type[Runs] | Callable[[World], None], world: World) -> None:
    """Chance tells most of them soon; the others have a story."""
    if isinstance(told_by, type):
        histories(told_by, world, ENOUGH)
    else:
        told_by(world)


def seeded(fault: Fault) -> str:
    right = statements.read("rollups.sql", fault.file)
    assert right.count(fault.line) == 1, "the line is no longer there"
    return right.replace(fault.line, fault.wrong)
