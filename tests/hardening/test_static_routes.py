"""The table in front of aiohttp's router answers as the router does, and only where both must agree."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractMatchInfo

from bridge.web.middleware.access_log import route_of
from tests.support.door import Door, Row, open_door
from tests.support.raw_http import RawConnection, ask, request_bytes

_OK = 200
# So many requests have to come before what is found for their head is kept.
_LEARNED = 2


async def told(request: web.Request) -> web.StreamResponse:
    return web.json_response([route_of(request), dict(request.match_info)])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door(Row("GET", "/plain", told), Row("GET", "/plain/{name}", told)) as opened:
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
async def test_what_the_table_does_not_hold_is_told_by_the_router(
    door: Door, method: str, target: str, status: int
) -> None:
    answer = await ask(door.port, request_bytes(method, target))
    assert answer.status == status


async def test_one_match_serves_many_requests(door: Door) -> None:
    for _ in range(3):
        assert (await ask(door.port, request_bytes("GET", "/plain"))).status == 200


@pytest.mark.parametrize(
    "method,target,status",
    [
        ("GET", "/plain", 200),
        ("GET", "/plain/a", 200),
        ("GET", "/plain/%61", 200),
        ("POST", "/plain/a", 405),
        ("GET", "/nothing/a", 404),
    ],
)
async def test_the_router_is_asked_once_for_a_head_that_comes_again_and_finds_something(
    door: Door, monkeypatch: pytest.MonkeyPatch, method: str, target: str, status: int
) -> None:
    router, asked = door.runner.app.router, []
    resolve = router.resolve

    async def counted(request: web.Request) -> AbstractMatchInfo:
        asked.append(request.raw_path)
        return await resolve(request)

    connection = await RawConnection.open(door.port)
    # The first is parsed and the second learned.
    answers = []
    for number in range(5):
        if number == _LEARNED:
            monkeypatch.setattr(router, "resolve", counted)
        await connection.send(request_bytes(method, target))
        answers.append(await connection.answer())
    assert {answer.status for answer in answers} == {status}
    assert len({answer.body for answer in answers}) == 1 or status != _OK
    times_asked = 0 if target == "/plain" else 1
    assert len(asked) == (times_asked if status == _OK else 5 - _LEARNED)
    connection.close()


async def test_what_was_found_for_one_head_is_not_found_for_another(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    for name in ("a", "a", "a", "a", "b", "a", "b", "b", "b"):
        await connection.send(request_bytes("GET", f"/plain/{name}"))
        assert (await connection.answer()).body == f'["/plain/{{name}}", {{"name": "{name}"}}]'.encode()
    connection.close()
