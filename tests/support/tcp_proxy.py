"""A proxy on loopback that loses replies or breaks connections when told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

__all__ = ("FaultProxy", "fault_proxy")


class FaultProxy:
    """
    Between clients and one server.

    Attributes:
        address: host:port to connect to.
        lose_reply_to: the connection over which these bytes are requested hears nothing any more; by the request and
            not by time, since clients also send heartbeats.
        swallowed: set when a reply was thrown away for it.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        self.lose_reply_to: bytes | None = None
        self.swallowed = asyncio.Event()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, up_writer}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                deaf = asyncio.Event()
                group.create_task(self._copy(reader, up_writer, deaf, replies=False))
                group.create_task(self._copy(up_reader, writer, deaf, replies=True))
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        deaf: asyncio.Event,
        *,
        replies: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if replies and deaf.is_set():
                    self.swallowed.set()
                    continue
                if not replies and self.lose_reply_to is not None and self.lose_reply_to in data:
                    deaf.set()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def close(self) -> None:
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)


@contextlib.asynccontextmanager
async def fault_proxy(target: str) -> AsyncIterator[FaultProxy]:
    """A proxy to *target* (host:port) for the length of a block."""
    proxy = FaultProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    proxy.address = f"{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
