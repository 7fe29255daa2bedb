"""What a client sends on an open WebSocket, however odd, and what becomes of the socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from bridge.config import HttpConfig
from bridge.web.handlers import sockets
from bridge.web.rules import RULES
from bridge.web.sockets import socket as ws_socket
from bridge.web.sockets.framing import Opcode
from tests.support.clock import FakeClock
from tests.support.door import Door, open_door, row
from tests.support.raw_http import ask, request_bytes
from tests.support.raw_ws import Dial, RawSocket, ServerFrame
from tests.support.turns import until
from tests.support.ws_frames import client_close, client_frame, client_text

WS = row("GET", "/ws", sockets.socket)
PING = b'{"op":"ping","id":"alive"}'
PONG = b'{"op":"pong","id":"alive"}'
MAX = 256 * 1024


@pytest.fixture
async def socket() -> AsyncIterator[RawSocket]:
    async with open_door(WS) as door, Dial(door.port) as dial:
        yield await dial.open()


@pytest.mark.parametrize(
    "data,code",
    [
        pytest.param(client_frame(1, PING, mask=None), 1002, id="unmasked"),
        pytest.param(client_frame(1, PING, reserved=4), 1002, id="compressed"),
        pytest.param(client_frame(3, b""), 1002, id="unknown-opcode"),
        pytest.param(client_frame(0, b"x"), 1002, id="continues-nothing"),
        pytest.param(client_frame(9, b"x" * 126), 1002, id="long-ping"),
        pytest.param(client_close(1005), 1002, id="no-code"),
        pytest.param(client_frame(2, b"x"), 1003, id="binary"),
        pytest.param(client_text(b"\xff"), 1007, id="no-utf-8"),
        pytest.param(client_text(b"x" * (MAX + 1)), 1009, id="too-big"),
        pytest.param(client_text(b"x" * 1024 * 1024), 1009, id="a-mebibyte"),
        pytest.param(b"\x81\xff" + (2**40).to_bytes(8, "big"), 1009, id="a-tebibyte"),
        pytest.param(client_frame(1, b"x", final=False) + client_frame(0, b"x", final=False) * 10_000, 1008, id="fragments"),
        pytest.param(client_frame(1, b"", final=False) + client_frame(0, b"", final=False) * 10_000, 1008, id="empty-fragments"),
        pytest.param(client_frame(9, b"x") * 10_000, 1008, id="pings"),
        pytest.param(client_frame(10, b"x") * 10_000, 1008, id="pongs"),
        pytest.param(client_text(b"{}") * 10_000, 1008, id="faults"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 1002, id="http"),
    ],
)  # fmt: skip
async def test_what_breaks_the_rules_closes_the_socket_with_the_code_for_it(
    socket: RawSocket, data: bytes, code: int
) -> None:
    await socket.send(data)
    assert await socket.closed_with() == code


async def test_a_close_is_answered_with_its_code_and_the_connection_ends(socket: RawSocket) -> None:
    await socket.send(client_close(3999, b"because"))
    frame = await socket.frame()
    assert frame.code == 3999
    assert await socket.connection.ended()


async def test_a_close_without_a_code_is_answered_so(socket: RawSocket) -> None:
    await socket.send(client_close(None))
    assert await socket.frame() == (Opcode.CLOSE, b"")
    assert await socket.connection.ended()


async def test_a_client_that_never_answers_our_close_is_cut_off(
    socket: RawSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws_socket, "WS_CLOSE_TIMEOUT_S", 0.01)
    await socket.send(client_frame(1, PING, mask=None))
    assert (await socket.frame()).code == 1002
    assert await socket.connection.ended()


async def test_a_ping_is_answered_with_what_it_held(socket: RawSocket) -> None:
    await socket.send(client_frame(9, b"\x00\xff") + client_frame(9))
    assert await socket.frame() == (Opcode.PONG, b"\x00\xff")
    assert await socket.frame() == (Opcode.PONG, b"")


async def test_messages_sent_together_with_the_handshake_are_heard() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        socket = await dial.open(after=client_text(PING) * 3)
        for _ in range(3):
            assert (await socket.frame()).payload == PONG


async def test_a_message_may_come_byte_by_byte_and_in_fragments_with_pings_between(socket: RawSocket) -> None:
    data = client_frame(1, PING[:5], final=False) + client_frame(9, b"!") + client_frame(0, PING[5:])
    for index in range(len(data)):
        await socket.send(data[index : index + 1])
    assert await socket.frame() == (Opcode.PONG, b"!")
    assert (await socket.frame()).payload == PONG


async def test_many_messages_at_once_are_all_answered_in_order(socket: RawSocket) -> None:
    sent = asyncio.create_task(
        socket.send(b"".join(client_text(b'{"op":"ping","id":"%d"}' % index) for index in range(20_000)))
    )
    for index in range(20_000):
        assert (await socket.frame()).payload == b'{"op":"pong","id":"%d"}' % index
    await sent


async def test_the_longest_message_is_taken() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        socket = await dial.open()
        sent = asyncio.create_task(socket.send(client_text(PING + b" " * (MAX - len(PING)))))
        assert (await socket.frame()).payload == PONG
        await sent


async def test_a_smaller_bound_of_bodies_holds_for_messages_too() -> None:
    async with (
        open_door(WS, http=HttpConfig(rate_limit_rps=0, request_body_bytes_max=1000)) as door,
        Dial(door.port) as dial,
    ):
        socket = await dial.raw()
        assert (await socket.handshake()).status == 101
        assert (await socket.frame()).told["limits"]["message_bytes"] == 1000
        await socket.send(client_text(b"x" * 1001))
        assert await socket.closed_with() == 1009


async def test_what_is_held_of_all_clients_together_is_bounded() -> None:
    http = HttpConfig(rate_limit_rps=0, in_flight_body_bytes_max=150_000)
    async with open_door(WS, http=http) as door, Dial(door.port) as dial:
        first, second = await dial.open(), await dial.open()
        begun = client_text(b" " * 200_000)
        await first.send(begun[:190_000])
        # What is beyond a small amount is held; there is no room for as much again.
        await until(lambda: _held(door))
        await second.send(begun[:190_000])
        assert await second.closed_with() == 1013
        await first.send(begun[190_000:])
        assert (await first.frame()).told["op"] == "error"
        assert not _held(door)


async def test_faults_that_come_now_and_then_do_no_harm() -> None:
    clock = FakeClock()
    async with open_door(WS, clock=clock) as door, Dial(door.port) as dial:
        socket = await dial.open()
        for _ in range(100):
            await socket.send(client_text(b"{}"))
            assert (await socket.frame()).told["op"] == "error"
            clock.advance(1.0)
        await socket.alive()


@pytest.mark.parametrize(
    "last", [client_text(b"{") * 100, client_frame(1, b"x", mask=None), client_close(1001), b""]
)
async def test_whatever_a_client_says_after_our_close_the_connection_ends(
    last: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws_socket, "WS_CLOSE_TIMEOUT_S", 0.05)
    async with open_door(WS) as door, Dial(door.port) as dial:
        socket = await dial.open()
        await door.services.live_streams.say_farewell()
        assert (await socket.frame()).told["op"] == "bye"
        assert (await socket.frame()).code == 1001
        # On a busy machine it has ended already.
        with suppress(ConnectionError):
            await socket.send(last)
        assert await socket.connection.ended()


async def test_nothing_of_what_a_client_says_is_in_the_log(log_lines: list[dict[str, object]]) -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        socket = await dial.open()
        for said in (
            b"secret",
            b'{"op":"secret"}',
            b'{"op":"ping","secret":1}',
            b'{"op":"ping","id":"secret"}',
        ):
            await socket.send(client_text(said))
            await socket.frame()
        await socket.send(client_close(1000, b"secret"))
        await socket.connection.ended()
        await until(lambda: not door.services.metrics.http.requests_in_flight)
    assert "socket_closed" in [line["event"] for line in log_lines]
    assert "secret" not in str(log_lines)


# --- silence ------------------------------------------------------------------------------------------------------


@pytest.fixture
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_socket, "LOOK_S", 0.002)


async def test_a_silent_client_is_asked_for_a_sign_and_kept_if_it_gives_one(looked_at_often: None) -> None:
    clock = FakeClock()
    async with open_door(WS, clock=clock) as door, Dial(door.port) as dial:
        socket = await dial.open()
        for _ in range(5):
            clock.advance(20)
            assert await socket.frame() == (Opcode.PING, b"")
            await socket.send(client_frame(10))
            await socket.alive()
        assert len(door.services.live_streams._farewells) == 1


async def test_a_client_that_gives_no_sign_is_gone(looked_at_often: None) -> None:
    clock = FakeClock()
    async with open_door(WS, clock=clock) as door, Dial(door.port) as dial:
        socket = await dial.open()
        clock.advance(20)
        assert await socket.frame() == (Opcode.PING, b"")
        clock.advance(20)
        assert await socket.connection.ended()
        await until(lambda: not door.services.metrics.http.requests_in_flight)
        assert not door.services.live_streams._farewells


async def test_a_client_that_wants_nothing_is_sent_away(looked_at_often: None) -> None:
    clock = FakeClock()
    async with open_door(WS, clock=clock) as door, Dial(door.port) as dial:
        socket = await dial.open()
        while (frame := await _next(socket, clock)).opcode == Opcode.PING:
            # Pongs and pings are signs of life, not of interest.
            await socket.send(client_frame(10) + client_frame(9))
            assert (await socket.frame()).opcode == Opcode.PONG
        assert (frame.code, frame.payload[2:]) == (1000, b"idle")


async def test_a_client_that_vanishes_leaves_nothing_behind() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        opened = [await dial.open() for _ in range(5)]
        assert len(door.services.live_streams._farewells) == 5
        for each in opened:
            await each.send(client_text(PING)[:7])
            each.abort()
        await until(lambda: not door.services.metrics.http.requests_in_flight)
        assert not door.services.live_streams._farewells
        assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 200


async def _next(socket: RawSocket, clock: FakeClock) -> ServerFrame:
    clock.advance(20)
    return await socket.frame()


def _held(door: Door) -> int:
    return door.runner.app[RULES].admission.held_bytes
