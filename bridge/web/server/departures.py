"""Who waits on a connection learns that its client has left (shell)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from bridge.web.server.connection import BridgeProtocol


def protocol_of(request: web.Request) -> BridgeProtocol:
    """The connection of *request*."""
    protocol = request.protocol
    if not isinstance(protocol, BridgeProtocol):
        raise TypeError("only connections of BridgeServer tell of their end, and of room")
    return protocol


@contextmanager
def on_departure(request: web.Request, told: Callable[[], None]) -> Iterator[None]:
    """Within this, *told* is called once the client's connection has ended, or its side of it, which looks the same where
    it has left; at once if it has ended already.

    aiohttp tells a handler of it only at its next write, and a long wait writes nothing.
    """
    protocol = protocol_of(request)
    if protocol.may_have_left:
        told()
        yield
        return
    protocol.on_lost = told
    try:
        yield
    finally:
        protocol.on_lost = None
