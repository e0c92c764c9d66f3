"""Whatever happens, in whatever order, `decide` says what the oracle says; any facts have a plan."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_pipeline.engine.decide import decide
from usage_pipeline.engine.plan import Compute, Facts, Intent, Period, Plan
from usage_pipeline_tests.engine.lives import failing
from usage_pipeline_tests.engine.pure import Engine
from usage_pipeline_tests.engine.stories import STORIES

SHARES: Final = 10
LIVES: Final = 500  # in each share
INSTANTS: Final = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=12 * place) for place in range(16)]
INSTANT: Final = st.sampled_from(INSTANTS)
PERIOD: Final = st.builds(
    Period,
    starts=INSTANT, ends=INSTANT, covered_until=st.none() | INSTANT,
    state=st.sampled_from([None, "partial", "open", "sealed", "pruned"]),
    checksum=st.sampled_from([None, "v1:1"]), totals=st.just({}), states=st.just({}), is_gone=st.booleans(),
)  # fmt: skip
FACTS: Final = st.builds(
    Facts,
    clock=INSTANT, first_day=INSTANT, seals_from=INSTANT, horizon=st.none() | INSTANT, own=PERIOD,
    below=st.none() | st.lists(PERIOD, max_size=5),
)  # fmt: skip


@pytest.mark.parametrize("share", range(SHARES))
def test_lives(share: int) -> None:
    engine = Engine()
    for seed in range(share * LIVES, (share + 1) * LIVES):
        broken = failing(engine, seed)
        assert not broken, f"seed {seed}: {broken}"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_stories(story: Callable[[Engine], None]) -> None:
    story(Engine())


@settings(max_examples=2000, derandomize=True, deadline=None)
@given(facts=FACTS, intent=st.sampled_from(Intent), is_one=st.booleans())
def test_any_facts_have_a_plan(facts: Facts, intent: Intent, is_one: bool) -> None:
    """A run never fails for what stands in the ledger; and no seal is ever broken."""
    plan = decide(facts, intent, is_one=is_one)
    assert isinstance(plan, get_args(Plan))
    if isinstance(plan, Compute):
        assert all(each.state in ("open", "sealed") for each in plan.parts)
        assert plan.state == "sealed" or not (plan.seals or facts.own.state == "sealed")
        assert not (plan.is_raw and plan.parts)
