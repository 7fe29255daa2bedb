"""Claims of one connection, against a server on loopback that is played by hand."""

import asyncio
import contextlib
import itertools
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from bridge.iggy.address import IggyAddress
from bridge.iggy.client import Refusal
from bridge.iggy.frames import HEAD_BYTES, FrameError
from bridge.iggy.line import Line, dial_line

LOGGED_IN = struct.pack("<IIQIB", 0, 3, 48, 11 << 10, 5) + b"0.9.0"


def reply(body: bytes = b"", *, operation: int = 2, status: int = 0, command: int = 8) -> bytes:
    head = bytearray(HEAD_BYTES)
    struct.pack_into("<I", head, 48, HEAD_BYTES + len(body))
    head[60], head[208] = command, operation
    struct.pack_into("<I", head, 216, status)
    return bytes(head) + body


class Played:
    """A server that lets one connection in, and then does what the test says."""

    def __init__(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line = line
        self._reader = reader
        self._writer = writer

    async def request(self) -> tuple[int, bytes]:
        """Code and body of the next request."""
        head = await self._reader.readexactly(HEAD_BYTES)
        body = await self._reader.readexactly(struct.unpack_from("<I", head, 48)[0] - HEAD_BYTES)
        return struct.unpack_from("<I", head, 196)[0], body

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            # Each piece is read by itself before the next is written.
            for _ in range(20):
                await asyncio.sleep(0)

    async def ended(self) -> None:
        """Wait until the other side has hung up."""
        with contextlib.suppress(ConnectionResetError):
            while await self._reader.read(1024):
                pass

    def cut(self) -> None:
        self._writer.transport.abort()


def address(port: int, **more: Any) -> IggyAddress:
    return IggyAddress(host="127.0.0.1", port=port, username="iggy", password="iggy", **more)


@contextlib.asynccontextmanager
async def serving(login: bytes) -> AsyncIterator[tuple[int, "asyncio.Future[Any]"]]:
    """A port where the first request of a connection is answered with *login*; and its two ends."""
    ends: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    let_in = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(HEAD_BYTES)
        await reader.readexactly(struct.unpack_from("<I", head, 48)[0] - HEAD_BYTES)
        writer.write(login)
        ends.set_result((reader, writer))
        await let_in.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], ends
    finally:
        let_in.set()
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def playing() -> AsyncIterator[Played]:
    async with serving(reply(LOGGED_IN, operation=1)) as (port, ends):
        dialled = await dial_line(address(port), timeout_s=5)
        assert not isinstance(dialled, Refusal)
        assert dialled.server_version == "0.9.0"
        yield Played(dialled.client, *await ends)
        dialled.client.abort()


async def an_answer_is_the_body_of_its_reply() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"question")
        assert await server.request() == (100, b"question")
        await server.say(reply(b"answer"))
        assert await asked == b"answer"
        again = server.line.ping()
        assert await server.request() == (1, b"")
        await server.say(reply())
        assert await again == b""


async def a_reply_may_come_in_pieces() -> None:
    whole = reply(b"x" * 1000)
    async with playing() as server:
        for cuts in ((1,), (HEAD_BYTES,), (HEAD_BYTES - 1, HEAD_BYTES + 1), (100, 300, 1255)):
            asked = server.line.send_binary_request(100, b"")
            await server.request()
            edges = (0, *cuts, len(whole))
            await server.say(*(whole[start:end] for start, end in itertools.pairwise(edges)))
            assert await asked == b"x" * 1000


async def a_request_is_on_its_way_before_anything_else_is_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        line = Line(asyncio.get_running_loop())
        port = listening.getsockname()[1]
        await asyncio.get_running_loop().create_connection(lambda: line, "127.0.0.1", port)
        other, _ = listening.accept()
        with other:
            # Nothing of the loop's runs between the two.
            line.ask(100, b"question", lambda _: None)
            other.settimeout(10)
            assert other.recv(1024)[HEAD_BYTES:] == b"question"
        line.abort()


async def a_refusal_leaves_the_connection_as_it_is() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        await server.say(reply(status=20))
        with pytest.raises(FrameError, match="Resource with key"):
            await asked
        asked = server.line.send_binary_request(100, b"")
        await server.say(reply(b"there"))
        assert await asked == b"there"


async def whoever_waits_when_it_breaks_hears_that_nobody_knows() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        await server.request()
        server.cut()
        with pytest.raises(FrameError, match="Disconnected"):
            await asked
        assert server.line.closed
        with pytest.raises(FrameError, match="Not connected"):
            await server.line.ping()


async def a_second_request_before_the_answer_is_not_written() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        with pytest.raises(FrameError, match="Not connected"):
            await server.line.ping()
        await server.say(reply(b"one"))
        assert await asked == b"one"


async def a_reply_of_no_size_ends_the_connection() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        await server.say(bytes(HEAD_BYTES))
        with pytest.raises(FrameError, match="Disconnected"):
            await asked
        assert server.line.closed


async def what_nobody_asked_for_ends_the_connection() -> None:
    async with playing() as server:
        await server.say(reply(command=13))
        await server.ended()
        assert server.line.closed


async def an_answer_with_the_end_of_the_session_behind_it_is_an_answer() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        await server.say(reply(b"last") + reply(command=13))
        assert await asked == b"last"
        assert server.line.closed


async def closing_lets_the_answer_come_and_aborting_does_not() -> None:
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        server.line.close()
        with pytest.raises(FrameError, match="Not connected"):
            await server.line.ping()
        await server.say(reply(b"late"))
        assert await asked == b"late"
    async with playing() as server:
        asked = server.line.send_binary_request(100, b"")
        await server.request()
        server.line.abort()
        await server.say(reply(b"late"))
        assert not asked.done()


async def an_answer_to_one_who_went_away_is_dropped() -> None:
    async with playing() as server:
        for ending in (reply(b"late"), reply(status=20)):
            asked = server.line.send_binary_request(100, b"")
            asked.cancel()
            await server.say(ending)
        asked = server.line.send_binary_request(100, b"")
        await server.say(reply(b"mine"))
        assert await asked == b"mine"


CLAIMS: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
    an_answer_is_the_body_of_its_reply,
    a_reply_may_come_in_pieces,
    a_request_is_on_its_way_before_anything_else_is_done,
    a_refusal_leaves_the_connection_as_it_is,
    whoever_waits_when_it_breaks_hears_that_nobody_knows,
    a_second_request_before_the_answer_is_not_written,
    a_reply_of_no_size_ends_the_connection,
    what_nobody_asked_for_ends_the_connection,
    an_answer_with_the_end_of_the_session_behind_it_is_an_answer,
    closing_lets_the_answer_come_and_aborting_does_not,
    an_answer_to_one_who_went_away_is_dropped,
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_on_both_loops(
    claim: Callable[[], Coroutine[Any, Any, None]], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await claim()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(bounded())


@pytest.mark.parametrize(
    "login, detail",
    [
        (reply(operation=1), "refused the connection|cannot be reached"),
        (reply(operation=1, status=42), "does not accept the user and password"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(HEAD_BYTES), "speaks another protocol"),
    ],
)
async def test_a_login_that_fails_is_a_refusal_in_words(login: bytes, detail: str) -> None:
    async with serving(login) as (port, _):
        dialled = await dial_line(address(port), timeout_s=5)
    assert isinstance(dialled, Refusal)
    assert re.search(detail, dialled.detail)


async def test_a_port_where_nobody_listens_is_a_refusal() -> None:
    async with serving(b"") as (port, _):
        pass
    dialled = await dial_line(address(port), timeout_s=5)
    assert isinstance(dialled, Refusal)
    assert dialled.detail == "The Iggy server cannot be reached."


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    async with serving(b"") as (port, _):
        dialled = await dial_line(address(port), timeout_s=0.05)
    assert isinstance(dialled, Refusal)
    assert dialled.detail == "The Iggy server does not answer."


async def test_a_dial_that_is_cancelled_leaves_no_connection() -> None:
    async with serving(b"") as (port, ends):
        dialling = asyncio.create_task(dial_line(address(port), timeout_s=60))
        reader, _ = await ends
        dialling.cancel()
        await asyncio.wait([dialling])
        assert dialling.cancelled()
        assert await reader.read() == b""
