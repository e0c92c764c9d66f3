"""The application in a database of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat
from usage_pipeline_tests.sources.reading import Source


@contextmanager
def opened(server: Server) -> Iterator[Source]:
    """An empty application with everything of ours, in a database of its own."""
    with cloned(server, TEMPLATE) as database, server.connect(database, embedded.LOGIN) as connection:
        warehouse = Warehouse(server.url(database))
        try:
            yield Source(server, database, Chat(connection), warehouse)
        finally:
            warehouse.dispose()


@pytest.fixture
def source(server: Server) -> Iterator[Source]:
    """The application, empty."""
    with opened(server) as found:
        yield found
