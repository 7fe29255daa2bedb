"""A proxy on loopback that answers a repeated write as released Iggy servers do: success, empty, nothing stored."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

__all__ = ("RepeatingProxy", "repeating_proxy")

HEAD_BYTES: Final = 256
_SEND = 160
#: Send, store offset, delete offset.
WRITES: Final = frozenset({160, 161, 162})
_SIZE = slice(48, 52)
_COMMAND_AT = 60
_REPLY = 8
# Of a request and of its reply.
_CLIENT, _REQUEST = slice(128, 144), slice(168, 176)
_OPERATION_AT = 176
_REPLY_OPERATION_AT = 208


class RepeatingProxy:
    """
    Between clients and one server.

    Attributes:
        writes: how many went through.
        repeated: how many were answered here.
        take_for_repeated: whether the next write is answered here, whatever its number.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._known: set[tuple[bytes, bytes, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        self.writes = 0
        self.repeated = 0
        self.take_for_repeated = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        try:
            while True:
                request = await _frame(reader)
                reply = self._repetition(request)
                if reply is None:
                    up_writer.write(request)
                    reply = await _frame(up_reader)
                writer.write(reply)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            up_writer.transport.abort()
            writer.transport.abort()

    def _repetition(self, request: bytes) -> bytes | None:
        operation = request[_OPERATION_AT]
        if operation not in WRITES:
            return None
        key = (request[_CLIENT], request[_REQUEST], operation)
        if key not in self._known and not self.take_for_repeated:
            self._known.add(key)
            self.writes += 1
            return None
        self.repeated += 1
        self.take_for_repeated = False
        body = b"" if operation == _SEND else bytes(4)
        reply = bytearray(HEAD_BYTES) + body
        reply[_SIZE] = len(reply).to_bytes(4, "little")
        reply[_COMMAND_AT] = _REPLY
        reply[_REPLY_OPERATION_AT] = operation
        return bytes(reply)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(HEAD_BYTES)
    return head + await reader.readexactly(int.from_bytes(head[_SIZE], "little") - HEAD_BYTES)


@contextlib.asynccontextmanager
async def repeating_proxy(target: str) -> AsyncIterator[RepeatingProxy]:
    """A proxy to *target* (host:port) for the length of a block."""
    proxy = RepeatingProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    proxy.address = f"{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
