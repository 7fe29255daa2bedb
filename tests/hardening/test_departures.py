"""Clients that end their side of a connection, or leave: answered where they can be, counted once, and never an error."""

import asyncio

import pytest
from aiohttp import web

from bridge import limits
from bridge.config import HttpConfig
from bridge.web.bodies.whole import read_body
from bridge.web.server.departures import on_departure
from bridge.web.server.runner import BridgeServer
from tests.support.door import Door, open_door, row
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import RawConnection, ask, request_bytes

pytestmark = BOTH_LOOPS

JSON = "Content-Type: application/json"
POST = request_bytes("POST", "/things/a", JSON, body=b"{}")
GET = request_bytes("GET", "/things/a")


def accessed(log_lines: list[dict[str, object]]) -> list[object]:
    return [line["status"] for line in log_lines if line["event"] == "request"]


async def closed(door: Door) -> None:
    """Wait until the server has forgotten every connection, whatever it still does for them."""
    server = door.runner.server
    assert isinstance(server, BridgeServer)
    while server.connections or door.services.metrics.http.requests_in_flight:  # noqa: ASYNC110 (nothing tells)
        await asyncio.sleep(0.001)


WHOLE = {
    "one": (POST, [201]),
    "one, seen before": (POST * 4, [201] * 4),
    "without a body": (GET, [200]),
    "several at once": (POST + GET + POST, [201, 200, 201]),
    "more than are held": (GET * 100, [200] * 100),
    "HTTP/1.0": (b"GET /things/a HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", [200]),
    "in chunks": (
        request_bytes("POST", "/things/a", JSON, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        [201],
    ),
    "an upgrade not spoken here": (
        request_bytes("GET", "/things/a", "Connection: Upgrade", "Upgrade: h2c"),
        [200],
    ),
}


@pytest.mark.parametrize("data,statuses", WHOLE.values(), ids=WHOLE.keys())
async def test_what_came_whole_before_the_client_ended_its_side_is_answered(
    door: Door, data: bytes, statuses: list[int]
) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(data)
    connection.end_sending()
    assert [(await connection.answer()).status for _ in statuses] == statuses
    assert await connection.ended()
    await closed(door)


async def test_a_head_that_is_known_is_answered_after_the_client_ended_its_side(door: Door) -> None:
    for _ in range(4):
        connection = await RawConnection.open(door.port)
        for _ in range(3):
            await connection.send(POST)
            assert (await connection.answer()).status == 201
        await connection.send(POST)
        connection.end_sending()
        assert (await connection.answer()).status == 201
        assert await connection.ended()


async def test_a_client_may_end_its_side_while_its_request_is_served() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        entered.set()
        await go_on.wait()
        return web.Response(text="done")

    async with open_door(row("GET", "/slow", slow)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/slow"))
        await entered.wait()
        connection.end_sending()
        # An answer on another connection shows that the loop has looked at its sockets since.
        await ask(door.port, GET)
        go_on.set()
        assert (await connection.answer()).body == b"done"
        assert await connection.ended()


async def test_who_waits_for_long_stops_waiting_and_is_answered_all_the_same() -> None:
    waits = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        over = asyncio.Event()
        with on_departure(request, over.set):
            waits.set()
            await over.wait()
        return web.Response(text="nothing came")

    async with open_door(row("GET", "/wait", wait)) as door:
        for late in (True, False):
            waits.clear()
            connection = await RawConnection.open(door.port)
            await connection.send(request_bytes("GET", "/wait"))
            if late:
                await waits.wait()
            connection.end_sending()
            assert (await connection.answer()).body == b"nothing came"
            assert await connection.ended()


@pytest.mark.parametrize("data", [b"", b"\r\n", b"GET /th", GET[:-1], GET[:-2]])
async def test_without_a_whole_request_the_connection_ends_with_the_clients_side(
    door: Door, data: bytes
) -> None:
    connection = await RawConnection.open(door.port)
    if data:
        await connection.send(data)
    connection.end_sending()
    assert await connection.ended()
    await closed(door)
    assert door.seen == []


async def test_an_idle_connection_ends_with_the_clients_side(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(GET)
    await connection.answer()
    connection.end_sending()
    assert await connection.ended()


BODIES = {
    "a length": request_bytes("POST", "/read", JSON, "Content-Length: 10") + b"{",
    "chunks": request_bytes("POST", "/read", JSON, "Transfer-Encoding: chunked") + b"5\r\n{",
    "HTTP/1.0": f"POST /read HTTP/1.0\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 10\r\n\r\n{{".encode(),
}


@pytest.mark.parametrize("data", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("end", ["half", "close", "reset"])
async def test_a_client_that_leaves_in_its_body_is_counted_once_and_is_no_error(
    log_lines: list[dict[str, object]], data: bytes, end: str
) -> None:
    reading = asyncio.Event()

    async def read(request: web.Request) -> web.StreamResponse:
        reading.set()
        return web.Response(body=await read_body(request))

    async with open_door(row("POST", "/read", read)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(data)
        await reading.wait()
        if end == "half":
            connection.end_sending()
        elif end == "close":
            connection.close()
        else:
            connection.reset()
        await closed(door)
        figures = door.services.metrics.render()[0].decode()
        connection.close()
    assert accessed(log_lines) == [499]
    assert {line["event"] for line in log_lines} <= {"request"}
    counted = [line for line in figures.splitlines() if line.startswith("bridge_http_requests_total{")]
    assert len(counted) == 1, counted
    assert counted[0].endswith(" 1.0")
    assert 'status="499"' in counted[0] or "499" in counted[0] or "4xx" in counted[0], counted


async def test_a_client_that_ends_its_side_behind_a_broken_body_is_told_so() -> None:
    async def read(request: web.Request) -> web.StreamResponse:
        return web.Response(body=await read_body(request))

    head = request_bytes("POST", "/read", JSON, "Transfer-Encoding: chunked")
    async with open_door(row("POST", "/read", read)) as door:
        for chunks in (b"3 \r\n{ }\r\n0\r\n\r\n", b"z\r\n", b"1\r\n{}"):
            connection = await RawConnection.open(door.port)
            await connection.send(head + chunks)
            connection.end_sending()
            assert (await connection.answer()).status == 400
            connection.close()


async def test_a_head_has_its_time_however_long_a_connection_may_be_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=0, keepalive_timeout_s=3600)) as door:
        later, known, idle = [await RawConnection.open(door.port) for _ in range(3)]
        for connection in (later, idle):
            await connection.send(GET)
            await connection.answer()
        for _ in range(3):
            await known.send(GET)
            await known.answer()
        monkeypatch.setattr(limits, "HEAD_TIMEOUT_S", 0.05)
        first = await RawConnection.open(door.port)
        await first.send(GET[:20])
        await later.send(GET[:20])
        await known.send(GET[:20])
        for connection in (first, later, known):
            assert await connection.ended()
        await idle.send(GET)
        assert (await idle.answer()).status == 200
        idle.close()


async def test_an_idle_connection_is_kept_longer_than_proxies_keep_theirs() -> None:
    assert HttpConfig().keepalive_timeout_s > 60
    async with open_door(http=HttpConfig(rate_limit_rps=0, keepalive_timeout_s=0.05)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(GET)
        await connection.answer()
        assert await connection.ended()


async def test_the_access_log_names_the_error_of_what_was_refused(log_lines: list[dict[str, object]]) -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=0, api_key="k" * 20)) as door:
        await ask(door.port, GET)
        await ask(door.port, request_bytes("GET", "/health"))
        await ask(door.port, b"rubbish\r\n\r\n")
        await ask(door.port, request_bytes("GET", "/nothing", f"X-API-Key: {'k' * 20}"))
    told = [(line["status"], line.get("error")) for line in log_lines if line["event"] == "request"]
    assert told == [(401, "unauthorized"), (200, None), (400, "bad_request"), (404, "not_found")]
