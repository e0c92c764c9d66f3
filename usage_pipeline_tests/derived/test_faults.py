"""Who watches the histories: a fault of one line in the database's functions, and they must tell.

The rules themselves have theirs in `usage_pipeline_tests/engine/faults.py`, without a database.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.derived import stories
from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, Runs, histories
from usage_pipeline_tests.derived.world import World, opened

pytestmark = [pytest.mark.once, pytest.mark.slow]
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
        "raw rows are read beyond covered_until",
        "replace_tokens", "replace_tokens.covered_until, replace_tokens.only_user)",
        "replace_tokens.window_end, replace_tokens.only_user)", InTime,
    ),
    Fault(
        "a user whose messages are as many as before is left as stored",
        "replace_tokens", "or computed.message_count >= stored", "or computed.message_count > stored",
        stories.a_row_as_long_as_before_may_grow,
    ),
    Fault(
        "what is kept is not told",
        "run_tokens", "    kept = written.kept,", "    kept = '{}',",
        stories.a_loss_accepted_below_climbs,
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
        "a restatement leaves the checksums of what it was built from",
        "run_tokens", "case when is_raw and written.kept <> '{}' then", "case when led.state = 'sealed' then",
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
