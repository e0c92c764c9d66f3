"""Whatever happens, in whatever order, the stored periods are what the rules say."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.derived.machine import Aged, Anything, InTime, Runs, histories
from usage_pipeline_tests.derived.stories import STORIES
from usage_pipeline_tests.derived.world import World, opened
from usage_pipeline_tests.servers import USUAL, Kind

HISTORIES: Final = {Anything: 20, Aged: 20, InTime: 10}
MANY: Final = {Anything: 80, Aged: 80, InTime: 40}
ELSEWHERE: Final = 5  # on another server than the usual one: only the SQL is to run there


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[World]:
    with opened(server) as found:
        yield found


@pytest.mark.parametrize("machine", HISTORIES)
def test_histories(world: World, server_kind: Kind, machine: type[Runs]) -> None:
    histories(machine, world, HISTORIES[machine] if server_kind == USUAL else ELSEWHERE)


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("machine", MANY)
def test_many_histories(world: World, machine: type[Runs]) -> None:
    histories(machine, world, MANY[machine])


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_stories(world: World, story: Callable[[World], None]) -> None:
    story(world)
