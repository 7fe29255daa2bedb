"""Which targets find a route."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bridge.web.keys import EXCHANGE
from tests.support.door import Door, open_door, row
from tests.support.raw_http import RawConnection, ask, request_bytes


async def told(request: web.Request) -> web.StreamResponse:
    exchange = request[EXCHANGE]
    return web.json_response([exchange.route, dict(exchange.names)])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door(row("GET", "/plain", told), row("GET", "/plain/{name}", told)) as opened:
        yield opened


@pytest.mark.parametrize(
    "target,body",
    [
        ("/plain", b'["/plain", {}]'),
        ("/plain?x=1", b'["/plain", {}]'),
        ("/pl%61in", b'["/plain", {}]'),
        ("/plain/a", b'["/plain/{name}", {"name": "a"}]'),
    ],
)
async def test_a_target_finds_its_handler_however_it_is_spelled(door: Door, target: str, body: bytes) -> None:
    answer = await ask(door.port, request_bytes("GET", target))
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "method,target,status",
    [
        ("HEAD", "/plain", 200),
        ("POST", "/plain", 405),
        ("GET", "//plain", 404),
        ("GET", "/plain/", 404),
        ("GET", "/{name}", 404),
        ("GET", "/plain/{name}", 404),
    ],
)
async def test_what_is_spelled_otherwise_finds_none(
    door: Door, method: str, target: str, status: int
) -> None:
    answer = await ask(door.port, request_bytes(method, target))
    assert answer.status == status


async def test_what_was_found_for_one_head_is_not_found_for_another(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    for name in ("a", "a", "a", "a", "b", "a", "b", "b", "b"):
        await connection.send(request_bytes("GET", f"/plain/{name}"))
        assert (await connection.answer()).body == f'["/plain/{{name}}", {{"name": "{name}"}}]'.encode()
    connection.close()
