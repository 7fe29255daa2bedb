"""Who may open a WebSocket: everything is refused as a problem, before the connection becomes one."""

import base64
import hashlib
from typing import Any

import pytest

from bridge.config import HttpConfig
from bridge.web.handlers.routes import ROUTES
from tests.support.clock import FakeClock
from tests.support.door import open_door
from tests.support.raw_http import ask, request_bytes
from tests.support.raw_ws import KEY, Dial, upgrade_lines

# Of the table: it says too that there is no query.
(WS,) = (route for route in ROUTES if route.path == "/ws")


async def refused(
    dial: Dial, *lines: str, after: bytes = b"", **changed: str | None
) -> tuple[int, dict[str, Any]]:
    answer = await dial.handshake(*lines, after=after, **changed)
    problem = answer.problem()
    assert problem["request_id"] == answer.header("X-Request-Id")
    assert problem["instance"] == "/ws"
    return answer.status, problem


async def test_the_answer_says_what_was_agreed_on_and_takes_no_extension() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        socket = await dial.raw()
        answer = await socket.handshake(
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "X-Request-Id: mine"
        )
        digest = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert answer.status == 101
        assert answer.header("Sec-WebSocket-Accept") == base64.b64encode(digest).decode()
        assert answer.header("Sec-WebSocket-Protocol") == "bridge.v1"
        assert answer.header("Upgrade") == "websocket"
        assert answer.header("Connection") == "Upgrade"
        assert answer.header("Sec-WebSocket-Extensions") is None
        assert answer.header("Transfer-Encoding") is answer.header("Content-Length") is None
        assert answer.header("X-Request-Id") == "mine"
        hello = (await socket.frame()).told
        assert hello["request_id"] == "mine"
        assert hello["limits"]["message_bytes"] == 256 * 1024


async def test_the_subprotocol_may_be_one_of_several() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        await dial.open(Sec_WebSocket_Protocol="mqtt, bridge.v1,bridge.v2")
        await dial.open("Sec-WebSocket-Protocol: bridge.v1", Sec_WebSocket_Protocol="mqtt")


@pytest.mark.parametrize(
    "changed,status,path",
    [
        ({"Upgrade": None}, 426, "Upgrade"),
        ({"Upgrade": "h2c"}, 426, "Upgrade"),
        ({"Connection": None}, 426, "Upgrade"),
        ({"Connection": "keep-alive"}, 426, "Upgrade"),
        ({"Sec_WebSocket_Version": None}, 426, "Sec-WebSocket-Version"),
        ({"Sec_WebSocket_Version": "8"}, 426, "Sec-WebSocket-Version"),
        ({"Sec_WebSocket_Version": "12"}, 426, "Sec-WebSocket-Version"),
        ({"Sec_WebSocket_Version": "secret"}, 426, "Sec-WebSocket-Version"),
        ({"Sec_WebSocket_Key": None}, 400, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": ""}, 400, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "secret"}, 400, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": base64.b64encode(b"x" * 15).decode()}, 400, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "\xe9" * 24}, 400, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Protocol": None}, 400, "Sec-WebSocket-Protocol"),
        ({"Sec_WebSocket_Protocol": "secret, bridge.v12"}, 400, "Sec-WebSocket-Protocol"),
        ({"Content_Length": "5"}, 400, "Content-Length"),
        ({"Transfer_Encoding": "chunked"}, 400, "Content-Length"),
    ],
)
async def test_a_handshake_that_is_none_is_refused(changed: dict[str, str], status: int, path: str) -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        answered, problem = await refused(dial, after=b"", **changed)
        assert (answered, problem["path"]) == (status, path)
        assert "secret" not in str(problem)


async def test_what_is_spoken_is_told_with_426() -> None:
    async with open_door(WS) as door:
        answer = await ask(door.port, request_bytes("GET", "/ws"))
        assert (answer.status, answer.problem()["error"]) == (426, "upgrade_required")
        assert answer.header("Upgrade") == "websocket"
        assert answer.header("Sec-WebSocket-Version") == "13"
        assert answer.header("Connection") == "Upgrade"


@pytest.mark.parametrize(
    "double", ["Sec-WebSocket-Key: " + KEY, "Sec-WebSocket-Version: 13", "Upgrade: websocket"]
)
async def test_what_stands_there_twice_is_refused(double: str) -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        assert (await refused(dial, double))[0] in (400, 426)


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
async def test_only_get_opens_a_socket(method: str) -> None:
    async with open_door(WS) as door:
        answer = await ask(door.port, request_bytes(method, "/ws", *upgrade_lines()))
        assert answer.status == (426 if method == "HEAD" else 405)


async def test_http_1_0_opens_no_socket() -> None:
    async with open_door(WS) as door:
        asked = request_bytes("GET", "/ws", *upgrade_lines()).replace(b"HTTP/1.1", b"HTTP/1.0")
        assert (await ask(door.port, asked)).status == 426


async def test_a_query_is_refused_but_for_the_key() -> None:
    async with open_door(WS, http=HttpConfig(rate_limit_rps=0, api_key="right key 0123456789")) as door:
        target = request_bytes("GET", "/ws?api_key=right%20key%200123456789", *upgrade_lines())
        assert (await ask(door.port, target)).status == 101
        target = request_bytes("GET", "/ws?api_key=right%20key%200123456789&topic=x", *upgrade_lines())
        assert (await ask(door.port, target)).status == 400


@pytest.mark.parametrize(
    "allowed,origin,status",
    [
        ((), "http://localhost", 101),  # the host that the request names
        ((), "https://localhost", 101),  # TLS ends before us
        ((), "https://evil.example", 403),
        ((), "null", 403),
        ((), "", 403),
        ((), "http://localhost.evil.example", 403),
        ((), "http://localhost:8080", 403),
        (("https://app.example",), "https://app.example", 101),
        (("https://app.example",), "http://app.example", 403),
        (("https://app.example",), "https://app.example.evil", 403),
        (("*",), "https://anywhere.example", 101),
    ],
)
async def test_pages_of_other_origins_open_none(allowed: tuple[str, ...], origin: str, status: int) -> None:
    async with (
        open_door(WS, http=HttpConfig(rate_limit_rps=0, cors_allowed_origins=allowed)) as door,
        Dial(door.port) as dial,
    ):
        answer = await dial.handshake(f"Origin: {origin}")
        assert answer.status == status
        if status == 403:
            assert answer.problem()["path"] == "Origin"


async def test_the_origin_is_looked_at_before_anything_else() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        status, _ = await refused(dial, "Origin: https://evil.example", Sec_WebSocket_Protocol=None)
        assert status == 403


async def test_two_origins_are_none() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        assert (await refused(dial, "Origin: http://localhost", "Origin: http://localhost"))[0] == 403


async def test_without_the_key_no_socket_opens() -> None:
    async with (
        open_door(WS, http=HttpConfig(rate_limit_rps=0, api_key="right key 0123456789")) as door,
        Dial(door.port) as dial,
    ):
        assert (await refused(dial))[0] == 401
        assert (await refused(dial, "X-API-Key: wrong"))[0] == 401
        await dial.open("X-API-Key: right key 0123456789")


async def test_opening_a_socket_counts_as_a_request() -> None:
    async with (
        open_door(WS, http=HttpConfig(rate_limit_rps=1, rate_limit_burst=2), clock=FakeClock()) as door,
        Dial(door.port) as dial,
    ):
        for _ in range(2):
            await dial.open()
        assert (await refused(dial))[0] == 429


async def test_while_the_process_drains_no_socket_opens() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        door.services.lifecycle.draining = True
        status, problem = await refused(dial)
        assert (status, problem["retryable"]) == (503, True)


async def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        monkeypatch.setattr(door.services.live_streams._slots._slots, "amount_max", 1)
        first = await dial.open()
        status, problem = await refused(dial)
        assert (status, problem["error"]) == (503, "overloaded")
        await first.alive()


async def test_a_connection_on_which_no_socket_opened_serves_other_requests() -> None:
    async with open_door(WS) as door, Dial(door.port) as dial:
        socket = await dial.raw()
        assert (await socket.handshake(Sec_WebSocket_Protocol=None)).status == 400
        await socket.send(request_bytes("GET", "/things/a"))
        assert (await socket.connection.answer()).status == 200


async def test_an_open_socket_holds_no_place_of_those_that_requests_have() -> None:
    async with (
        open_door(WS, http=HttpConfig(rate_limit_rps=0, in_flight_requests_max=1)) as door,
        Dial(door.port) as dial,
    ):
        sockets_open = [await dial.open() for _ in range(3)]
        assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 200
        for each in sockets_open:
            await each.alive()
