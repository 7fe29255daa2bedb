"""Requests with the same head, one after the other, are each judged anew."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bridge.config import HttpConfig
from bridge.web.bodies.whole import read_body
from tests.support.door import Door, open_door, row
from tests.support.raw_http import Answer, RawConnection, request_bytes

JSON = "Content-Type: application/json"
KEYED = HttpConfig(rate_limit_rps=1000, rate_limit_burst=1000, api_key="k", request_body_bytes_max=64)


async def tell(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await read_body(request))


async def aloud(request: web.Request) -> web.StreamResponse:
    """The body as aiohttp gives it, in each of its ways."""
    assert request.can_read_body or request.content_length
    text = await request.text()
    assert await request.read() == text.encode()
    return web.Response(text=text)


async def streamed(request: web.Request) -> web.StreamResponse:
    body = b""
    while chunk := await request.content.readany():
        body += chunk
    assert request.content.at_eof()
    return web.Response(body=body)


ROWS = (row("POST", "/tell", tell), row("POST", "/aloud", aloud), row("POST", "/streamed", streamed))


@pytest.fixture
async def opened() -> AsyncIterator[Door]:
    async with open_door(*ROWS, http=KEYED) as door:
        yield door


@pytest.fixture
async def connection(opened: Door) -> AsyncIterator[RawConnection]:
    connection = await RawConnection.open(opened.port)
    yield connection
    connection.close()


def post(target: str = "/tell", *lines: str, body: bytes = b"{}", key: str = "k") -> bytes:
    return request_bytes("POST", target, JSON, f"X-API-Key: {key}", *lines, body=body)


async def asked(connection: RawConnection, data: bytes) -> Answer:
    await connection.send(data)
    return await connection.answer()


async def told(connection: RawConnection, data: bytes) -> str:
    return (await asked(connection, data)).body.decode()


async def test_every_answer_has_an_id_of_its_own_and_is_counted_by_the_rate_limit(
    connection: RawConnection,
) -> None:
    answers = [await asked(connection, post()) for _ in range(6)]
    assert len({answer.header("X-Request-Id") for answer in answers}) == 6
    assert {answer.header("RateLimit-Policy") for answer in answers} == {'"address";q=1000;w=1'}
    assert all(answer.header("RateLimit") for answer in answers)


async def test_a_wrong_key_stays_wrong_however_often_it_comes(connection: RawConnection) -> None:
    for _ in range(4):
        await told(connection, post())
    answers = [await asked(connection, post(key="j")) for _ in range(7)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 2
    assert (await told(connection, post())) == "{}"


async def test_a_body_that_is_too_long_stays_too_long(opened: Door) -> None:
    for _ in range(4):
        connection = await RawConnection.open(opened.port)
        await told(connection, request_bytes("GET", "/health"))
        assert (await asked(connection, post(body=b" " * 65))).status == 413
        connection.close()


async def test_another_type_stays_refused(connection: RawConnection) -> None:
    plain = request_bytes("POST", "/tell", "Content-Type: text/plain", "X-API-Key: k", body=b"{}")
    assert [(await asked(connection, plain)).status for _ in range(5)] == [415] * 5


async def test_two_requests_with_the_same_head_in_one_piece_are_two(
    connection: RawConnection,
) -> None:
    for _ in range(3):
        await told(connection, post())
    await connection.send(post() + post(body=b"[]"))
    assert (await connection.answer()).body == b"{}"
    assert (await connection.answer()).body == b"[]"


@pytest.mark.parametrize("cut", [1, 10, 60, -2, -1])
async def test_a_repeated_request_in_two_pieces_is_put_together(connection: RawConnection, cut: int) -> None:
    for _ in range(3):
        await told(connection, post())
    data = post(body=b"12")
    await connection.send(data[:cut])
    for _ in range(10):
        await asyncio.sleep(0)
    await connection.send(data[cut:])
    assert (await connection.answer()).body == b"12"
    assert (await told(connection, post(body=b"34"))) == "34"


async def test_a_request_that_is_broken_after_good_ones_is_refused(connection: RawConnection) -> None:
    for _ in range(4):
        await told(connection, post())
    answer = await asked(
        connection, b"POST /tell HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2, 3\r\n\r\n{}"
    )
    assert answer.status == 400
    assert await connection.ended()


async def test_an_older_version_in_between_is_served(connection: RawConnection) -> None:
    for _ in range(4):
        await told(connection, post())
    older = post("/tell", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert (await asked(connection, older)).status == 200
    assert await told(connection, post()) == "{}"


async def test_a_connection_that_is_to_end_ends(connection: RawConnection) -> None:
    for _ in range(4):
        await told(connection, post())
    answer = await asked(connection, post("/tell", "Connection: close"))
    assert answer.header("Connection") == "close"
    assert await connection.ended()


@pytest.mark.parametrize("target", ["/aloud", "/streamed"])
async def test_handlers_that_read_in_aiohttps_ways_find_the_body(
    connection: RawConnection, target: str
) -> None:
    bodies = [(await asked(connection, post(target, body=b"%d" % number))).body for number in range(1, 6)]
    assert bodies == [b"1", b"2", b"3", b"4", b"5"]


async def test_a_body_is_taken_once() -> None:
    async def twice(request: web.Request) -> web.StreamResponse:
        await read_body(request)
        with pytest.raises(RuntimeError, match="already"):
            await read_body(request)
        return web.Response()

    async with open_door(row("POST", "/twice", twice)) as door:
        connection = await RawConnection.open(door.port)
        for _ in range(4):
            assert (await asked(connection, post("/twice"))).status == 200
        connection.close()
