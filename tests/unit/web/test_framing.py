"""Where the framing of a connection cuts what came: the parser's own words, wherever the bytes are parted."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import StreamReader
from aiohttp.http import HttpRequestParser, RawRequestMessage
from hypothesis import given
from hypothesis import strategies as st

from bridge.web.server.framing import Framing, is_parsed_upgrade


class Sink:
    """As much of a protocol as the parser and its readers ask for."""

    def pause_reading(self) -> None:
        raise AssertionError("bodies here are short")

    def resume_reading(self, resume_parser: bool = True) -> None: ...


BODY = st.sampled_from(
    [b"", b"{}", b"GET", b"\r\n\r\n", b"a\r\nb", b"a\r\n\r\nb", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
)
UPGRADE = st.sampled_from(
    [
        b"",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"CONNECTION: upgrade\r\nUPGRADE: x\r\n",
        "Connection: upgrade\r\nupgrade: websoc\u212aet\r\n".encode(),
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    upgrade, body = draw(UPGRADE), draw(BODY)
    head = b"POST /%d HTTP/1.1\r\nHost: x\r\n%b" % (draw(st.integers(0, 99)), upgrade)
    if body and not upgrade and draw(st.booleans()):
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    blank = draw(st.sampled_from([b"", b"\r\n"]))
    return blank + head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@st.composite
def parted(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Requests, and the same bytes in the pieces in which they come."""
    each = draw(st.lists(requests(), min_size=1, max_size=5))
    data = b"".join(each)
    cuts = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=6)))
    return each, [data[begin:end] for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True)]


def parsed(pieces: list[bytes]) -> list[tuple[RawRequestMessage, bytes, bool]]:
    """What the parser makes of *pieces* as they are cut, and whether each upgrade was kept; the first that was not is the last."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(cast("Any", Sink()), loop, 2**16)
        framing = Framing()
        found: list[tuple[RawRequestMessage, StreamReader, bool]] = []
        data, waiting = b"", list(reversed(pieces))
        while (data or waiting) and not (found and found[-1][0].upgrade and not found[-1][2]):
            data = data or waiting.pop()
            cut = framing.cut(data)
            messages, upgraded, _ = parser.feed_data(data[:cut])
            assert not upgraded
            assert not any(is_parsed_upgrade(message) for message, _ in messages)
            took = framing.took(data[:cut], len(messages), messages[-1] if messages else None)
            assert took.excessive is None
            found += [(message, payload, False) for message, payload in messages[:-1]]
            found += [(message, payload, took.kept) for message, payload in messages[-1:]]
            data = data[cut:]
        return [
            (message, payload.read_nowait() if payload.total_bytes else b"", kept)
            for message, payload, kept in found
        ]
    finally:
        loop.close()


@given(parted())
def test_however_requests_are_parted_those_after_an_upgrade_are_whole_unless_it_is_told(
    given_parts: tuple[list[bytes], list[bytes]],
) -> None:
    each, pieces = given_parts
    found = parsed(pieces)
    for number, (message, body, kept) in enumerate(found):
        head, _, sent = each[number].lstrip(b"\r\n").partition(b"\r\n\r\n")
        assert head.split(b" ")[1].decode() == message.path
        if message.upgrade and not kept:
            # From here on nothing is served.
            return
        if not message.chunked:
            assert body == sent
    assert len(found) == len(each)


@given(st.lists(requests(), min_size=1, max_size=5))
def test_requests_that_come_one_by_one_are_all_kept(each: list[bytes]) -> None:
    found = parsed(each)
    assert len(found) == len(each)
    assert all(kept for message, _, kept in found if message.upgrade)


@pytest.mark.parametrize("blank", [b"\r\n\r\n" * 10_000, b"\r\n" * 3])
def test_empty_lines_before_a_request_are_one_piece(blank: bytes) -> None:
    framing = Framing()
    assert framing.cut(blank + b"GET") in {len(blank), len(blank) + 3}


def test_empty_lines_are_no_head_that_has_begun_and_a_part_of_one_is() -> None:
    framing = Framing()
    framing.cut(b"\r\n")
    framing.took(b"\r\n", 0, None)
    assert not framing.head_begun
    framing.cut(b"GET /")
    framing.took(b"GET /", 0, None)
    assert framing.head_begun


@pytest.mark.parametrize("held_back", range(1, 5))
def test_what_follows_an_upgrade_whose_head_was_parted_in_its_end_is_not_lost(held_back: int) -> None:
    plain, next_one = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"
    upgrade = b"GET /2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    found = parsed([plain + upgrade[:-held_back], upgrade[-held_back:] + next_one, plain])
    assert [(message.path, kept) for message, _, kept in found[:2]] == [("/1", False), ("/2", True)]
    assert [message.path for message, _, _ in found[2:]] == ["/3", "/1"]
