"""A proxy on loopback that loses replies, breaks connections, or is slow, when told to."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

__all__ = ("FaultProxy", "Toxic", "fault_proxy")

_READ_BYTES = 65_536
#: Longer than anything that is looked for in a request; it may come in two pieces.
_LOOKED_BACK_BYTES = 256
#: A narrow line passes what it carries in so much time at once.
_NARROW_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Toxic:
    """
    What a bad network does to every connection, each way.

    Attributes:
        latency_s, jitter_s: how long what was sent is on its way.
        bytes_per_s: how much passes, 0 for all.
        slice_bytes: the largest piece in which it arrives.
        cut_after_bytes: a connection is reset once so much has passed, 0 for never.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: int = 0
    slice_bytes: int = _READ_BYTES
    cut_after_bytes: int = 0

    @property
    def piece_bytes(self) -> int:
        narrow = int(self.bytes_per_s * _NARROW_S) or _READ_BYTES
        return max(1, min(self.slice_bytes, narrow, self.cut_after_bytes or _READ_BYTES))

    def wait_s(self, size: int, rng: random.Random) -> float:
        """How long a piece of *size* bytes is on its way."""
        jitter_s = rng.uniform(-self.jitter_s, self.jitter_s)
        return self.latency_s + jitter_s + (size / self.bytes_per_s if self.bytes_per_s else 0.0)


class FaultProxy:
    """
    Between clients and one server.

    Attributes:
        address: host:port to connect to.
        toxic: from now on, on new connections and on those that are open.
        flowing: while it is cleared nothing arrives, and nobody is told.
        lose_reply_to: the connection over which these bytes are requested hears nothing any more; by the request and
            not by time, since clients also send heartbeats.
        swallowed: set when a reply was thrown away for it.
        connections: how many there have been.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rng = random.Random(1)
        self.address = ""
        self.toxic = Toxic()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.lose_reply_to: bytes | None = None
        self.swallowed = asyncio.Event()
        self.connections = 0

    def cut(self) -> None:
        """Reset every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
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
        passed, seen = 0, b""
        with contextlib.suppress(OSError):
            while data := await reader.read(self.toxic.piece_bytes):
                if replies and deaf.is_set():
                    self.swallowed.set()
                    continue
                if not replies:
                    seen = seen[-_LOOKED_BACK_BYTES:] + data
                    if self.lose_reply_to is not None and self.lose_reply_to in seen:
                        deaf.set()
                passed += len(data)
                if not await self._passes(data, passed, writer):
                    break
        writer.transport.abort()

    async def _passes(self, data: bytes, passed: int, writer: asyncio.StreamWriter) -> bool:
        """Bring *data* over; whether the connection goes on."""
        await self.flowing.wait()
        toxic = self.toxic
        wait_s = toxic.wait_s(len(data), self._rng)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        writer.write(data)
        await writer.drain()
        return not 0 < toxic.cut_after_bytes <= passed

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
