"""What whoever reads or computes needs first: the settings, the server running, the warehouse open."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import embedded, policy
from usage_pipeline.warehouse.connections import Warehouse, open_warehouse


@contextmanager
def opened(
    *, create: bool = False, dagster: bool = False, read_only: bool = False
) -> Iterator[tuple[Settings, Warehouse]]:
    """The warehouse of the settings in force; an embedded server runs for as long as it is needed.

    `create`: a missing stack is made, not refused. `dagster`: Dagster's storage must answer too; unless it
    has a place of its own, it stands on the embedded server even when the aggregates do not. `read_only`: the
    server is told to refuse whatever would write. The settings name the first day if they or the database do.
    """
    found = settings.load()
    with ExitStack() as stack:
        if found.database_url is None or (dagster and found.dagster_pg_url is None):
            server = embedded.of(found.home)
            if found.database_url is None and not create and not server.data.exists():
                raise embedded.estranged(server) or Refusal(
                    f"there is no stack in {found.home}",
                    why="USAGE_DATABASE_URL is not set and no embedded server was made yet",
                    fix="$ demo, or $ init --database-url URL for a database of your own",
                )
            stack.enter_context(embedded.held(server))
        warehouse = open_warehouse(found, read_only=read_only)
        stack.callback(warehouse.dispose)
        yield found if create else policy.filled(found, warehouse), warehouse
