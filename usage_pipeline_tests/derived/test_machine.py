"""Whatever happens, in whatever order, the stored periods are what the rules say."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, Runs
from usage_pipeline_tests.derived.world import World, opened

HISTORIES: Final = {Anything: 80, Aged: 80, InTime: 40}


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[World]:
    with opened(server) as found:
        yield found


@pytest.mark.parametrize("machine", HISTORIES)
def test_histories(world: World, machine: type[Runs]) -> None:
    """A failure tells its history in words; shrinking it takes minutes, and `dev.py soak` does."""
    run_state_machine_as_test(
        partial(machine, world),
        settings=settings(
            max_examples=HISTORIES[machine],
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
