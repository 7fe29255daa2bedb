"""Taking ports (shell)."""

import errno
import os
import socket
from contextlib import ExitStack
from typing import Final

from bridge.errors import StartupError
from bridge.limits import LISTEN_BACKLOG

_SHARED: Final = getattr(socket, "SO_REUSEPORT", None) if os.uname().sysname == "Linux" else None


def take_ports(host: str, port: int, count: int) -> list[list[socket.socket]]:
    """Listen on *port* with *count* sockets for each address of *host*, among which the kernel shares out connections.

    Whoever opened them keeps them, so that what waits for a worker that died waits for the next one; a socket of the
    worker's own would take its queue along, and one socket for all gives most connections to whoever is awake first.
    Where the system knows no such sharing (`SO_REUSEPORT` of Linux), all get the same socket.

    Args:
        port: 0 takes a free one.

    Returns:
        For each of *count*, its sockets.

    Raises:
        StartupError: if the port is taken, not allowed, or the host is none of this machine.
    """
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            shares: list[list[socket.socket]] = [[] for _ in range(count)]
            shared = count > 1 and _SHARED is not None
            for family, _, _, _, address in dict.fromkeys(found):
                # Sharing is for us alone: another bridge of this user would be let in silently.
                with _bound(family, (address[0], port, *address[2:]), shared=False) as alone:
                    port = alone.getsockname()[1]
                place = (address[0], port, *address[2:])
                first: socket.socket | None = None
                for share in shares:
                    if first is None or shared:
                        first = opened.enter_context(_bound(family, place, shared=shared))
                        first.listen(LISTEN_BACKLOG)
                    share.append(first)
        except (OSError, OverflowError) as error:
            raise StartupError(why_not(host, port, error)) from error
        opened.pop_all()
    return shares


def _bound(family: int, place: tuple[object, ...], *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and _SHARED is not None:
            made.setsockopt(socket.SOL_SOCKET, _SHARED, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
    except BaseException:
        made.close()
        raise
    return made


def why_not(host: str, port: int, error: Exception) -> str:
    """The sentence for the operator whose port could not be taken."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; stop what listens there, or set PORT (METRICS_PORT for the metrics)"
    if number in (errno.EACCES, errno.EPERM):
        return f"port {port} may not be taken by this user; choose one above 1023"
    if number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is no address of this machine; set HOST"
    return (
        f"cannot listen on port {port} of {host}: {getattr(error, 'strerror', None) or type(error).__name__}"
    )
