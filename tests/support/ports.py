"""Ports of loopback for programs that have to be told theirs."""

import contextlib
import socket
from collections.abc import Iterator

__all__ = ("held_port",)


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """
    A port that nobody else is given as long as the block lasts.

    It is bound here and not listened on: until somebody does, whoever connects is refused. Whoever sets SO_REUSEADDR may
    take it, as all servers do, and the kernel gives it to none that asks for any (Linux).
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
