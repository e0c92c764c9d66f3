"""A way to the server that takes time: what is sent arrives half the latency later, in both directions."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from usage_pipeline_tests.servers import LOOPBACK


@contextmanager
def delayed(port: int, latency: float) -> Iterator[int]:
    """A port of the loopback address that leads to this one; what stands behind it answers so late."""
    loop = asyncio.new_event_loop()

    async def served() -> asyncio.Server:
        return await asyncio.start_server(partial(_between, port, latency / 2), LOOPBACK, 0)

    async def ended() -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = loop.run_until_complete(served())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _between(
    port: int, delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    there, back = await asyncio.open_connection(LOOPBACK, port)
    with suppress(asyncio.CancelledError):
        await asyncio.gather(_carry(reader, back, delay), _carry(there, writer, delay))


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    while found := await source.read(65536):
        loop.call_later(delay, target.write, found)
    loop.call_later(delay, target.close)
