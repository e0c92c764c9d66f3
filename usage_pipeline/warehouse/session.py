"""What whoever reads or computes needs first: the settings, the server running, the warehouse open."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_yaml, embedded, policy
from usage_pipeline.warehouse.connections import Warehouse, open_warehouse


@contextmanager
def opened(
    *, create: bool = False, dagster: bool = False, read_only: bool = False
) -> Iterator[tuple[Settings, Warehouse]]:
    """The warehouse of the settings in force; an embedded server runs for as long as it is needed.

    `create`: a missing stack is made, not refused. `dagster`: Dagster's instance will be used; unless that is
    an operator's or has another place, its storage is on the embedded server, wherever the aggregates are.
    `read_only`: the server is asked to refuse whatever would write. The settings name the first day if they
    or the database do.
    """
    found = settings.load()
    if dagster:
        dagster_yaml.require(found)
    with ExitStack() as stack:
        if found.database_url is None or (dagster and found.embeds_dagster):
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
