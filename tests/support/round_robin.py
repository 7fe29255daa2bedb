"""A load balancer on loopback that sends each connection to the next bridge that takes it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

__all__ = ("RoundRobin", "round_robin")


class RoundRobin:
    """
    Before several servers of this machine; knows nothing of HTTP, keeps nobody to one server.

    Attributes:
        port: to connect to.
        taken: connections by the port they went to.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.taken: Counter[int] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(OSError):
                up_reader, up_writer = await self._next()
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(_copy(reader, up_writer))
                        group.create_task(_copy(up_reader, writer))
                finally:
                    up_writer.transport.abort()
        finally:
            writer.transport.abort()

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._ports:
            port = self._ports[self._turn % len(self._ports)]
            self._turn += 1
            with contextlib.suppress(OSError):
                streams = await asyncio.open_connection("127.0.0.1", port)
                self.taken[port] += 1
                return streams
        raise ConnectionRefusedError

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From one end to the other; a half that ends ends both, as the balancers do that we know."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort() if writer.transport.is_closing() else writer.close()


@contextlib.asynccontextmanager
async def round_robin(*ports: int) -> AsyncIterator[RoundRobin]:
    """A balancer before the servers on these ports, for the length of a block."""
    balancer = RoundRobin(ports)
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    balancer.port = server.sockets[0].getsockname()[1]
    try:
        yield balancer
    finally:
        server.close()
        await balancer.close()
        await server.wait_closed()
