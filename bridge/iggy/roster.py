"""
The nodes of an Iggy cluster, as the server tells them (pure); the SDK for Python has no call that does.

All numbers are little endian. A reply is `name, u32 count`, then each node: `name, host, u16 TCP, QUIC, HTTP, WebSocket
port, u8 role, u8 status`; a text is `u32 length, UTF-8`.

Source: apache/iggy core/binary_protocol, `responses/system/get_cluster_metadata.rs`, as SDK 0.9.0 has it.
"""

import struct
from typing import Final

from bridge.limits import IGGY_NODES_MAX

__all__ = ("CLUSTER_METADATA", "RosterError", "parse_roster")

CLUSTER_METADATA: Final = 12

_COUNT: Final = struct.Struct("<I")
#: The port for TCP, and what is of no use here.
_REST: Final = struct.Struct("<H8x")


class RosterError(ValueError):
    """The bytes are not what this version of the protocol says."""


def parse_roster(reply: bytes) -> tuple[str, ...]:
    """
    host:port of each node that takes clients over TCP, in the server's order, at most `IGGY_NODES_MAX`.

    Raises:
        RosterError: if the reply is malformed.
    """
    try:
        _, at = _text(reply, 0)
        (count,) = _COUNT.unpack_from(reply, at)
        at += _COUNT.size
        nodes: list[str] = []
        for _ in range(min(count, IGGY_NODES_MAX)):
            _, at = _text(reply, at)
            host, at = _text(reply, at)
            (port,) = _REST.unpack_from(reply, at)
            at += _REST.size
            if host and port:
                nodes.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except (struct.error, UnicodeDecodeError):
        raise RosterError("a roster that is cut short or no text") from None
    return tuple(nodes)


def _text(reply: bytes, at: int) -> tuple[str, int]:
    (length,) = _COUNT.unpack_from(reply, at)
    at += _COUNT.size
    if at + length > len(reply):
        raise RosterError("a text reaches past the roster")
    return reply[at : at + length].decode(), at + length
