"""Claims of the roster of a cluster's nodes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.iggy.encoding import WireError, parse_roster
from bridge.limits import IGGY_NODES_MAX


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<I", len(encoded)) + encoded


def roster(*nodes: tuple[str, int]) -> bytes:
    parts = [text("cluster"), struct.pack("<I", len(nodes))]
    for host, port in nodes:
        parts += [text("node"), text(host), struct.pack("<HHHHBB", port, 1, 2, 3, 0, 0)]
    return b"".join(parts)


def test_each_node_is_told_where_it_takes_clients() -> None:
    reply = roster(("10.0.0.1", 8090), ("::1", 8091), ("iggy-2.iggy", 8092))
    assert parse_roster(reply) == ("10.0.0.1:8090", "[::1]:8091", "iggy-2.iggy:8092")


def test_nodes_that_take_none_over_tcp_are_left_out() -> None:
    assert parse_roster(roster(("", 8090), ("a", 0), ("b", 1))) == ("b:1",)


def test_a_roster_without_end_is_cut() -> None:
    assert len(parse_roster(roster(*(("a", port) for port in range(1, 100))))) == IGGY_NODES_MAX


@given(st.binary(max_size=200))
def test_nothing_else_is_raised_whatever_the_bytes(reply: bytes) -> None:
    try:
        nodes = parse_roster(reply)
    except WireError:
        return
    assert len(nodes) <= IGGY_NODES_MAX


@given(st.integers(0, len(roster(("10.0.0.1", 8090))) - 1))
def test_a_roster_cut_short_is_none(length: int) -> None:
    with pytest.raises(WireError):
        parse_roster(roster(("10.0.0.1", 8090))[:length])
