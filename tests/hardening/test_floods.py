"""Too many requests, too many connections, and the end of the process."""

import asyncio

import pytest
from aiohttp import web

from bridge import limits
from bridge.config import HttpConfig
from tests.support.clock import FakeClock
from tests.support.door import open_door, row
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import RawConnection, ask, request_bytes

pytestmark = BOTH_LOOPS

GET = request_bytes("GET", "/things/a")


async def test_the_request_after_the_burst_is_told_when_to_come_back() -> None:
    clock = FakeClock()
    http = HttpConfig(rate_limit_rps=2, rate_limit_burst=3, cors_allowed_origins=("*",))
    async with open_door(http=http, clock=clock) as door:
        left = [(await ask(door.port, GET)).header("RateLimit") for _ in range(3)]
        assert left == ['"address";r=2;t=1', '"address";r=1;t=1', '"address";r=0;t=2']
        refused = await ask(door.port, GET)
        assert (refused.status, refused.problem()["error"]) == (429, "rate_limited")
        assert refused.problem()["retry_after_ms"] == 500
        assert refused.header("Retry-After") == "1"
        assert refused.header("X-RateLimit-Limit") == "3"
        assert refused.header("X-RateLimit-Remaining") == "0"
        assert refused.header("RateLimit") == '"address";r=0;t=2'
        assert refused.header("RateLimit-Policy") == '"address";q=3;w=2'
        assert refused.header("X-Request-Id")
        assert refused.header("Access-Control-Allow-Origin") == "*"
        clock.advance(0.5)
        assert (await ask(door.port, GET)).status == 200
        assert len(door.seen) == 4


async def test_probes_are_answered_while_everything_else_is_refused() -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=1, rate_limit_burst=1), clock=FakeClock()) as door:
        assert (await ask(door.port, GET)).status == 200
        for _ in range(5):
            assert (await ask(door.port, GET)).status == 429
            assert (await ask(door.port, request_bytes("GET", "/health"))).status == 200
            assert (await ask(door.port, request_bytes("GET", "/ready"))).status == 200


@pytest.mark.parametrize(
    "data",
    [
        request_bytes("POST", "/health", body=b""),
        request_bytes("GET", "/health?x"),
        request_bytes("GET", "/Health"),
        request_bytes("GET", "/health/"),
        request_bytes("HEAD", "/health"),
        request_bytes("OPTIONS", "/things/a", "Origin: https://a", "Access-Control-Request-Method: GET"),
        request_bytes("GET", "/nix"),
        request_bytes("GET", "http://other/health"),
    ],
)
async def test_only_the_exact_probes_are_exempt(data: bytes) -> None:
    http = HttpConfig(rate_limit_rps=1, rate_limit_burst=1, cors_allowed_origins=("*",))
    async with open_door(http=http, clock=FakeClock()) as door:
        await ask(door.port, GET)
        assert (await ask(door.port, data)).status == 429


async def test_the_limit_comes_before_the_key_and_parser_errors_count() -> None:
    http = HttpConfig(rate_limit_rps=1, rate_limit_burst=2, api_key="k")
    async with open_door(http=http, clock=FakeClock()) as door:
        assert (await ask(door.port, b"rubbish\r\n\r\n")).status == 400
        assert (await ask(door.port, GET)).status == 401
        assert (await ask(door.port, GET)).status == 429
        assert (await ask(door.port, b"rubbish\r\n\r\n")).status == 400


async def test_connections_beyond_the_cap_are_dropped_and_come_back_when_one_ends(
    monkeypatch: pytest.MonkeyPatch, log_lines: list[dict[str, object]]
) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 20)
    async with open_door() as door:
        held = [await RawConnection.open(door.port) for _ in range(20)]
        for connection in held:
            await connection.send(GET)
            assert (await connection.answer()).status == 200
        for _ in range(30):
            assert await (await RawConnection.open(door.port)).ended()
        await held[0].send(request_bytes("GET", "/things/a", "Connection: close"))
        assert (await held[0].answer()).status == 200
        assert await held[0].ended()
        assert (await ask(door.port, GET)).status == 200
        for connection in held[1:]:
            connection.close()
    assert [line["event"] for line in log_lines].count("connections_refused") == 1


@pytest.mark.parametrize("proxies,dropped", [((), True), (("127.0.0.1",), False)])
async def test_one_address_may_not_hold_all_connections_but_a_trusted_proxy_may(
    monkeypatch: pytest.MonkeyPatch, proxies: tuple[str, ...], dropped: bool
) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS_PER_ADDRESS_MAX", 3)
    async with open_door(http=HttpConfig(rate_limit_rps=0, trusted_proxies=proxies)) as door:
        held = [await RawConnection.open(door.port) for _ in range(3)]
        for connection in held:
            await connection.send(GET)
            await connection.answer()
        another = await RawConnection.open(door.port)
        if dropped:
            assert await another.ended()
        else:
            await another.send(GET)
            assert (await another.answer()).status == 200
        for connection in (*held, another):
            connection.close()


async def test_at_the_end_idle_connections_are_closed_and_requests_in_flight_are_answered() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        entered.set()
        await go_on.wait()
        return web.Response(text="done")

    async with open_door(row("GET", "/slow", slow)) as door:
        idle, busy = await RawConnection.open(door.port), await RawConnection.open(door.port)
        await idle.send(GET)
        await idle.answer()
        await busy.send(request_bytes("GET", "/slow"))
        await entered.wait()
        door.services.lifecycle.draining = True
        ending = asyncio.create_task(door.runner.cleanup())
        assert not ending.done()
        go_on.set()
        answer = await busy.answer()
        assert (answer.status, answer.body, answer.header("Connection")) == (200, b"done", "close")
        assert await idle.ended()
        assert await busy.ended()
        await ending


async def test_while_draining_every_answer_ends_its_connection() -> None:
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        door.services.lifecycle.draining = True
        await connection.send(GET)
        assert (await connection.answer()).header("Connection") == "close"
        assert await connection.ended()
