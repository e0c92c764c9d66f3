"""What a verb changed outside of a run, told to Dagster: else its page shows the numbers of before."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_pipeline.cli import asked, console, stack
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import dagster_tables, embedded, session

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
            if dagster_tables.exist(stack.storage(found)):  # asked first: Dagster would ask for long
                _report(found, changed)
    except (Refusal, OSError) as error:
        _tell_later(error)


def _has_storage(found: "Settings") -> bool:
    """Without one there is no page, and none is made for this."""
    return found.dagster_pg_url is not None or embedded.of(found.home).data.exists()


def _report(found: "Settings", changed: "Sequence[Outcome]") -> None:
    import dagster as dg

    from usage_pipeline.rollups import runs

    stack.prepare(found)
    with _plainly(), dg.DagsterInstance.get() as instance:
        for each in changed:
            runs.report(instance, asked.rollup(each.rollup), [each])


@contextmanager
def _plainly() -> Iterator[None]:
    """What Dagster makes of a storage that is lost or of a dagster.yaml that is wrong, as a refusal."""
    from dagster import DagsterError
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (DagsterError, DagsterPostgresException, SQLAlchemyError) as error:
        raise Refusal("Dagster's storage was lost or cannot be used", why=type(error).__name__) from None


def _tell_later(error: Refusal | OSError) -> None:
    what = f"{error.what}: {error.why}" if isinstance(error, Refusal) else str(error)
    console.narrate(
        f"Dagster's page will show what changed after the next run of these partitions; {what}.",
        style="yellow",
    )
