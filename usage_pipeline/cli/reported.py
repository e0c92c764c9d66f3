"""What a verb changed outside of a run, told to Dagster: else its page shows the numbers of before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from usage_pipeline.cli import console, stack
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import dagster_instance, embedded, session

if TYPE_CHECKING:
    from usage_pipeline.rollups.rollup import Outcome
    from usage_pipeline.settings import Settings


def report(found: "Settings", outcomes: "Sequence[Outcome]") -> None:
    """Every partition whose rows changed, once they are committed; what fails here fails nothing."""
    changed = [each for each in outcomes if each.changed]
    if not changed or not _has_storage(found):
        return
    try:
        with session.opened(dagster=True):
            if dagster_instance.has_tables(found) or found.operators_instance:
                _report(found, changed)
    except (Refusal, OSError) as error:
        _tell_later(error)


def _has_storage(found: "Settings") -> bool:
    """Without one there is no page, and none is made for this."""
    return not found.embeds_dagster or embedded.of(found.home).data.exists()


def _report(found: "Settings", changed: "Sequence[Outcome]") -> None:
    from usage_pipeline.rollups import runs

    stack.prepare(found)
    with dagster_instance.opened(found) as instance:
        for each in changed:
            runs.report(instance, [each])


def _tell_later(error: Refusal | OSError) -> None:
    what = f"{error.what}: {error.why}" if isinstance(error, Refusal) else str(error)
    console.narrate(
        f"Dagster's page will show what changed after the next run of these partitions; {what}.",
        style="yellow",
    )
