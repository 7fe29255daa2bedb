"""The bridge's own loop over the requests of a connection keeps what aiohttp's keeps."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.server.runner import BridgeServer
from tests.support.door import open_door, row
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import RawConnection, ask, request_bytes

pytestmark = BOTH_LOOPS


class Pipe(asyncio.Transport):
    """The other end of a connection."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711)})
        self.written: list[bytes] = []
        self.wrote = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        self.wrote.set()

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


@pytest.mark.parametrize("status", [200, 201, 404])
@pytest.mark.parametrize("body", [b"{}", b"x" * 100_000])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("connection", ["", "Connection: close", "Connection: keep-alive"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_json_answer_is_the_one_that_aiohttp_would_have_written(
    status: int, body: bytes, method: str, connection: str, version: str
) -> None:
    async def whole(_: web.Request) -> web.StreamResponse:
        answer = JsonAnswer(body, status=status)
        answer.add_field("Location", "/there")
        return answer

    async def stock(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body, status=status, content_type="application/json", headers={"Location": "/there"}
        )

    async with open_door(row("GET", "/whole", whole), row("GET", "/stock", stock)) as door:
        headers = ("X-Request-Id: r-1", *([connection] if connection else ()))
        ours, theirs = [
            await ask(
                door.port,
                request_bytes(method, path, *headers).replace(b"HTTP/1.1", f"HTTP/{version}".encode()),
            )
            for path in ("/whole", "/stock")
        ]
    for answer in (ours, theirs):
        answer.headers.pop("date")
    assert ours == theirs


async def test_a_json_answer_that_was_written_holds_no_second_copy_of_its_body() -> None:
    made: list[JsonAnswer] = []

    async def whole(_: web.Request) -> web.StreamResponse:
        made.append(JsonAnswer(b'{"a":1}'))
        return made[-1]

    async with open_door(row("GET", "/whole", whole)) as door:
        assert (await ask(door.port, request_bytes("GET", "/whole"))).body == b'{"a":1}'
    assert [answer.body for answer in made] == [b""]


async def test_a_json_answer_takes_no_field_that_begins_another_line() -> None:
    with pytest.raises(ValueError, match="end of a line"):
        JsonAnswer(b"").add_field("Location", "/a\r\nX-Injected: 1")


async def test_an_answer_without_a_type_or_with_cookies_is_as_aiohttp_writes_it() -> None:
    async def untyped(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x")

    async def cookie(_: web.Request) -> web.StreamResponse:
        response = web.Response(body=b"x")
        response.set_cookie("a", "b")
        return response

    async with open_door(row("GET", "/untyped", untyped), row("GET", "/cookie", cookie)) as door:
        answer = await ask(door.port, request_bytes("GET", "/untyped"))
        assert answer.headers["content-type"] == ["application/octet-stream"]
        answer = await ask(door.port, request_bytes("GET", "/cookie"))
        assert answer.headers["set-cookie"] == ["a=b; Path=/"]


async def test_an_older_http_version_is_served_between_newer_ones() -> None:
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/things/a"))
        assert (await connection.answer()).status == 200
        await connection.send(b"GET /things/b HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
        assert (await connection.answer()).status == 200
        await connection.send(request_bytes("GET", "/things/c"))
        assert (await connection.answer()).status == 200
        connection.close()
        assert [info["name"] for info, _ in door.seen] == ["a", "b", "c"]


async def test_between_two_waiting_requests_everybody_else_has_his_turn() -> None:
    told: list[str] = []

    async def tell(_: web.Request) -> web.StreamResponse:
        told.append("request")
        asyncio.get_running_loop().call_soon(told.append, "other")
        return web.Response()

    async with open_door(row("GET", "/tell", tell)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/tell") * 3)
        for _ in range(3):
            await connection.answer()
        connection.close()
    assert told[:5] == ["request", "other", "request", "other", "request"]


async def test_no_more_is_answered_while_nobody_reads() -> None:
    async with open_door() as door:
        server = door.runner.server
        assert isinstance(server, BridgeServer)
        protocol, pipe = server(), Pipe()
        assert isinstance(protocol, BridgeProtocol)
        protocol.connection_made(pipe)
        protocol.pause_writing()
        protocol.data_received(request_bytes("GET", "/things/a") * 2)
        await pipe.wrote.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(pipe.written) == 1
        pipe.wrote.clear()
        protocol.resume_writing()
        await pipe.wrote.wait()
        assert len(pipe.written) == 2
        protocol.connection_lost(None)


async def test_a_client_that_leaves_while_the_answer_waits_is_no_error(
    log_lines: list[dict[str, object]],
) -> None:
    async with open_door() as door:
        server = door.runner.server
        assert isinstance(server, BridgeServer)
        protocol, pipe = server(), Pipe()
        protocol.connection_made(pipe)
        protocol.pause_writing()
        protocol.data_received(request_bytes("GET", "/things/a"))
        await pipe.wrote.wait()
        protocol.connection_lost(ConnectionResetError())
        for _ in range(10):
            await asyncio.sleep(0)
    assert "connection_failed" not in [line["event"] for line in log_lines]
