"""Who watches the lives: a fault of one line in `decide` or `prove`, and they must tell."""

from typing import Final

import pytest

from usage_pipeline_tests.engine.faults import FAULTS, Fault
from usage_pipeline_tests.engine.lives import broken, written

ENOUGH: Final = 1000  # lives, and each fault without a story is reported within them


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_told(fault: Fault) -> None:
    """A check that no fault can fail is no check."""
    engine = fault.engine()
    if fault.story:
        with pytest.raises(AssertionError):
            fault.story(engine)
        return
    assert any(broken(engine, seed, written(seed)) for seed in range(ENOUGH))
