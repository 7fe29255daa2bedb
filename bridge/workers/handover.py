"""What the parent tells a worker (shell over a pipe): first everything it needs, then when to reload and when to end.

The pipe is the worker's standard input. Nothing of it shows in a list of processes or in an environment, and its end tells a
worker that its parent is gone, however that happened.
"""

import os
from typing import Final

import msgspec

from bridge.config import Config

#: Messages that may follow, one byte each.
DRAIN: Final = b"d"
HURRY: Final = b"h"
RELOAD: Final = b"r"
_LENGTH_BYTES: Final = 8
_READ_BYTES: Final = 65_536


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is started with.

    Attributes:
        slot: which one it is, from 0.
        count: how many there are.
        secret: hashes addresses in the shared tables.
        memory_fd: the file they share.
        port_fds: sockets that listen on the main port, one for each address.
        metrics_fds: likewise for the metrics; None without a port of their own.
    """

    config: Config
    slot: int
    count: int
    secret: bytes
    memory_fd: int
    port_fds: list[int]
    metrics_fds: list[int] | None

    @property
    def fds(self) -> tuple[int, ...]:
        """Every descriptor to be inherited."""
        return (self.memory_fd, *self.port_fds, *(self.metrics_fds or ()))


def write_handover(handover: Handover) -> bytes:
    data = msgspec.msgpack.encode(handover)
    return len(data).to_bytes(_LENGTH_BYTES) + data


def read_handover(fd: int) -> Handover:
    """What the parent wrote; waits for it.

    Raises:
        EOFError: if the parent was gone before all was there.
    """
    length = int.from_bytes(_exactly(fd, _LENGTH_BYTES))
    return msgspec.msgpack.decode(_exactly(fd, length), type=Handover)


def _exactly(fd: int, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        # Never more than that: what follows is for the event loop.
        part = os.read(fd, min(_READ_BYTES, length - len(data)))
        if not part:
            raise EOFError("the parent ended before it had told everything")
        data += part
    return bytes(data)
