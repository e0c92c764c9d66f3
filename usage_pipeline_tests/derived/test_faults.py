"""Who watches the histories: a fault of one line in what a run writes, and they must tell.

The rules themselves have theirs in `usage_pipeline_tests/engine/faults.py`, without a database.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from usage_pipeline.engine import replace as composing
from usage_pipeline.engine import run as engine
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.derived import stories
from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, Runs, histories
from usage_pipeline_tests.derived.world import World, opened
from usage_pipeline_tests.engine.pure import loaded, text_of

pytestmark = [pytest.mark.once, pytest.mark.slow]
ENOUGH: Final = 100  # histories, and each fault below is told within them


@dataclass(frozen=True)
class Fault:
    """One line of one module of the engine, as somebody might write it."""

    what: str
    module: str
    line: str
    wrong: str
    told_by: type[Runs] | Callable[[World], None] = Aged


FAULTS: Final = (
    Fault(
        "raw rows are read beyond covered_until",
        "rows", 'function(AT["window_start"], AT["covered_until"], unit)',
        'function(AT["window_start"], AT["window_end"], unit)', InTime,
    ),
    Fault(
        "a user whose messages are as many as before is left as stored",
        "recorded", ">= func.coalesce(old.c[name], ZERO)", "> func.coalesce(old.c[name], ZERO)",
        stories.a_row_as_long_as_before_may_grow,
    ),
    Fault(
        "what is kept is not told",
        "record", "kept=found.kept,", "kept={},",
        stories.a_loss_accepted_below_climbs,
    ),
    Fault(
        "what is restated is not recorded",
        "replace", "    if shape.is_recorded:", "    if shape.reads_one:",
    ),
    Fault(
        "who has nothing left keeps a row",
        "replace", "*self.is_written(self.unit(table)), gone)", "sa.false())", Anything,
    ),
    Fault(
        "conversations are added up",
        "rows", "func.count(part.c[str(measure.of)].distinct())", "func.count(part.c[str(measure.of)])",
        Anything,
    ),
    Fault(
        "a row is added for each of its conversations",
        "rows", "func.sum(column).filter(part.c.is_first)", "func.sum(column)", Anything,
    ),
    Fault(
        "a restatement leaves the checksums of what it was built from",
        "record", "not (plan.is_raw and entry.kept)", 'entry.state != "sealed"',
    ),
    Fault(
        "the checksum is not that of what is stored",
        "replace", "self.before if self.shape.reads_before else self.computed", "self.computed",
    ),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_told(server: Server, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that no fault can fail is no check."""
    put_in(fault, monkeypatch)
    try:
        with opened(server) as world, pytest.raises(AssertionError):
            tell(fault.told_by, world)
    finally:
        composing.replace.cache_clear()  # composed with the fault


def tell(told_by: type[Runs] | Callable[[World], None], world: World) -> None:
    """Chance tells most of them soon; the others have a story."""
    if isinstance(told_by, type):
        histories(told_by, world, ENOUGH)
    else:
        told_by(world)


def put_in(fault: Fault, patch: pytest.MonkeyPatch) -> None:
    """The engine with the faulty module in the place of the right one."""
    right = text_of(fault.module)
    assert right.count(fault.line) == 1, "the line is no longer there"
    faulty = loaded(fault.module, right.replace(fault.line, fault.wrong))
    composing.replace.cache_clear()
    if fault.module == "replace":
        patch.setattr(engine, "replace", faulty.replace)
        return
    for module in (engine, composing):
        if hasattr(module, fault.module):
            patch.setattr(module, fault.module, faulty)
